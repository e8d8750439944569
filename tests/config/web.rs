//! Web configurations, tried with curl on our own pages.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use prometheus_streams::admin::{Admin, AdminError, Readiness, Settings};
use prometheus_streams::config::{self, Config};
use prometheus_streams::telemetry::Metrics;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Our own pages, as long as this lives.
struct Pages {
    folder: TempDir,
    port: u16,
    stop: CancellationToken,
    _runtime: Runtime,
}

/// A file in place of the one before, as a careful editor writes it.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn open(file: &Path) -> Result<Admin, AdminError> {
    let settings = Settings {
        address: Some(Ipv4Addr::LOCALHOST.into()),
        port: 0,
    };
    let admin = Admin::open(settings, Metrics::new(), Readiness::default())?;
    admin.secured_by(file, |file| {
        config::web_config(file).map_err(|error| error.to_string())
    })
}

impl Pages {
    /// Serves by a web configuration; `files` are written beside it.
    fn start(text: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            write(&folder.path().join(name), text);
        }
        let file = folder.path().join("web.yml");
        write(&file, text);
        let runtime = Runtime::new().unwrap();
        let stop = CancellationToken::new();
        let admin = runtime.block_on(async { open(&file) }).unwrap();
        let port = admin.address().unwrap().port();
        runtime.spawn(admin.run(stop.clone()));
        Self {
            folder,
            port,
            stop,
            _runtime: runtime,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Asks with curl; `000` is the status where there was no answer.
    fn get(&self, scheme: &str, options: &[&str]) -> (String, String) {
        let output = Command::new("curl")
            .args(["-s", "-i", "-m", "20", "--noproxy", "*"])
            .args(["-w", "\n%{http_code} HTTP/%{http_version}"])
            .args(options)
            .arg(format!("{scheme}://localhost:{}/-/healthy", self.port))
            .current_dir(self.folder.path())
            .output()
            .expect("curl is needed: apt-get install curl");
        let text = String::from_utf8(output.stdout).unwrap();
        let (text, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), text.to_lowercase())
    }

    #[track_caller]
    fn check(&self, scheme: &str, options: &[&str], expected: &str) -> String {
        let (status, text) = self.get(scheme, options);
        assert!(
            status.starts_with(expected),
            "{status}, not {expected}\n{text}"
        );
        text
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An authority, and what it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        // Of its own: openssl takes a certificate with the name of its issuer for self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A certificate for a name, and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// `hunter2` at the lowest cost.
fn users(password: &str) -> String {
    let hash = bcrypt::hash(password, 4).unwrap();
    format!("basic_auth_users:\n  me: {hash}\n")
}

#[test]
fn users_need_their_password_and_the_file_is_followed() {
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
    let pages = Pages::start(&format!("{}{headers}", users("hunter2")), &[]);
    let refused = pages.check("http", &[], "401");
    assert!(refused.contains("www-authenticate: basic"), "{refused}");
    assert!(refused.contains("x-frame-options: deny"), "{refused}");
    pages.check("http", &["-u", "me:hunter3"], "401");
    pages.check("http", &["-u", "you:hunter2"], "401");
    for _ in 0..2 {
        let answer = pages.check("http", &["-u", "me:hunter2"], "200");
        assert!(answer.contains("healthy"), "{answer}");
    }
    write(&pages.path("web.yml"), &users("other"));
    pages.check("http", &["-u", "me:hunter2"], "401");
    let answer = pages.check("http", &["-u", "me:other"], "200");
    assert!(!answer.contains("x-frame-options"), "{answer}");
    // Whoever closes the pages must not find them open.
    write(&pages.path("web.yml"), "basic_auth_user: {}\n");
    pages.check("http", &["-u", "me:other"], "000");
    fs::remove_file(pages.path("web.yml")).unwrap();
    pages.check("http", &[], "000");
    write(&pages.path("web.yml"), "");
    pages.check("http", &[], "200");
}

#[test]
fn tls_is_spoken_in_both_versions_of_http_and_certificates_are_followed() {
    let (old, new) = (Authority::new(), Authority::new());
    let (certificate, key) = old.sign("localhost");
    let text = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    let pages = Pages::start(
        text,
        &[
            ("server.pem", &certificate),
            ("server.key", &key),
            ("old.pem", &old.pem),
            ("new.pem", &new.pem),
        ],
    );
    pages.check("https", &["--cacert", "old.pem"], "200 HTTP/2");
    pages.check(
        "https",
        &["--cacert", "old.pem", "--http1.1"],
        "200 HTTP/1.1",
    );
    pages.check("https", &["--cacert", "new.pem"], "000");
    pages.check("http", &[], "000");
    let (certificate, key) = new.sign("localhost");
    write(&pages.path("server.key"), &key);
    // Half of a pair is nothing.
    pages.check("https", &["--cacert", "old.pem"], "000");
    write(&pages.path("server.pem"), &certificate);
    pages.check("https", &["--cacert", "new.pem"], "200 HTTP/2");
    let older = format!("{text}  max_version: TLS12\nhttp_server_config:\n  http2: false\n");
    write(&pages.path("web.yml"), &older);
    pages.check("https", &["--cacert", "new.pem"], "200 HTTP/1.1");
    pages.check("https", &["--cacert", "new.pem", "--tlsv1.3"], "000");
}

#[test]
fn clients_need_a_certificate_with_a_name_that_is_allowed() {
    let (ours, foreign) = (Authority::new(), Authority::new());
    let (certificate, key) = ours.sign("localhost");
    let text = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  \
                client_ca_file: ca.pem\n  client_auth_type: ";
    let good = ours.sign("prometheus.example.net");
    let bad = foreign.sign("prometheus.example.net");
    let pages = Pages::start(
        &format!("{text}RequireAndVerifyClientCert\n"),
        &[
            ("ca.pem", &ours.pem),
            ("server.pem", &certificate),
            ("server.key", &key),
            ("good.pem", &good.0),
            ("good.key", &good.1),
            ("bad.pem", &bad.0),
            ("bad.key", &bad.1),
        ],
    );
    let none = ["--cacert", "ca.pem"];
    let good = [&none[..], &["--cert", "good.pem", "--key", "good.key"]].concat();
    let bad = [&none[..], &["--cert", "bad.pem", "--key", "bad.key"]].concat();
    let expect = |policy: &str, expected: [&str; 3]| {
        write(&pages.path("web.yml"), &format!("{text}{policy}\n"));
        for (options, expected) in [&none[..], &good, &bad].iter().zip(expected) {
            pages.check("https", options, expected);
        }
    };
    expect("RequireAndVerifyClientCert", ["000", "200", "000"]);
    expect("VerifyClientCertIfGiven", ["200", "200", "000"]);
    expect("RequireAnyClientCert", ["000", "200", "200"]);
    expect("RequestClientCert", ["200", "200", "200"]);
    let names = "\n  client_allowed_sans: [prometheus.example.net]";
    expect(
        &format!("RequireAndVerifyClientCert{names}"),
        ["000", "200", "000"],
    );
    let others = "\n  client_allowed_sans: [other.example.net]";
    expect(
        &format!("RequireAndVerifyClientCert{others}"),
        ["000", "000", "000"],
    );
}

#[test]
fn too_many_requests_are_turned_away() {
    let pages = Pages::start("rate_limit:\n  interval: 1h\n  burst: 2\n", &[]);
    for expected in ["200", "200", "429", "429"] {
        pages.check("http", &[], expected);
    }
}

#[test]
fn a_wrong_file_ends_the_start_with_words_that_name_it() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.yml");
    let error = |text: &str| {
        write(&file, text);
        let error = runtime.block_on(async { open(&file) }).unwrap_err();
        error.to_string()
    };
    let words = error("basic_auth_users:\n  me: hunter2\n");
    assert!(
        words.contains("web.yml:2:7: the password of user `me`"),
        "{words}"
    );
    assert!(!words.contains("hunter2"), "{words}");
    let words = error("tls_server_config:\n  cert_file: a.pem\n  key_file: a.key\n");
    assert!(words.contains("a.pem`"), "{words}");
    write(
        &folder.path().join("a.pem"),
        "-----BEGIN CERTIFICATE-----\nnonsense\n",
    );
    let words = error("tls_server_config:\n  cert_file: a.pem\n  key_file: a.key\n");
    assert!(
        words.contains("a.pem`") && words.contains("line"),
        "{words}"
    );
}

#[test]
fn pages_that_are_closed_are_not_scraped_by_the_poller_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let load = |web: &str| {
        write(&folder.path().join("web.yml"), web);
        let text = "monitor_port: 10000\nweb_config: web.yml\npoller_stream: {urls: h}\n";
        write(&path, text);
        let loaded = Config::load(&path).unwrap();
        let warnings = config::render(&loaded.warnings);
        (loaded.config.scrape.configs.len(), warnings)
    };
    let (jobs, warnings) = load("http_server_config: {http2: false}\n");
    assert_eq!((jobs, &*warnings), (1, ""));
    let (jobs, warnings) = load(&users("a"));
    assert_eq!(jobs, 0);
    assert!(
        warnings.contains("does not scrape its own pages"),
        "{warnings}"
    );
}
