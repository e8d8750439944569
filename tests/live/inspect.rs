//! Looking at messages: `tail` and `decode`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use prometheus_streams::wire::Role;

use crate::support::{
    Behavior, Bus, Lab, LaneWriter, NatsServer, Process, Program, SiteTarget,
    StoredMessage as Stored, Targets, Version, poller_config, program, run, wait_until,
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
fn tail_says_why_it_sees_nothing() {
    run(SCENARIO, async |lab| {
        let config = lab.file("tail", "yaml");
        let text = poller_config("operator", "nats://127.0.0.1:1", &[]).to_string();
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program("prometheus-streams"));
        command.arg("--config").arg(&config).arg("tail");
        let tail = Process::spawn(lab, "tail", &mut command);
        wait_until(SOON, "the reason is told", async || {
            let log = tail.log();
            let is_told = log.contains("cannot connect to NATS") && log.contains("refused");
            is_told.then_some(()).ok_or(log)
        })
        .await;
    });
}

#[test]
fn decode_prints_a_stored_message() {
    run(SCENARIO, async |lab| {
        let (nats, _targets, _poller) = site(lab).await;
        let bus = Bus::connect(&nats.url()).await;
        let stored = wait_until(SOON, "a group is stored", async || {
            let stored = bus.messages("prometheus.*.*.*.*").await?;
            let frames = stored.iter().filter(|message| !has_shapes(message));
            if frames.count() >= 2 {
                Ok(stored)
            } else {
                Err(format!("{} messages", stored.len()))
            }
        })
        .await;
        let payloads = stored.iter().map(|message| message.payload.as_ref());
        let (status, text) = decode_files(lab, &payloads.collect::<Vec<_>>());
        assert_eq!(status, Some(0), "{text}");
        let sample = "\nsim_scrapes_total{instance=\"one\",job=\"sim\"} ";
        assert!(text.contains("# key frame "), "{text}");
        assert!(text.matches(sample).count() >= 2, "{text}");
        let decode = |payload: &[u8]| {
            let mut command = Command::new(program("prometheus-streams"));
            command.args(["decode", "-"]).stdin(Stdio::piped());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(payload).unwrap();
            child.wait_with_output().unwrap()
        };
        let shapes = stored.iter().find(|message| has_shapes(message));
        let good = decode(&shapes.unwrap().payload);
        let text = String::from_utf8(good.stdout).unwrap();
        assert_eq!(good.status.code(), Some(0), "{text}");
        assert!(text.starts_with("# shape "), "{text}");
        let bad = decode(b"no frame");
        assert_eq!(bad.status.code(), Some(1));
        let text = String::from_utf8(bad.stderr).unwrap();
        assert!(text.contains("frame version 110 is unknown"), "{text}");
    });
}

fn has_shapes(message: &Stored) -> bool {
    message.subject.rsplit('.').next() == Some("s")
}

/// Runs `decode` on some messages, each in a file of its own.
fn decode_files(lab: &Lab, payloads: &[&[u8]]) -> (Option<i32>, String) {
    let files = payloads.iter().map(|payload| {
        let file = lab.file("message", "bin");
        std::fs::write(&file, payload).unwrap();
        file.display().to_string()
    });
    let files = files.collect::<Vec<_>>();
    let mut arguments = vec!["decode"];
    arguments.extend(files.iter().map(String::as_str));
    let output = Program::output("prometheus-streams", &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

#[test]
fn value_columns_are_shown_with_what_they_are_coded_against() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let bus = Bus::connect(&nats.url()).await;
        bus.create_stream("prometheus.>").await;
        let mut lane = LaneWriter::new("USDC1", 0, &["one", "two"]);
        lane.announce(&bus).await;
        lane.write(&bus, Role::Key).await;
        lane.write(&bus, Role::Link).await;

        // What came before `tail` was started is what it decodes with.
        let config = lab.file("tail", "yaml");
        let text = poller_config("operator", &nats.url(), &[]).to_string();
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program("prometheus-streams"));
        command.arg("--config").arg(&config);
        command.args(["tail", "--instance", "two"]);
        let tail = Process::spawn(lab, "tail", &mut command);
        wait_until(SOON, "what is new is seen", async || {
            lane.write(&bus, Role::Link).await;
            let seen = tail.log();
            let sample = "sim_scrapes_total{instance=\"two\",job=\"sim\",publisher=\"USDC1\"} ";
            if seen.contains(sample) {
                Ok(seen)
            } else {
                Err(seen)
            }
        })
        .await;
        let seen = tail.log();
        assert!(!seen.contains("cannot be decoded"), "{seen}");
        assert!(!seen.contains("one"), "another was asked for: {seen}");
        let first = "publisher=\"USDC1\"} 2 ";
        assert!(!seen.contains(first), "it was there before: {seen}");

        let stored = bus.messages("prometheus.>").await.unwrap();
        let [shapes, key, link] = [0, 1, 2].map(|n| stored[n].payload.as_ref());
        let (status, all) = decode_files(lab, &[key, link, shapes]);
        assert_eq!(status, Some(0), "{all}");
        let samples = ["one", "two"]
            .map(|instance| format!("sim_scrapes_total{{instance=\"{instance}\",job=\"sim\"}} 2 "));
        for expected in samples {
            assert!(all.contains(&expected), "{all}");
        }
        assert!(all.contains(" of {instance=\"two\",job=\"sim\"}: 9 series, a patch of "));
        let (status, alone) = decode_files(lab, &[link]);
        assert_eq!(status, Some(1), "{alone}");
        assert!(alone.starts_with("# delta frame 2, "), "{alone}");
        assert_eq!(
            alone.matches("its base or its shape is not there").count(),
            2
        );
    });
}
