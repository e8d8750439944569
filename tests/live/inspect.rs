//! Looking at messages: `tail` and `decode`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{
    Behavior, Bus, Lab, NatsServer, Process, Program, SiteTarget, Targets, Version, poller_config,
    program, run, wait_until,
};
use crate::{SCENARIO, SOON};

async fn site(lab: &Lab) -> (NatsServer, Targets, Program) {
    let nats = NatsServer::start(lab, Version::Packaged).await;
    let targets = Targets::start(vec![Behavior::Counters(2)]).await;
    let target = SiteTarget::new("one", targets.url(0));
    let poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &[target]));
    wait_until(SOON, "scrapes are published", async || {
        let published = poller.metric("poller_published_total", &[]).await;
        if published >= 1.0 {
            Ok(())
        } else {
            Err(published.to_string())
        }
    })
    .await;
    (nats, targets, poller)
}

#[test]
fn tail_follows_and_leaves_no_trace() {
    run(SCENARIO, async |lab| {
        let (nats, _targets, _poller) = site(lab).await;
        let config = lab.file("tail", "yaml");
        let text = poller_config("operator", &nats.url(), &[]).to_string();
        std::fs::write(&config, text).unwrap();
        let follow = |arguments: &[&str]| {
            let mut command = Command::new(program("prometheus-streams"));
            command
                .arg("--config")
                .arg(&config)
                .arg("tail")
                .args(arguments);
            Process::spawn(lab, "tail", &mut command)
        };
        let all = follow(&["--publisher", "USDC1", "--job", "sim", "--instance", "one"]);
        let other = follow(&["--publisher", "EUDC1"]);
        wait_until(SOON, "samples are seen", async || {
            let seen = all.log();
            let labels = r#"{instance="one",job="sim",publisher="USDC1"}"#;
            let sample = format!("sim_scrapes_total{labels} ");
            if seen.contains(&sample) {
                Ok(())
            } else {
                Err(seen)
            }
        })
        .await;
        assert_eq!(other.log(), "", "another site was asked for");
        drop((all, other));
        let bus = Bus::connect(&nats.url()).await;
        wait_until(SOON, "the readers are gone", async || {
            match bus.info().await?.state.consumer_count {
                0 => Ok(()),
                count => Err(format!("{count} consumers")),
            }
        })
        .await;
    });
}

#[test]
fn decode_prints_a_stored_message() {
    run(SCENARIO, async |lab| {
        let (nats, _targets, _poller) = site(lab).await;
        let bus = Bus::connect(&nats.url()).await;
        let stored = wait_until(SOON, "a message is stored", async || {
            let messages = bus.messages("prometheus.>").await?;
            messages
                .into_iter()
                .next_back()
                .ok_or_else(|| "none".to_owned())
        })
        .await;
        let decode = |payload: &[u8]| {
            let mut command = Command::new(program("prometheus-streams"));
            command.args(["decode", "-"]).stdin(Stdio::piped());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(payload).unwrap();
            child.wait_with_output().unwrap()
        };
        let good = decode(&stored.payload);
        let text = String::from_utf8(good.stdout).unwrap();
        assert_eq!(good.status.code(), Some(0), "{text}");
        assert!(text.starts_with("# key frame "), "{text}");
        assert!(
            text.contains("\nsim_scrapes_total{instance=\"one\",job=\"sim\"} "),
            "{text}"
        );
        let bad = decode(b"no frame");
        assert_eq!(bad.status.code(), Some(1));
        let text = String::from_utf8(bad.stderr).unwrap();
        assert!(text.contains("frame version 110 is unknown"), "{text}");
    });
}
