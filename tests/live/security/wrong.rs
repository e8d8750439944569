//! Credentials that the server does not take: the log says so, and does not show them.

use std::fs;

use nkeys::KeyPair;
use serde_json::{Value, json};

use super::hub::write_secret;
use crate::support::{Lab, NatsServer, Program, Version, nobody, poller_config, run, wait_until};
use crate::{SCENARIO, SOON};

/// Runs a poller with `auth` in its stream settings, and returns when it has said that it is
/// refused, which must not show any of `secrets`.
async fn is_refused(lab: &Lab, server: &str, auth: &Value, secrets: &[&str]) {
    for version in [Version::Packaged, Version::Newest] {
        let nats = NatsServer::start_with(lab, version, server).await;
        let mut config = poller_config("USDC1", &nats.url(), &nobody());
        config["debug"] = true.into();
        for (key, value) in auth.as_object().unwrap() {
            config["poller_stream"][key] = value.clone();
        }
        let poller = Program::poller(lab, config);
        wait_until(SOON, "the poller says that it is refused", async || {
            let log = poller.log();
            let is_told = log.lines().any(|line| {
                line.contains("cannot connect to NATS")
                    && line.to_lowercase().contains("authorization violation")
            });
            if is_told { Ok(()) } else { Err(log) }
        })
        .await;
        for secret in secrets {
            assert!(!poller.log().contains(secret), "`{secret}` is in the log");
        }
    }
}

#[test]
fn a_wrong_password_is_refused() {
    run(SCENARIO, async |lab| {
        let server = r#"authorization { user: site, password: "hunter2" }"#;
        let auth = json!({"user": "site", "password": "hunter22"});
        is_refused(lab, server, &auth, &["hunter2"]).await;
    });
}

#[test]
fn a_wrong_token_is_refused() {
    run(SCENARIO, async |lab| {
        let file = lab.path().join("token");
        write_secret(&file, "hunter22\n");
        let server = r#"authorization { token: "hunter2" }"#;
        is_refused(lab, server, &json!({"token_file": file}), &["hunter2"]).await;
    });
}

#[test]
fn an_unknown_nkey_is_refused() {
    run(SCENARIO, async |lab| {
        let (known, unknown) = (KeyPair::new_user(), KeyPair::new_user());
        let server = format!(
            "authorization {{ users: [{{ nkey: {} }}] }}",
            known.public_key()
        );
        let (file, seed) = (lab.path().join("site.nk"), unknown.seed().unwrap());
        write_secret(&file, &seed);
        is_refused(lab, &server, &json!({"nkey_file": file}), &[&seed]).await;
    });
}

#[test]
fn credentials_of_an_unknown_account_are_refused() {
    run(SCENARIO, async |lab| {
        let (server, known) = crate::auth::operator_mode();
        let (stranger, user) = (KeyPair::new_account(), KeyPair::new_user());
        assert_ne!(known.public_key(), stranger.public_key());
        let (file, seed) = (lab.path().join("site.creds"), user.seed().unwrap());
        write_secret(&file, &crate::auth::credentials(&user, &stranger));
        let text = fs::read_to_string(&file).unwrap();
        let token = text.lines().nth(1).unwrap();
        let auth = json!({"credentials_file": file});
        is_refused(lab, &server, &auth, &[&seed, token]).await;
    });
}

#[test]
fn a_file_that_holds_no_credentials_ends_the_program_and_is_not_shown() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        for (key, text) in [
            ("nkey_file", "hunter2\n"),
            ("nkey_file", "SUhunter2\n"),
            ("credentials_file", "hunter2\n"),
        ] {
            let file = lab.file(key, "secret");
            write_secret(&file, text);
            let mut config = poller_config("USDC1", &nats.url(), &nobody());
            config["poller_stream"][key] = json!(file);
            let mut poller = Program::poller(lab, config);
            assert_eq!(poller.exited(SOON).await.code(), Some(1));
            let log = poller.log();
            assert!(log.contains(file.to_str().unwrap()), "{key}: {log}");
            assert!(!log.contains("hunter2"), "{key}: {log}");
        }
    });
}
