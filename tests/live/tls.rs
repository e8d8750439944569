//! TLS to a real server: files that are replaced, revocation, and TLS before anything else.

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::support::{
    Behavior, Lab, NatsServer, Pki, Program, SiteTarget, Targets, Version, poller_config, run,
    wait_until,
};
use crate::{SCENARIO, SOON};

const BOTH: [Version; 2] = [Version::Packaged, Version::Newest];

/// A server with mutual TLS and a poller.
struct Stage {
    nats: NatsServer,
    poller: Program,
    _targets: Targets,
}

impl Stage {
    /// Starts both; `stream` is added to the poller's stream settings.
    async fn start(lab: &Lab, version: Version, server: &str, stream: Value) -> Self {
        let nats = NatsServer::start_with(lab, version, server).await;
        let targets = Targets::start(vec![Behavior::Counters(5)]).await;
        let target = SiteTarget::new("one", targets.url(0));
        let mut config = poller_config("USDC1", &nats.url(), &[target]);
        for (key, value) in stream.as_object().unwrap() {
            config["poller_stream"][key] = value.clone();
        }
        let poller = Program::poller(lab, config);
        Self {
            nats,
            poller,
            _targets: targets,
        }
    }

    /// Waits until more is published than now.
    async fn publishes(&self) {
        let before = self.published().await;
        wait_until(SOON, "scrapes are published", async || {
            let published = self.published().await;
            if published > before + 1.0 {
                Ok(())
            } else {
                Err(format!("{published} published, {before} before"))
            }
        })
        .await;
    }

    async fn published(&self) -> f64 {
        self.poller.metric("poller_published_total", &[]).await
    }

    async fn says(&self, text: &str) {
        wait_until(SOON, text, async || {
            let log = self.poller.log();
            if log.contains(text) { Ok(()) } else { Err(log) }
        })
        .await;
    }

    /// Returns the names in the certificates that the server was shown.
    async fn shown(&self) -> String {
        let page = self.nats.page("/connz?auth=true").await.unwrap();
        let page: Value = serde_json::from_str(&page).unwrap();
        page["connections"][0]["authorized_user"].to_string()
    }
}

/// An authority, a certificate for the server and one for us, by the names `server` and `client`.
fn pki(lab: &Lab) -> Pki {
    let pki = Pki::new(&lab.folder("pki"));
    pki.issue("server", "127.0.0.1", 11);
    pki.issue("client", "old.example.net", 12);
    pki
}

#[test]
fn a_renewed_certificate_is_shown_at_the_next_connection() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let pki = pki(lab);
            let users = "authorization { users: [{user: \"CN=old.example.net\"}, \
                         {user: \"CN=new.example.net\"}] }";
            let server = format!("{}\n{users}", pki.nats("verify_and_map: true"));
            let tls = json!({"tls": pki.tls()});
            let mut stage = Stage::start(lab, version, &server, tls).await;
            stage.publishes().await;
            assert!(stage.shown().await.contains("CN=old"));
            // In between they do not fit, as in a renewal that is under way.
            let new = pki.sign("new.example.net", 13);
            pki.write("client.key", &new.key);
            stage.nats.restart(lab).await;
            stage.publishes().await;
            assert!(stage.shown().await.contains("CN=old"));
            stage.says("the last good one stays in use").await;
            pki.write("client.pem", &new.certificate);
            stage.nats.restart(lab).await;
            stage.publishes().await;
            assert!(stage.shown().await.contains("CN=new"));
        }
    });
}

#[test]
fn the_files_of_an_ssldir_are_used_and_a_server_that_is_revoked_later_is_refused() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let pki = pki(lab);
            let own = pki.sign("usdc1.example.net", 14);
            let ca = fs::read_to_string(pki.path("ca.pem")).unwrap();
            pki.write("ssl/certs/ca.pem", &ca);
            pki.write("ssl/certs/usdc1.example.net.pem", &own.certificate);
            pki.write("ssl/private_keys/usdc1.example.net.pem", &own.key);
            let tls = json!({"tls": {
                "scheme": "puppet", "identity": "usdc1.example.net", "ssl_dir": pki.path("ssl"),
            }});
            let mut stage = Stage::start(lab, version, &pki.nats(""), tls).await;
            stage.publishes().await;
            pki.write("ssl/crl.pem", &pki.lists(&[12]));
            stage.nats.restart(lab).await;
            stage.publishes().await;
            pki.write("ssl/crl.pem", &pki.lists(&[11, 12]));
            stage.nats.restart(lab).await;
            stage.says("Revoked").await;
            // The server has another one then.
            pki.issue("server", "127.0.0.1", 15);
            stage.nats.restart(lab).await;
            stage.publishes().await;
            let file = pki.path("ssl/certs/usdc1.example.net.pem");
            let name = "tls_certificate_expiry_timestamp_seconds";
            let end = stage.poller.metric(name, &[("file", &file)]).await;
            assert!((end - 32_472_144_000.0).abs() < 1.0, "{end}");
        }
    });
}

#[test]
fn tls_comes_first_where_both_sides_want_it() {
    run(SCENARIO, async |lab| {
        let pki = pki(lab);
        let first = pki.nats("handshake_first: true");
        let wants = json!({"tls": pki.tls(), "tls_first": true});
        let stage = Stage::start(lab, Version::Newest, &first, wants.clone()).await;
        stage.publishes().await;
        let does_not = json!({"tls": pki.tls()});
        let stage = Stage::start(lab, Version::Newest, &first, does_not).await;
        stage.says("needs `tls_first: true`").await;
        for version in BOTH {
            let stage = Stage::start(lab, version, &pki.nats(""), wants.clone()).await;
            stage.says("that takes `handshake_first`").await;
        }
    });
}

#[test]
fn a_server_may_have_another_name_and_old_versions_are_refused() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let pki = pki(lab);
            pki.issue("server", "nats.example.net", 16);
            let mut tls = pki.tls();
            let stream = json!({"tls": tls});
            let stage = Stage::start(lab, version, &pki.nats(""), stream).await;
            stage.says("not valid for name").await;
            tls["server_name"] = "nats.example.net".into();
            tls["min_version"] = "TLS13".into();
            let stream = json!({"tls": tls});
            let stage = Stage::start(lab, version, &pki.nats(""), stream).await;
            stage.publishes().await;
            tls["server_name"] = Value::Null;
            tls["insecure_skip_verify"] = true.into();
            let stream = json!({"tls": tls});
            let stage = Stage::start(lab, version, &pki.nats(""), stream).await;
            stage.publishes().await;
        }
    });
}

#[test]
fn the_log_says_that_our_certificate_has_ended_or_is_a_stranger() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let pki = pki(lab);
            let late = pki.sign_until("old.example.net", 17, 2001);
            pki.write("client.key", &late.key);
            pki.write("client.pem", &late.certificate);
            let stream = json!({"tls": pki.tls()});
            let stage = Stage::start(lab, version, &pki.nats(""), stream.clone()).await;
            stage.says("our certificate is out of time").await;
            stage.says("cannot connect to NATS").await;
            stage.says("received fatal alert").await;
            let stranger = Pki::new(&lab.folder("stranger"));
            let signed = stranger.sign("old.example.net", 18);
            pki.write("client.key", &signed.key);
            pki.write("client.pem", &signed.certificate);
            stage.says("TLS files have changed").await;
        }
    });
}

#[test]
fn rsa_keys_are_taken_in_both_forms() {
    run(SCENARIO, async |lab| {
        let pki = pki(lab);
        let made = pki.path("made.key");
        openssl(&["genpkey", "-algorithm", "RSA", "-out", &made]);
        let key = fs::read_to_string(&made).unwrap();
        let signed = pki.sign_with(
            &KeyPair::from_pem(&key).unwrap(),
            "old.example.net",
            19,
            2999,
        );
        pki.write("client.pem", &signed.certificate);
        let stream = json!({"tls": pki.tls()});
        for form in ["PRIVATE KEY", "RSA PRIVATE KEY"] {
            let mut arguments = vec!["rsa", "-in", &made, "-out"];
            let to = pki.path("client.key");
            arguments.push(&to);
            if form.starts_with("RSA") {
                arguments.push("-traditional");
            }
            openssl(&arguments);
            let text = fs::read_to_string(&to).unwrap();
            assert!(text.starts_with(&format!("-----BEGIN {form}-----")));
            let stage = Stage::start(lab, Version::Packaged, &pki.nats(""), stream.clone()).await;
            stage.publishes().await;
        }
        let locked = pki.path("client.key");
        openssl(&[
            "rsa",
            "-in",
            &made,
            "-aes128",
            "-passout",
            "pass:hunter2",
            "-out",
            &locked,
        ]);
        let text = checked(lab, &json!({"tls": pki.tls()}));
        assert!(text.contains("protected by a password"), "{text}");
        assert!(text.contains("`openssl pkey -in"), "{text}");
    });
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output();
    let output = output.expect("openssl is missing: apt install openssl");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// Returns what `check` prints about a configuration.
fn checked(lab: &Lab, config: &Value) -> String {
    let path = lab.file("checked", "yaml");
    fs::write(&path, config.to_string()).unwrap();
    let output = Program::output("prometheus-streams", &["check", path.to_str().unwrap()]);
    let folder = lab.path().to_str().unwrap().to_owned();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.success(), text.contains(" is good"), "{text}");
    text.replace(&folder, "DIR")
}

#[test]
fn check_reads_every_file() {
    run(SCENARIO, async |lab| {
        let pki = pki(lab);
        let mut tls = pki.tls();
        tls["crl"] = pki.path("crl.pem").into();
        pki.write("crl.pem", &pki.lists(&[]));
        let config = json!({"tls": tls});
        assert!(checked(lab, &config).ends_with(" is good\n"));
        let gone = Path::new(&pki.path("client.key")).to_owned();
        fs::remove_file(&gone).unwrap();
        let text = checked(lab, &config);
        assert!(text.contains("cannot read private key file"), "{text}");
        assert!(text.ends_with(" is good, with 1 warning\n"), "{text}");
        pki.write("client.key", "hello");
        let text = checked(lab, &config);
        assert!(text.contains("client.key` holds no private key"), "{text}");
        assert!(text.contains(".yaml:1:2: "), "{text}");
        // Those of other connections are looked at as well.
        let sink = json!({"remote_write": [{
            "url": "https://127.0.0.1:1/", "tls_config": {"ca_file": pki.path("client.key")},
        }]});
        let text = checked(lab, &sink);
        assert!(text.contains("client.key` holds no certificate"), "{text}");
        let enrolled = json!({"tls": {
            "scheme": "puppet", "identity": "a.example", "ssl_dir": lab.path().join("none"),
        }});
        let text = checked(lab, &enrolled);
        let command = "run `prometheus-streams enroll a.example --dir DIR/none`";
        assert!(text.contains(command), "{text}");
    });
}

#[test]
fn a_secret_that_was_replaced_is_used_at_the_next_connection() {
    run(SCENARIO, async |lab| {
        for version in BOTH {
            let server =
                |password: &str| format!("authorization {{ user: site, password: {password:?} }}");
            let file = lab.file("password", "txt");
            fs::write(&file, "hunter2\n").unwrap();
            let stream = json!({"user": "site", "password_file": file});
            let mut stage = Stage::start(lab, version, &server("hunter2"), stream).await;
            stage.publishes().await;
            stage.nats.rewrite(&server("hunter3"));
            stage.nats.restart(lab).await;
            stage.says("authorization violation").await;
            fs::remove_file(&file).unwrap();
            stage.says("cannot read secret file").await;
            fs::write(&file, "hunter3\n").unwrap();
            stage.publishes().await;
            assert!(
                !stage.poller.log().contains("hunter"),
                "a secret is in the log"
            );
        }
    });
}

#[test]
fn a_user_and_a_token_may_stand_in_the_address() {
    run(SCENARIO, async |lab| {
        let user = r#"authorization { user: site, password: "hunter2" }"#;
        let token = r#"authorization { token: "hunter2" }"#;
        for (server, login) in [(user, "site:hunter2"), (token, "hunter2")] {
            let nats = NatsServer::start_with(lab, Version::Packaged, server).await;
            let targets = Targets::start(vec![Behavior::Counters(5)]).await;
            let target = SiteTarget::new("one", targets.url(0));
            let url = format!("nats://{login}@127.0.0.1:{}", nats.port);
            let poller = Program::poller(lab, poller_config("USDC1", &url, &[target]));
            let stage = Stage {
                nats,
                poller,
                _targets: targets,
            };
            stage.publishes().await;
        }
    });
}
