//! Our programs with the rights that the hub's sample gives them, and no more.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::hub::{Hub, create_copy, create_stream, write_secret};
use crate::support::{
    Behavior, Endpoint, Lab, Process, Program, SiteTarget, Targets, Version, poller_config,
    program, run, wait_until,
};
use crate::{SCENARIO, SOON};

/// How long an answer is waited for that must not come.
const SILENCE: Duration = Duration::from_secs(1);

/// A site of the sample that is delivered, with all that it takes.
pub(super) struct Site {
    pub(super) hub: Hub,
    pub(super) targets: Targets,
    pub(super) endpoint: Endpoint,
    /// The names of our programs and their configuration files.
    programs: [(&'static str, PathBuf); 2],
    /// Those that run, in the same order.
    running: Vec<Process>,
}

impl Site {
    /// Starts all but our own programs, and writes their files.
    pub(super) async fn prepare(lab: &Lab, hub: Hub) -> Self {
        create_stream(&hub.connect("admin").await).await;
        let targets = Targets::start(vec![Behavior::Counters(5)]).await;
        let endpoint = Endpoint::start().await;
        let poller = poller_file(lab, &hub, &targets);
        let receiver = receiver_file(lab, &hub, &endpoint);
        Self {
            hub,
            targets,
            endpoint,
            programs: [
                ("prometheus-streams-poller", poller),
                ("prometheus-streams-receiver", receiver),
            ],
            running: Vec::new(),
        }
    }

    /// Starts our programs, under another one if `under` is not empty.
    pub(super) fn start(&mut self, lab: &Lab, under: &[&str]) {
        let start =
            |(name, file): &(&str, PathBuf)| Program::start_as_it_stands(lab, name, file, under);
        self.running = self.programs.iter().map(start).collect();
    }

    pub(super) fn poller(&self) -> &Process {
        &self.running[0]
    }

    pub(super) fn receiver(&self) -> &Process {
        &self.running[1]
    }

    /// Ends our programs, which must have nothing to say against it.
    pub(super) async fn ends_in_order(&mut self) {
        for process in &mut self.running {
            process.terminate();
            let status = process.exited(SOON).await;
            assert!(status.success(), "{status}: {}", process.log());
        }
    }

    /// Returns what the label `instance` of its one target is.
    pub(super) fn instance(&self) -> String {
        address(&self.targets)
    }
}

fn address(targets: &Targets) -> String {
    let url = targets.url(0);
    let address = url.strip_prefix("http://").unwrap();
    address.split('/').next().unwrap().to_owned()
}

fn poller_file(lab: &Lab, hub: &Hub, targets: &Targets) -> PathBuf {
    let url = targets.url(0);
    let (_, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let target = format!("[{}]\n    metrics_path: /{path}", address(targets));
    let spool = lab.folder("spool");
    let changes = [
        (
            "[db1.usdc1.example.net:9100, db2.usdc1.example.net:9100]",
            &*target,
        ),
        ("scrape_interval: 30s", "scrape_interval: 1s"),
        ("/var/lib/prometheus-streams/spool", spool.to_str().unwrap()),
    ];
    hub.program_file(lab, "poller.yaml", "usdc1", &changes)
}

fn receiver_file(lab: &Lab, hub: &Hub, endpoint: &Endpoint) -> PathBuf {
    let password = lab.file("prometheus", "password");
    write_secret(&password, "hunter2");
    let changes = [
        (
            "https://prometheus.example.net:9090/api/v1/write",
            &*endpoint.url(),
        ),
        (
            "/etc/prometheus-streams/prometheus.password",
            password.to_str().unwrap(),
        ),
    ];
    hub.program_file(lab, "receiver.yaml", "receiver", &changes)
}

#[test]
fn a_site_of_the_sample_is_delivered_end_to_end() {
    run(SCENARIO, async |lab| {
        for version in [Version::Packaged, Version::Newest] {
            let hub = Hub::start(lab, version).await;
            let operator = hub.connect("operator").await;
            create_copy(&operator).await;
            let file = hub.program_file(lab, "operator.yaml", "operator", &[]);
            let mut site = Site::prepare(lab, hub).await;
            site.start(lab, &[]);
            site.endpoint.receives(&site.instance(), 3, SOON).await;
            let mut tail = Command::new(program("prometheus-streams"));
            tail.arg("--config").arg(file).arg("tail");
            let tail = Process::spawn(lab, "tail", &mut tail);
            wait_until(SOON, "an operator sees samples", async || {
                let text = tail.log();
                if text.contains("sim_scrapes_total") {
                    Ok(())
                } else {
                    Err(text)
                }
            })
            .await;
            // None of them tried anything that it may not.
            for log in [site.poller().log(), site.receiver().log(), tail.log()] {
                assert!(!log.to_lowercase().contains("permission"), "{log}");
                assert!(!log.contains("WARN"), "{log}");
            }
        }
    });
}

#[test]
fn a_message_is_stored_once_also_across_accounts() {
    run(SCENARIO, async |lab| {
        for version in [Version::Packaged, Version::Newest] {
            let hub = Hub::start(lab, version).await;
            create_stream(&hub.connect("admin").await).await;
            let site = hub.connect("usdc1").await;
            let subject = "prometheus.USDC1.0.0.k";
            let first = site.publish(subject, "one", "frame").await;
            let again = site.publish(subject, "one", "frame").await;
            assert_eq!(first["duplicate"], json!(null), "{first}");
            assert_eq!(again["duplicate"], json!(true), "{again}");
            assert_eq!(again["seq"], first["seq"]);
            // The largest message that the server takes comes through as well.
            let large = "x".repeat((1 << 20) - 64);
            let stored = site.publish(subject, "two", &large).await;
            assert_eq!(stored["seq"], json!(2), "{stored}");
        }
    });
}

#[test]
fn a_request_for_a_key_frame_reaches_its_site() {
    run(SCENARIO, async |lab| {
        let hub = Hub::start(lab, Version::Packaged).await;
        let mut site = Site::prepare(lab, hub).await;
        site.start(lab, &[]);
        site.endpoint.receives(&site.instance(), 5, SOON).await;
        let admin = site.hub.connect("admin").await;
        let receiver = site.hub.connect("receiver").await;
        let before = admin.subjects("prometheus.USDC1.*.*.k").await;
        let sent = receiver
            .client
            .publish("prometheus-request.USDC1.0", "".into());
        sent.await.unwrap();
        wait_until(SOON, "there is a key frame before its time", async || {
            let now = admin.subjects("prometheus.USDC1.*.*.k").await;
            if now == before {
                Err(now.to_string())
            } else {
                Ok(())
            }
        })
        .await;
    });
}

#[test]
fn a_site_behind_a_leaf_node_is_delivered_and_confined_as_well() {
    run(SCENARIO, async |lab| {
        for version in [Version::Packaged, Version::Newest] {
            let mut hub = Hub::start(lab, version).await;
            let leaf = hub.leaf(lab, version).await;
            let mut site = Site::prepare(lab, hub).await;
            site.start(lab, &[]);
            site.endpoint.receives(&site.instance(), 1, SOON).await;
            let target = SiteTarget::new("leafy", site.targets.url(0));
            let mut config = poller_config("USDC1", &leaf.url(), &[target]);
            config["poller_stream"]["manage"] = false.into();
            let poller = Program::poller(lab, config);
            site.endpoint.receives("leafy", 3, SOON).await;
            assert!(!poller.log().contains("WARN"), "{}", poller.log());
            // Whoever is behind it may say what they want, and only the site's own is heard.
            let anybody = async_nats::connect(leaf.url()).await.unwrap();
            for subject in ["prometheus.USDC2.0.0.k", "prometheus.USDC1.0.0.t"] {
                let sent = anybody.request(subject, "1".into());
                let answer = tokio::time::timeout(SILENCE, sent).await;
                let is_stored = matches!(answer, Ok(Ok(_)));
                assert_eq!(is_stored, subject.contains("USDC1"), "{subject}");
            }
            let admin = site.hub.connect("admin").await;
            assert_eq!(admin.subjects("prometheus.USDC2.>").await, json!(null));
        }
    });
}
