//! A Prometheus and a poller on one set of targets, and what each leaves in a database.
//!
//! In: how long, and which targets. Out: a [`Report`]. What a target answers follows from how many
//! scrapes that scraper has made of it (`script`, `cases`, `serve`), so that the scrapes of one
//! number get the same answer from whatever phase; `drive` makes targets come and go at the same
//! scrape for both. `database` reads both by remote read, `compare` compares, `justified` holds
//! the reasons why something may differ. This module never makes up for a difference anywhere else.

mod cases;
mod compare;
mod database;
mod drive;
mod exchange;
mod justified;
mod report;
mod script;
mod serve;

pub(crate) use report::Report;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use prometheus_streams::clock::Clock;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{
    Lab, NatsServer, NodeExporter, Process, Program, Prometheus, Version, free_port, get,
    receiver_config, wait_until,
};
use cases::Case;
use compare::{Compared, Values};
use database::Series;
use serve::{Server, Side, Source};

/// How often targets are scraped, where a configuration says nothing else.
const INTERVAL: Duration = Duration::from_secs(3);

/// How long a program may take to start, to end, or to finish what it is at.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is run.
pub(crate) struct Plan {
    /// How long both scrape.
    pub(crate) length: Duration,
    /// Which targets.
    pub(crate) scope: Scope,
    /// The Prometheus that scrapes.
    pub(crate) reference: PathBuf,
}

/// Which targets are scraped.
pub(crate) enum Scope {
    /// All of them.
    All,
    /// Those that show something within a few scrapes.
    Quick,
    /// Those of these scrape configurations.
    Only(Vec<String>),
}

impl Scope {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Quick => cases::QUICK.contains(&name),
            Self::Only(names) => names.iter().any(|only| only == name),
        }
    }
}

/// A target as it is compared.
struct Compare {
    name: String,
    values: Values,
    /// Whether the server's count is that of its scrapes.
    is_counted: bool,
}

/// Ports of what the configuration names.
struct Ports {
    targets: u16,
    refused: u16,
    node: u16,
    reference: u16,
}

/// Runs both beside each other and compares what they have stored.
pub(crate) async fn side_by_side(lab: &Lab, plan: &Plan) -> Report {
    let nats = NatsServer::start(lab, Version::Packaged).await;
    let store = Prometheus::start(lab).await;
    let node = NodeExporter::start(lab).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = Ports {
        targets: listener.local_addr().unwrap().port(),
        refused: free_port(),
        node: node.port,
        reference: free_port(),
    };
    let mut config = String::from("global: {scrape_interval: 3s, scrape_timeout: 2s}\n");
    config.push_str("scrape_configs:\n");
    let mut targets = Vec::new();
    let mut sources = Vec::new();
    for case in cases::all().iter().filter(|case| plan.scope.has(case.name)) {
        config.push_str(&job(case, &ports));
        for (name, script) in case.targets {
            sources.push(((*name).to_owned(), Source::Made(*script)));
            targets.push(Compare {
                name: (*name).to_owned(),
                values: Values::Same,
                is_counted: *name != "refused",
            });
        }
    }
    real_exporters(plan, &ports, &mut config, &mut sources, &mut targets);

    // Whole seconds, so that it can be written as an OpenMetrics time in any way.
    let begun_ms = Clock::system().now_ms() / 1000 * 1000;
    let server = Server::new(sources, begun_ms);
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&server).serve(listener));
    tasks.spawn(drive::refuse(Arc::clone(&server), ports.refused, INTERVAL));
    let address = format!("127.0.0.1:{}", ports.targets);
    let mut file = |side: Side| {
        let folder = lab.folder("configuration");
        let path = folder.join("prometheus.yml");
        fs::write(&path, &config).unwrap();
        let files = drive::Files::new(&folder, &address);
        tasks.spawn(files.drive(Arc::clone(&server), side));
        path
    };
    let (file_of_reference, file_of_ours) = (file(Side::Reference), file(Side::Ours));

    let mut receiver = receiver_config(&nats.url());
    receiver["remote_write"] = json!([{"name": "store", "url": store.write_url()}]);
    let receiver = Program::receiver(lab, receiver);
    let reference = start(lab, plan, &file_of_reference, ports.reference).await;
    let mut poller = Program::poller(
        lab,
        json!({
            "identity": "SITE",
            "poller_stream": {"urls": nats.url(), "topic": "prometheus"},
            "prometheus_config": file_of_ours,
        }),
    );
    tokio::time::sleep(plan.length).await;
    poller.alive().unwrap();

    poller.terminate();
    poller.exited(PATIENCE).await;
    let served = |name: &str| Side::ALL.map(|side| server.count(name, side));
    let mut notes = delivered(&receiver, store.port).await;
    let mut compared = Compared::default();
    for target in &targets {
        let labels = [("t", &*target.name)];
        let halves = [
            database::read(ports.reference, &labels).await,
            database::read(store.port, &labels).await,
        ];
        let served = target.is_counted.then(|| served(&target.name));
        compare::compare(&target.name, halves, served, target.values, &mut compared);
    }
    notes.extend(strangers(&store, &targets).await);
    drop(reference);
    let names = targets.into_iter().map(|target| target.name).collect();
    Report::new(compared, names, notes)
}

/// Writes the scrape configuration of a case.
fn job(case: &Case, ports: &Ports) -> String {
    let name = case.name;
    let mut text = format!("- job_name: {name}\n");
    let options = case.options;
    let options = options.replace("ADDRESS", &format!("\"127.0.0.1:{}\"", ports.targets));
    let options = options.replace("REFUSED", &format!("\"127.0.0.1:{}\"", ports.refused));
    for line in options.lines() {
        writeln!(text, "  {line}").unwrap();
    }
    if !options.contains("metrics_path") {
        writeln!(text, "  metrics_path: /{name}").unwrap();
    }
    if !options.contains("_configs: [{files") && !options.contains("static_configs") {
        let address = format!("127.0.0.1:{}", ports.targets);
        writeln!(
            text,
            "  static_configs: [{{targets: [\"{address}\"], labels: {{t: {name}}}}}]"
        )
        .unwrap();
    }
    text
}

/// Adds real exporters: their pages once for both, and as each finds them.
fn real_exporters(
    plan: &Plan,
    ports: &Ports,
    config: &mut String,
    sources: &mut Vec<(String, Source)>,
    targets: &mut Vec<Compare>,
) {
    for (name, port, values) in [
        ("node", ports.targets, Values::Same),
        ("prometheus", ports.targets, Values::Same),
        ("node-itself", ports.node, Values::Different),
    ] {
        if !plan.scope.has(name) {
            continue;
        }
        let path = match values {
            Values::Same => name,
            Values::Different => "metrics",
        };
        write!(
            config,
            "- job_name: {name}\n  metrics_path: /{path}\n  static_configs: \
             [{{targets: [\"127.0.0.1:{port}\"], labels: {{t: {name}}}}}]\n"
        )
        .unwrap();
        targets.push(Compare {
            name: name.to_owned(),
            values,
            is_counted: values == Values::Same,
        });
    }
    sources.push(("node".into(), Source::recorded(ports.node, "/metrics")));
    let source = Source::recorded(ports.reference, "/metrics");
    sources.push(("prometheus".into(), source));
}

/// Starts the Prometheus that scrapes.
async fn start(lab: &Lab, plan: &Plan, config: &Path, port: u16) -> Process {
    let mut command = Command::new(&plan.reference);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            lab.folder("reference").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=warn");
    let process = Process::spawn(lab, "reference", &mut command);
    wait_until(PATIENCE, "the reference starts", async || {
        get(port, "/-/ready").await
    })
    .await;
    process
}

/// Waits until the receiver has delivered all that the poller published; tells what was lost.
async fn delivered(receiver: &Program, store: u16) -> Vec<String> {
    let mut before = None;
    wait_until(PATIENCE, "everything is delivered", async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let series = database::read(store, &[("__name__", "up")]).await;
        let last: Vec<Option<i64>> = series
            .values()
            .map(|samples| samples.last().map(|(time, _)| *time))
            .collect();
        let is_same = before.as_ref() == Some(&last);
        before = Some(last);
        if is_same { Ok(()) } else { Err("more comes") }.map_err(str::to_owned)
    })
    .await;
    let mut notes = Vec::new();
    for name in [
        "receiver_dropped_total",
        "receiver_invalid_messages_total",
        "receiver_undecodable_scrapes_total",
    ] {
        let count = receiver.metric(name, &[]).await;
        if count > 0.0 {
            notes.push(format!("the receiver's {name} is {count}"));
        }
    }
    notes
}

/// Looks for series of ours that are no target's, beside those of the programs themselves.
async fn strangers(store: &Prometheus, targets: &[Compare]) -> Vec<String> {
    let unknown: Series = database::read(store.port, &[("t", "")]).await;
    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    for labels in unknown.keys() {
        let job = labels.get("job").map_or("", String::as_str);
        let name = labels.get("__name__").map_or("", String::as_str);
        if job != "prometheus_streams" && !name.starts_with("prometheus_streams_") {
            *groups.entry(format!("{job}/{name}")).or_default() += 1;
        }
    }
    let mut notes: Vec<String> = groups
        .into_iter()
        .map(|(name, count)| format!("{count} series `{name}` without the label `t`"))
        .collect();
    for series in database::read(store.port, &[("__name__", "up")]).await {
        let name = series.0.get("t").map_or("", String::as_str);
        if !name.is_empty() && !targets.iter().any(|target| target.name == name) {
            notes.push(format!(
                "there is a target `{name}` that should not be there"
            ));
        }
    }
    notes
}
