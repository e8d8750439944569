//! No secret is ever shown: not in logs, pages, messages, the output of commands or the list of
//! processes, whatever fails.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::hub::write_secret;
use crate::support::{
    Answer, Behavior, Endpoint, Lab, NatsServer, Process, Program, Targets, Version, free_port,
    nobody, poller_config, program, run, wait_until,
};
use crate::{SCENARIO, SOON};

/// What every secret here begins with.
const MARK: &str = "hunter2";

fn secret(name: &str) -> String {
    format!("{MARK}-{name}")
}

/// Writes a secret's file and returns its path.
fn secret_file(lab: &Lab, name: &str) -> PathBuf {
    let path = lab.file(name, "secret");
    write_secret(&path, &secret(name));
    path
}

/// The keys of an HTTP client, one kind of credentials for each.
fn clients(lab: &Lab, token_url: &str) -> Vec<Value> {
    let key = |name: &str| json!({"X-Key": {"secrets": [secret(name)]}});
    vec![
        json!({"basic_auth": {"username": "u", "password": secret("basic")}}),
        json!({"basic_auth": {"username": "u", "password_file": secret_file(lab, "file")}}),
        json!({"bearer_token": secret("bearer")}),
        json!({"bearer_token_file": secret_file(lab, "bearer-file")}),
        json!({"authorization": {"type": "Token", "credentials": secret("credentials")}}),
        json!({"http_headers": key("header")}),
        json!({"oauth2": {
            "client_id": "i", "client_secret": secret("oauth2"), "token_url": token_url,
        }}),
        json!({
            "proxy_url": format!("http://u:{}@127.0.0.1:{}", secret("proxy"), free_port()),
            "proxy_connect_header": {"X-Key": [secret("connect")]},
        }),
    ]
}

fn with(mut object: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

/// A poller with each kind of credentials, for a target that refuses all and one that takes all.
fn poller(lab: &Lab, nats: u16, targets: &Targets) -> Value {
    let token_url = targets.url(0);
    let clients = clients(lab, &token_url);
    let mut configs = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        for target in 0..2 {
            let url = targets.url(target);
            let (address, path) = url
                .strip_prefix("http://")
                .unwrap()
                .split_once('/')
                .unwrap();
            let config = json!({
                "job_name": format!("job{index}-{target}"),
                "metrics_path": format!("/{path}"),
                "static_configs": [{"targets": [address]}],
            });
            configs.push(with(config, client));
        }
    }
    let consul = format!("127.0.0.1:{}", free_port());
    configs.push(json!({
        "job_name": "consul",
        "consul_sd_configs": [{"server": consul, "token": secret("consul")}],
    }));
    let in_url = |target| {
        let user = format!("http://u:{}@", secret("url"));
        let url = targets.url(target).replace("http://", &user);
        json!({"name": format!("url{target}"), "url": url})
    };
    json!({
        "identity": "USDC1", "debug": true, "scrape_interval": "1s",
        "poller_stream": {
            "urls": format!("nats://127.0.0.1:{nats}"), "user": "site", "password": secret("wrong"),
        },
        "scrape_configs": configs,
        "jobs": {"url": {"targets": [in_url(0), in_url(1)]}},
    })
}

/// A receiver with each kind of credentials.
fn receiver(lab: &Lab, nats: u16, endpoint: &Endpoint) -> Value {
    let clients = clients(lab, &endpoint.url());
    let mut endpoints = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        let sink = json!({"name": format!("sink{index}"), "url": endpoint.url()});
        endpoints.push(with(sink, client));
    }
    let in_url = format!("http://u:{}@", secret("sink-url"));
    endpoints.push(json!({
        "name": "url", "url": endpoint.url().replace("http://", &in_url),
    }));
    json!({
        "identity": "center", "debug": true,
        "receiver_stream": {
            "urls": format!("nats://u:{}@127.0.0.1:{nats}", secret("address")),
            "user": "site", "password_file": secret_file(lab, "right"),
        },
        "push_gateway": {"url": endpoint.url().replace("http://", &in_url)},
        "remote_write": endpoints,
    })
}

/// Fails if a secret is in a text.
#[track_caller]
fn shows_none(what: &str, text: &str) {
    if let Some(at) = text.find(MARK) {
        let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = text[start..].lines().next().unwrap();
        panic!("{what} shows a secret: {line}");
    }
    // Nor in the form in which basic authorization has it.
    for user in ["u", "site"] {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{MARK}"));
        // The last characters depend on what follows.
        let certain = &encoded[..encoded.len() - 4];
        assert!(!text.contains(certain), "{what} shows an encoded secret");
    }
}

fn output(arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program("prometheus-streams"))
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat()
}

async fn logs(program: &Program, words: &str) {
    wait_until(SOON, words, async || {
        let log = program.log();
        if log.contains(words) {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
}

/// Runs `check` on a file that is good and on one that is not.
fn checks_show_none(good: &Path, refused: &Path) {
    for (file, words) in [(good, "401"), (refused, "`password` must be")] {
        for arguments in [
            &["check", "--targets"][..],
            &["check", "--scrape", "url/url0"],
            &["check", "--relabel", "url/url0"],
        ] {
            let text = output(arguments, file);
            let is_scrape = arguments.contains(&"--scrape");
            let is_told = text.contains(words);
            assert!(is_told || (file == good && !is_scrape), "{text}");
            shows_none("check", &text);
        }
    }
}

#[test]
fn no_secret_is_shown_whatever_fails() {
    run(SCENARIO, async |lab| {
        let right = secret("right");
        let server = format!("authorization {{ user: site, password: \"{right}\" }}");
        let nats = NatsServer::start_with(lab, Version::Packaged, &server).await;
        let targets = Targets::start(vec![Behavior::Status(401), Behavior::Counters(5)]).await;
        let endpoint = Endpoint::start().await;
        let mut config = poller(lab, nats.port, &targets);
        let poller = Program::poller(lab, config.clone());
        logs(&poller, "cannot connect to NATS").await;
        config["poller_stream"]["password"] = json!(secret("right"));
        poller.rewrite(config.clone());
        poller.hang_up();
        let receiver = Program::receiver(lab, receiver(lab, nats.port, &endpoint));
        endpoint.receives("url1", 1, SOON).await;
        endpoint.set(Answer::Status(401));
        let requests = endpoint.requests();
        wait_until(SOON, "sinks are refused", async || {
            let more = endpoint.requests() - requests;
            if more > 20 {
                Ok(())
            } else {
                Err(format!("{more}"))
            }
        })
        .await;
        for job in ["job0-0", "job2-0", "job4-0", "url"] {
            wait_until(SOON, job, async || {
                let log = poller.log();
                if log.contains(job) { Ok(()) } else { Err(log) }
            })
            .await;
        }
        // A reload that is refused, for secrets in the wrong form.
        let mut broken = config.clone();
        broken["poller_stream"]["password"] = json!([secret("list")]);
        broken["jobs"]["url"]["targets"] = json!([{"url": format!("ftp://u:{MARK}@a")}]);
        broken["scrape_configs"][0]["basic_auth"]["password"] = json!({"a": secret("mapping")});
        poller.rewrite(broken.clone());
        poller.hang_up();
        logs(&poller, "its scheme is neither `http` nor `https`").await;
        let (good, refused) = (lab.file("good", "yaml"), lab.file("refused", "yaml"));
        write_secret(&good, &config.to_string());
        write_secret(&refused, &broken.to_string());
        checks_show_none(&good, &refused);
        let mut tail = Command::new(program("prometheus-streams"));
        tail.arg("--config").arg(&good).arg("tail");
        let tail = Process::spawn(lab, "tail", &mut tail);
        wait_until(SOON, "samples are seen", async || {
            let text = tail.log();
            if text.contains("sim_scrapes_total") {
                Ok(())
            } else {
                Err(text)
            }
        })
        .await;
        shows_none("tail", &tail.log());
        for (what, program) in [("the poller", &poller), ("the receiver", &receiver)] {
            assert!(program.log().contains("DEBUG"), "{what} does not debug");
            shows_none(what, &program.log());
            let page = crate::support::get(program.monitor, "/metrics").await;
            shows_none(what, &page.unwrap());
            for file in ["cmdline", "environ"] {
                let bytes = fs::read(format!("/proc/{}/{file}", program.id())).unwrap();
                shows_none(what, &String::from_utf8_lossy(&bytes));
            }
        }
    });
}

#[test]
fn a_secret_that_everybody_can_read_is_a_warning_or_with_strict_a_problem() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let password = lab.file("nats", "password");
        fs::write(&password, secret("open")).unwrap();
        fs::set_permissions(&password, Permissions::from_mode(0o644)).unwrap();
        let mut config = poller_config("USDC1", &nats.url(), &nobody());
        config["poller_stream"]["user"] = json!("site");
        config["poller_stream"]["password_file"] = json!(password);
        let poller = Program::poller(lab, config.clone());
        let told = format!("everybody can read the secret in `{}`", password.display());
        logs(&poller, &told).await;
        config["strict"] = json!(true);
        poller.rewrite(config.clone());
        poller.hang_up();
        logs(&poller, "the new configuration is refused").await;
        let file = lab.file("strict", "yaml");
        config["strict"] = json!(false);
        fs::write(&file, config.to_string()).unwrap();
        let check = |arguments: &[&str]| {
            let output = Command::new(program("prometheus-streams"))
                .arg("check")
                .args(arguments)
                .arg(&file)
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains(&told), "{text}");
            output.status.code()
        };
        assert_eq!(check(&[]), Some(0));
        assert_eq!(check(&["--strict"]), Some(1));
        config["strict"] = json!(true);
        fs::write(&file, config.to_string()).unwrap();
        assert_eq!(check(&[]), Some(1));
        let mut refused = Program::poller(lab, config);
        assert_eq!(refused.exited(SOON).await.code(), Some(1));
    });
}
