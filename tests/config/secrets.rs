//! Modes of files with secrets in them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use prometheus_streams::config::{Config, LoadError, Overrides, Problem};
use tempfile::TempDir;

/// Files in a folder of their own.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self, name: &str) -> Result<Vec<Problem>, Vec<Problem>> {
        read(Config::load(&self.path(name)))
    }

    fn load_strictly(&self, name: &str) -> Result<Vec<Problem>, Vec<Problem>> {
        read(Config::load_strictly(
            &self.path(name),
            Overrides::default(),
        ))
    }
}

fn read(
    loaded: Result<prometheus_streams::config::Loaded, LoadError>,
) -> Result<Vec<Problem>, Vec<Problem>> {
    match loaded {
        Ok(loaded) => Ok(loaded.warnings),
        Err(LoadError::Problems(problems)) => Err(problems.as_slice().to_vec()),
        Err(error) => panic!("{error}"),
    }
}

/// Each problem's key and what it is, without the name of the test's folder.
#[track_caller]
fn check(found: &[Problem], folder: &Path, expected: &[(&str, &str)]) {
    let folder = format!("{}/", folder.display());
    let found: Vec<(&str, String)> = found
        .iter()
        .map(|problem| (&*problem.path, problem.what.replace(&folder, "")))
        .collect();
    let expected: Vec<(&str, String)> = expected
        .iter()
        .map(|(path, what)| (*path, (*what).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

/// Every key that names a secret's file, each in a place where it may stand.
const EVERY_FILE: &str = "
poller_stream: {urls: a, user: u, password_file: s, tls: {cert: c, key: s1}}
receiver_stream: {urls: a, token_file: s2}
push_gateway:
  url: http://a
  headers: {X-A: {file: s3}}
  basic_auth: {username_file: c, password_file: s4}
remote_write:
- {name: a, url: http://a, authorization: {credentials_file: s5}}
- {name: b, url: http://b, bearer_token_file: s6, tls_config: {ca_file: c, cert_file: c, key_file: s7}}
- {name: c, url: http://c, oauth2: {client_id: i, token_url: 'http://t', client_secret_file: s8}}
- {name: d, url: http://d, http_headers: {X-A: {files: [s9]}}}
scrape_configs:
- {job_name: a, kubernetes_sd_configs: [{role: node, kubeconfig_file: s10}]}
";

#[test]
fn every_secrets_file_is_looked_at_and_no_certificate() {
    let files = Files::new();
    files.write("c.yaml", EVERY_FILE, 0o644);
    files.write("c", "public", 0o644);
    let names = [
        "s", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10",
    ];
    for name in names {
        files.write(name, "hunter2", 0o640);
    }
    assert_eq!(files.load_strictly("c.yaml"), Ok(Vec::new()));
    for name in names {
        files.write(name, "hunter2", 0o644);
    }
    let warnings = files.load("c.yaml").unwrap();
    let problems = files.load_strictly("c.yaml").unwrap_err();
    assert_eq!(warnings, problems);
    let keys = [
        "poller_stream.password_file",
        "poller_stream.tls.key",
        "receiver_stream.token_file",
        "push_gateway.headers.X-A.file",
        "push_gateway.basic_auth.password_file",
        "remote_write[0].authorization.credentials_file",
        "remote_write[1].bearer_token_file",
        "remote_write[1].tls_config.key_file",
        "remote_write[2].oauth2.client_secret_file",
        "remote_write[3].http_headers.X-A.files[0]",
        "scrape_configs[0].kubernetes_sd_configs[0].kubeconfig_file",
    ];
    let found: Vec<&str> = problems.iter().map(|problem| &*problem.path).collect();
    assert_eq!(found, keys);
    for (problem, name) in problems.iter().zip(names) {
        let path = files.path(name).display().to_string();
        let what = format!("everybody can read the secret in `{path}` (mode 0644)");
        assert_eq!(problem.what, what);
        assert_eq!(problem.remedy, format!("run `chmod o= {path}`"));
    }
}

#[test]
fn every_secret_in_the_file_itself_counts() {
    #[track_caller]
    fn check_one(text: &str, key: &str) {
        let files = Files::new();
        let text = format!("debug: true\n{text}\n");
        files.write("c.yaml", &text, 0o644);
        let name = key.rsplit('.').next().unwrap();
        let what = format!("`{name}` is a secret, and everybody can read this file (mode 0644)");
        let expected = [(key, &*what)];
        check(&files.load("c.yaml").unwrap(), files.0.path(), &expected);
        check(
            &files.load_strictly("c.yaml").unwrap_err(),
            files.0.path(),
            &expected,
        );
        files.write("c.yaml", &format!("strict: true\n{text}"), 0o644);
        check(
            &files.load("c.yaml").unwrap_err(),
            files.0.path(),
            &expected,
        );
        files.write("c.yaml", &format!("strict: true\n{text}"), 0o640);
        assert_eq!(files.load("c.yaml"), Ok(Vec::new()));
    }
    check_one(
        "poller_stream: {urls: a, user: u, password: p}",
        "poller_stream.password",
    );
    check_one(
        "receiver_stream: {urls: a, token: p}",
        "receiver_stream.token",
    );
    check_one(
        "poller_stream: {urls: 'nats://u:p@a'}",
        "poller_stream.urls",
    );
    check_one("push_gateway: {url: 'http://u:p@a'}", "push_gateway.url");
    check_one(
        "push_gateway: {url: 'http://a', proxy_url: 'http://u:p@a'}",
        "push_gateway.proxy_url",
    );
    check_one(
        "push_gateway: {url: 'http://a', basic_auth: {username: u, password: p}}",
        "push_gateway.basic_auth.password",
    );
    check_one(
        "push_gateway: {url: 'http://a', http_headers: {X-A: {secrets: [p]}}}",
        "push_gateway.http_headers.X-A.secrets[0]",
    );
    check_one(
        "push_gateway: {url: 'http://a', proxy_url: 'http://a', proxy_connect_header: {X-A: [p]}}",
        "push_gateway.proxy_connect_header.X-A[0]",
    );
    check_one(
        "jobs: {a: {targets: [{url: 'http://u:p@a/'}]}}",
        "jobs.a.targets[0].url",
    );
}

#[test]
fn a_file_without_a_secret_may_be_read_by_everybody() {
    let files = Files::new();
    let text = "strict: true\npush_gateway: {url: 'http://a', basic_auth: {username: u}}\n";
    files.write("c.yaml", text, 0o644);
    assert_eq!(files.load("c.yaml"), Ok(Vec::new()));
}

#[test]
fn a_file_that_others_can_write_is_told() {
    let files = Files::new();
    let text = "poller_stream: {urls: a, nkey_file: s}\n";
    let (all, group) = (
        "everybody can write this file (mode 0606)",
        "a whole group can write this file (mode 0660)",
    );
    files.write("c.yaml", text, 0o606);
    check(&files.load("c.yaml").unwrap(), files.0.path(), &[("", all)]);
    check(
        &files.load_strictly("c.yaml").unwrap_err(),
        files.0.path(),
        &[("", all)],
    );
    files.write("c.yaml", text, 0o660);
    check(
        &files.load_strictly("c.yaml").unwrap(),
        files.0.path(),
        &[("", group)],
    );
    files.write("c.yaml", text, 0o600);
    for (mode, can) in [(0o602, "write"), (0o606, "read and write")] {
        files.write("s", "hunter2", mode);
        let what = format!("everybody can {can} the secret in `s` (mode {mode:04o})");
        let expected = [("poller_stream.nkey_file", &*what)];
        check(
            &files.load_strictly("c.yaml").unwrap_err(),
            files.0.path(),
            &expected,
        );
    }
}

#[test]
fn other_configuration_files_are_looked_at_as_well() {
    let files = Files::new();
    let text = "strict: true\nscrape_config_files: [jobs.yml]\nprometheus_config: prometheus.yml\n";
    files.write("c.yaml", text, 0o644);
    let jobs = "scrape_configs: [{job_name: a, bearer_token: p}]\n";
    files.write("jobs.yml", jobs, 0o644);
    let prometheus = "remote_write: [{url: 'http://a', bearer_token_file: s}]\n";
    files.write("prometheus.yml", prometheus, 0o644);
    files.write("s", "hunter2", 0o644);
    let problems = files.load("c.yaml").unwrap_err();
    let expected = [
        (
            "scrape_configs[0].bearer_token",
            "`bearer_token` is a secret, and everybody can read this file (mode 0644)",
        ),
        (
            "remote_write[0].bearer_token_file",
            "everybody can read the secret in `s` (mode 0644)",
        ),
    ];
    check(&problems, files.0.path(), &expected);
    assert!(problems[0].file.ends_with("/jobs.yml"), "{}", problems[0]);
    assert!(
        problems[1].file.ends_with("/prometheus.yml"),
        "{}",
        problems[1]
    );
    let remedy = format!(
        "run `chmod o= {}`, or move the secret to a file of its own",
        files.path("jobs.yml").display()
    );
    assert_eq!(problems[0].remedy, remedy);
}

#[test]
fn what_is_missing_or_is_no_file_is_told_by_whoever_needs_it() {
    let files = Files::new();
    let text = "strict: true\n\
                poller_stream: {urls: a, nkey_file: missing}\n\
                receiver_stream: {urls: a, credentials_file: /dev/null}\n";
    files.write("c.yaml", text, 0o644);
    assert_eq!(files.load("c.yaml"), Ok(Vec::new()));
}

#[test]
fn a_link_is_as_open_as_what_it_leads_to() {
    let files = Files::new();
    files.write(
        "c.yaml",
        "strict: true\npoller_stream: {urls: a, token_file: link}\n",
        0o644,
    );
    files.write("s", "hunter2", 0o600);
    std::os::unix::fs::symlink(files.path("s"), files.path("link")).unwrap();
    assert_eq!(files.load("c.yaml"), Ok(Vec::new()));
    files.write("s", "hunter2", 0o604);
    let what = "everybody can read the secret in `link` (mode 0604)";
    let expected = [("poller_stream.token_file", what)];
    check(
        &files.load("c.yaml").unwrap_err(),
        files.0.path(),
        &expected,
    );
}

#[test]
fn the_key_that_puppet_keeps_is_looked_at() {
    let files = Files::new();
    let text = "strict: true\n\
                tls: {scheme: puppet, identity: usdc1.example.net, ssl_dir: ssl}\n\
                poller_stream: {urls: a}\n";
    files.write("c.yaml", text, 0o644);
    fs::create_dir_all(files.path("ssl/private_keys")).unwrap();
    let key = "ssl/private_keys/usdc1.example.net.pem";
    files.write(key, "hunter2", 0o640);
    assert_eq!(files.load("c.yaml"), Ok(Vec::new()));
    files.write(key, "hunter2", 0o644);
    let what = format!("everybody can read the secret in `{key}` (mode 0644)");
    let expected = [("tls", &*what)];
    check(
        &files.load("c.yaml").unwrap_err(),
        files.0.path(),
        &expected,
    );
}

#[test]
fn a_web_configuration_is_looked_at_as_well() {
    let files = Files::new();
    let text = "strict: true\nmonitor_port: 1\nweb_config: web.yml\n";
    files.write("c.yaml", text, 0o644);
    let hash = "$2a$04$abcdefghijklmnopqrstuuaW94CIN2l.9vJEv6XJuxKEj/9vWzkrm";
    let web = format!(
        "tls_server_config: {{cert_file: c, key_file: k}}\nbasic_auth_users: {{me: {hash}}}\n"
    );
    files.write("web.yml", &web, 0o640);
    files.write("c", "public", 0o644);
    files.write("k", "hunter2", 0o600);
    assert_eq!(files.load("c.yaml"), Ok(Vec::new()));
    files.write("web.yml", &web, 0o644);
    files.write("k", "hunter2", 0o644);
    let expected = [
        (
            "basic_auth_users",
            "`basic_auth_users` is a secret, and everybody can read this file (mode 0644)",
        ),
        (
            "tls_server_config.key_file",
            "everybody can read the secret in `k` (mode 0644)",
        ),
    ];
    check(
        &files.load("c.yaml").unwrap_err(),
        files.0.path(),
        &expected,
    );
}
