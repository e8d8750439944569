//! Enrollment with a CA that answers as a Puppet server does, by the real programs.

use std::fs;
use std::path::Path;
use std::process::Output;

use rcgen::KeyPair;
use serde_json::json;

use crate::support::{
    Behavior, Lab, NatsServer, Program, PuppetCa, SiteTarget, Targets, Version, get, poller_config,
    run, wait_until,
};
use crate::{SCENARIO, SOON};

const NAME: &str = "usdc1.example.net";

const DAY: i64 = 24 * 3600;

/// Makes the server's certificate, and returns the configuration that uses it.
fn nats(ca: &PuppetCa, folder: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = ca.issue_for("localhost", &key);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    format!(
        "tls {{ ca_file: \"{}\", cert_file: \"{}\", key_file: \"{}\", verify: true }}",
        write("ca.pem", &ca.bundle()),
        write("server.pem", &certificate),
        write("server.key", &key.serialize_pem()),
    )
}

#[test]
fn a_poller_enrolls_itself_renews_and_learns_of_a_revocation() {
    run(SCENARIO, async |lab| {
        let ca = PuppetCa::start().await;
        let folder = lab.folder("server");
        let mut server = NatsServer::start_with(lab, Version::Newest, &nats(&ca, &folder)).await;
        // More than half of its life is over: it is to be renewed at once.
        ca.state().validity = (-11 * DAY, 9 * DAY);
        let targets = Targets::start(vec![Behavior::Counters(5)]).await;
        let target = SiteTarget::new("one", targets.url(0));
        let url = format!("tls://localhost:{}", server.port);
        let ssl = lab.folder("ssl").join("made");
        let mut config = poller_config("USDC1", &url, &[target]);
        config["tls"] = json!({"scheme": "puppet", "identity": NAME, "ssl_dir": ssl});
        config["enroll"] = json!({
            "ca": ca.address(), "wait": "1s", "crl_refresh": "1s",
            "extensions": {"pp_role": "poller"},
        });
        let poller = Program::poller(lab, config);
        let soon = async |what: &str, is_so: &dyn Fn() -> bool| {
            let look = async || if is_so() { Ok(()) } else { Err(poller.log()) };
            wait_until(SOON, what, look).await;
        };
        soon("it asks for a certificate", &|| ca.has_request(NAME)).await;
        assert!(get(poller.monitor, "/-/ready").await.is_err());
        ca.sign(NAME);
        let first = ca.certificate(NAME);
        ca.state().validity = (-DAY, 400 * DAY);
        ca.state().renews = true;
        publishes(&poller).await;
        wait_until(SOON, "the certificate is renewed", async || {
            let renewed = poller.metric("enroll_renewals_total", &[]).await;
            if renewed > 0.0 {
                Ok(())
            } else {
                Err(poller.log())
            }
        })
        .await;
        assert_ne!(ca.certificate(NAME), first);
        let renewed = fs::read_to_string(ssl.join(format!("certs/{NAME}.pem"))).unwrap();
        assert_eq!(renewed, ca.certificate(NAME).unwrap());
        publishes(&poller).await;
        server.restart(lab).await;
        publishes(&poller).await;
        ca.revoke("localhost");
        let lists = ca.lists();
        soon("it fetches the new list", &|| {
            fs::read_to_string(ssl.join("crl.pem")).is_ok_and(|text| text == lists)
        })
        .await;
        server.restart(lab).await;
        soon("it refuses the server", &|| {
            poller.log().contains("Revoked")
        })
        .await;
    });
}

/// Waits until more is published than now; before there is a certificate nothing is.
async fn publishes(poller: &Program) {
    let published = async || poller.metric("poller_published_total", &[]).await;
    let before = published().await;
    wait_until(SOON, "scrapes are published", async || {
        let enough = published().await > before + 1.0;
        if enough { Ok(()) } else { Err(poller.log()) }
    })
    .await;
}

#[test]
fn the_command_tells_by_its_exit_status_whether_there_is_a_certificate() {
    run(SCENARIO, async |lab| {
        let ca = PuppetCa::start().await;
        let dir = lab.folder("ssl");
        let (address, folder) = (ca.address(), dir.display().to_string());
        let enroll = |arguments: &[&str]| {
            let fixed = ["enroll", "--ca", &address, "--waitforcert", "0"];
            Program::output("prometheus-streams", &[&fixed[..], arguments].concat())
        };
        let unsigned = enroll(&[NAME, "--dir", &folder]);
        check(&unsigned, 1, "is not signed yet");
        check(&unsigned, 1, "NOT VERIFIED: the CA at localhost:");
        ca.sign(NAME);
        check(
            &enroll(&[NAME, "--dir", &folder]),
            0,
            "`usdc1.example.net` is enrolled",
        );
        check(
            &enroll(&[NAME, "--dir", &folder, "--renew"]),
            0,
            "revocation lists fetched",
        );
        let now = ["--renew", "--renew-before", "20y"];
        let refused = enroll(&[&[NAME, "--dir", &folder][..], &now].concat());
        check(&refused, 1, "the CA does not renew");
        check(
            &enroll(&["USDC1", "--dir", &folder]),
            1,
            "must be lower case",
        );
        check(&enroll(&[NAME]), 2, "name it with --dir DIR");
        let facts = ["--extension", "role=x"];
        let unknown = enroll(&[&[NAME, "--dir", &folder][..], &facts].concat());
        check(&unknown, 2, "is no extension that a Puppet CA signs");
        let trust = ["--ca-fingerprint", "SHA1"];
        let fingerprint = enroll(&[&[NAME, "--dir", &folder][..], &trust].concat());
        check(&fingerprint, 2, "64 hexadecimal digits");
    });
}

#[track_caller]
fn check(output: &Output, status: i32, words: &str) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(text.contains(words), "{text}");
}

#[test]
fn the_command_reads_what_the_configuration_says() {
    run(SCENARIO, async |lab| {
        let ca = PuppetCa::start().await;
        ca.state().signs_at_once = true;
        let config = lab.file("enroll", "yaml");
        let text = format!(
            "identity: {NAME}\nenroll: {{ca: '{}', ssl_dir: ssl, wait: 1s}}\n",
            ca.address()
        );
        fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap();
        let output = Program::output("prometheus-streams", &["--config", config, "enroll"]);
        check(&output, 0, "is enrolled");
        assert!(made(lab).exists());
    });
}

fn made(lab: &Lab) -> std::path::PathBuf {
    lab.path().join(format!("ssl/certs/{NAME}.pem"))
}
