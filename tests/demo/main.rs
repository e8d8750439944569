//! One site and one centre on this machine: a real exporter's values travel over NATS into a real
//! Pushgateway and a real Prometheus.
//!
//! Everything listens on free loopback ports and lives in one temporary folder; nothing is left
//! behind. Runs until Ctrl-C, or for `DEMO_SECONDS`; exits with 1 if anything did not arrive.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a demo tells what it does, and stops where something is wrong"
)]

#[path = "../support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "shared with the tests, which use the rest"
)]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use support::{
    Bus, Lab, NatsServer, NodeExporter, Page, Program, Prometheus, Pushgateway, Version, get,
    receiver_config, wait_until,
};

/// How long the first values may take, on a machine with other things to do.
const ARRIVAL: Duration = Duration::from_secs(60);

/// The labels that tell the exporter's series at the centre.
const TARGET: [(&str, &str); 3] = [
    ("job", "node"),
    ("instance", "localhost"),
    ("publisher", "DEMO"),
];

fn main() -> ExitCode {
    let limit = match std::env::var("DEMO_SECONDS").map(|text| (text.parse(), text)) {
        Err(_unset) => None,
        Ok((Ok(seconds), _)) => Some(Duration::from_secs(seconds)),
        Ok((Err(_), text)) => {
            println!("DEMO_SECONDS is `{text}`, which is no number of seconds.");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // What failed has said so in its panic; all processes are gone by then.
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(demo(limit)))).unwrap_or(ExitCode::FAILURE)
}

async fn demo(limit: Option<Duration>) -> ExitCode {
    let mut interrupt = signal(SignalKind::interrupt()).unwrap();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let mut lab = Lab::new();
    // A Ctrl-C is for us alone: we end the others in order.
    lab.shares_terminal = false;
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(stop);
    let demo = tokio::select! {
        demo = Demo::start(&lab) => demo,
        () = &mut stop => return interrupted(),
    };
    tokio::select! {
        () = demo.arrives() => {}
        () = &mut stop => return interrupted(),
    }
    demo.tell(&lab).await;
    match limit {
        Some(limit) => println!("\nRuns for {} s; Ctrl-C ends it at once.", limit.as_secs()),
        None => println!("\nRuns until Ctrl-C."),
    }
    let wait = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait => {}
        () = &mut stop => {}
    }
    // Still flowing after all that time, and not only once at the start.
    demo.arrives().await;
    demo.tell_arrived().await;
    let is_clean = demo.end().await;
    drop(lab);
    println!("\nAll stopped, nothing left behind.");
    if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn interrupted() -> ExitCode {
    println!("Stopped before anything had arrived; nothing left behind.");
    ExitCode::FAILURE
}

/// All that runs.
struct Demo {
    nats: NatsServer,
    exporter: NodeExporter,
    pushgateway: Pushgateway,
    prometheus: Prometheus,
    poller: Program,
    receiver: Program,
}

impl Demo {
    async fn start(lab: &Lab) -> Self {
        println!("Starting everything in {} ...", lab.path().display());
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let exporter = NodeExporter::start(lab).await;
        let pushgateway = Pushgateway::start(lab).await;
        let prometheus = Prometheus::start(lab).await;
        let poller = json!({
            "identity": "DEMO",
            "scrape_interval": "1s",
            "poller_stream": {"urls": nats.url(), "topic": "prometheus"},
            "jobs": {"node": {"targets": [{
                "name": "localhost",
                "url": format!("http://127.0.0.1:{}/metrics", exporter.port),
            }]}},
        });
        let mut receiver = receiver_config(&nats.url());
        receiver["push_gateway"] = json!({"url": pushgateway.url(), "publisher_label": true});
        receiver["remote_write"] = json!([
            {"name": "prometheus", "url": prometheus.write_url(), "publisher_label": true},
        ]);
        Self {
            receiver: Program::receiver(lab, receiver),
            poller: Program::poller(lab, poller),
            nats,
            exporter,
            pushgateway,
            prometheus,
        }
    }

    /// Waits until the exporter's series are in both sinks, no older than some seconds.
    async fn arrives(&self) {
        let served = support::read(&self.exporter.page().await).0.len();
        // A series or two may come and go with what the machine does just now.
        let wanted = served - served / 50;
        let enough = |count: usize| {
            let text = format!("{count} of {served} series");
            if count >= wanted { Ok(()) } else { Err(text) }
        };
        wait_until(
            ARRIVAL,
            "the exporter's series reach the Pushgateway",
            async || enough(self.pushed().await?),
        )
        .await;
        wait_until(
            ARRIVAL,
            "the exporter's series reach Prometheus",
            async || enough(self.written().await?),
        )
        .await;
    }

    /// Counts the exporter's series in the Pushgateway.
    async fn pushed(&self) -> Result<usize, String> {
        let mut series = self.pushgateway.page().await?.part(&TARGET);
        series.retain(|labels, _| !labels["__name__"].starts_with("push_"));
        Ok(series.len())
    }

    /// Counts the exporter's series in Prometheus that have a sample from the last seconds.
    async fn written(&self) -> Result<usize, String> {
        let stored = self.prometheus.samples("{job=\"node\"}[10s]").await?;
        let names = stored.keys().map(|labels| &labels["__name__"]);
        Ok(names
            .filter(|name| *name != "up" && !name.starts_with("scrape_"))
            .count())
    }

    async fn tell(&self, lab: &Lab) {
        println!("\n{:<26} {:<9} where", "what", "pid");
        let page = |port: u16, path: &str| format!("http://127.0.0.1:{port}{path}");
        let (poller, receiver) = (self.poller.monitor, self.receiver.monitor);
        for (what, pid, place) in [
            (
                "poller of site DEMO",
                self.poller.id(),
                page(poller, "/metrics"),
            ),
            ("receiver", self.receiver.id(), page(receiver, "/metrics")),
            ("nats-server", self.nats.id(), self.nats.url()),
            (
                "node_exporter",
                self.exporter.id(),
                page(self.exporter.port, "/metrics"),
            ),
            (
                "Pushgateway",
                self.pushgateway.id(),
                page(self.pushgateway.port, "/"),
            ),
            (
                "Prometheus",
                self.prometheus.id(),
                page(self.prometheus.port, "/graph"),
            ),
        ] {
            println!("{what:<26} {pid:<9} {place}");
        }
        println!(
            "{:<26} {:<9} {}",
            "stores, files, logs",
            "",
            lab.path().display()
        );
        self.tell_arrived().await;
    }

    async fn tell_arrived(&self) {
        let pushed = self.pushed().await.unwrap();
        let written = self.written().await.unwrap();
        let metrics = get(self.receiver.monitor, "/metrics").await.unwrap();
        let metrics = support::read(&metrics);
        println!("\n{:<26} {:<9} latency, mean", "arrived in", "series");
        for (sink, name, series) in [
            ("Pushgateway", "pushgateway", pushed),
            ("Prometheus", "prometheus", written),
        ] {
            let latency = latency(&metrics, name).map_or_else(
                || "-".to_owned(),
                |seconds| format!("{:.0} ms after the scrape", seconds * 1000.0),
            );
            println!("{sink:<26} {series:<9} {latency}");
        }
        let bus = Bus::connect(&self.nats.url()).await;
        let state = bus.info().await.unwrap().state;
        let scraped = self.prometheus.samples("scrape_samples_scraped[10m]").await;
        let scraped = scraped.unwrap();
        let samples = scraped
            .values()
            .flatten()
            .map(|(_, value)| value)
            .sum::<f64>();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let per_sample = state.bytes as f64 / samples;
        println!(
            "{:<26} {} messages, {} bytes, {samples} samples: {per_sample:.2} bytes per sample",
            "on the bus", state.messages, state.bytes
        );
    }

    /// Ends the programs in order; `false` if one did not end as it should.
    async fn end(mut self) -> bool {
        let mut is_clean = true;
        for (name, program) in [
            ("poller", &mut self.poller),
            ("receiver", &mut self.receiver),
        ] {
            program.terminate();
            let status = program.exited(ARRIVAL).await;
            println!("{name}: {status}");
            is_clean &= status.success();
        }
        is_clean
    }
}

/// Returns the mean time from a scrape to its acknowledged delivery.
fn latency(metrics: &Page, sink: &str) -> Option<f64> {
    let name = "prometheus_streams_receiver_delivery_age_seconds";
    let sum =
        |suffix: &str, labels: &[(&str, &str)]| metrics.sum(&format!("{name}_{suffix}"), labels);
    let labels = [("sink", sink)];
    Some(sum("sum", &labels)? / sum("count", &labels)?)
}
