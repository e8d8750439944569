//! What a whole poller and a whole receiver cost: CPU, memory, bytes on the bus, latency.
//!
//! `benches/pipeline.sh` builds and runs it. Simulated targets and a recording endpoint stand at
//! the ends; their own costs are those of this process and not counted.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a bench prints its figures, and stops where something is wrong"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "../support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "shared with the tests, which use the rest"
)]
mod support;

mod pages;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use pages::{Pages, record};
use support::{
    Behavior, Bus, Endpoint, Lab, NatsServer, Program, SiteTarget, Targets, Version, poller_config,
    receiver_config, run, setting, wait_until,
};

/// How many pages of a real exporter are recorded.
const PAGES: usize = 10;

/// What is run, each set by an environment variable.
struct Load {
    /// `PIPELINE_TARGETS`
    targets: usize,
    /// `PIPELINE_SERIES`: series of each target.
    series: usize,
    /// `PIPELINE_INTERVAL`: seconds between two scrapes of a target.
    interval: u64,
    /// `PIPELINE_SECONDS`: how long is measured, after a warm-up.
    seconds: u64,
}

/// A moment's readings of everything that only grows.
struct Reading {
    poller_cpu: f64,
    receiver_cpu: f64,
    bus_bytes: u64,
    bus_messages: u64,
    samples: f64,
}

/// Everything that runs.
struct Bench {
    load: Load,
    poller: Program,
    receiver: Program,
    bus: Bus,
    endpoint: Endpoint,
}

fn main() {
    let load = Load {
        targets: setting("PIPELINE_TARGETS", 50),
        series: setting("PIPELINE_SERIES", 500),
        interval: setting("PIPELINE_INTERVAL", 1),
        seconds: setting("PIPELINE_SECONDS", 30),
    };
    // Twice what is measured, and a minute to start and to warm up.
    let limit = Duration::from_secs(60 + 2 * load.seconds + 3 * load.interval);
    run(limit, async |lab| measure(lab, load).await);
}

async fn measure(lab: &Lab, load: Load) {
    let nats = NatsServer::start(lab, Version::Packaged).await;
    let pages = Arc::new(Pages::new(&record(lab, PAGES).await, load.series));
    let behavior = |target| {
        let pages = Arc::clone(&pages);
        Behavior::Made(Arc::new(move |number| pages.page(target, number)))
    };
    let targets = Targets::start((0..load.targets).map(behavior).collect()).await;
    let endpoint = Endpoint::start().await;
    let mut config = receiver_config(&nats.url());
    config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
    let receiver = Program::receiver(lab, config);
    let list = (0..load.targets).map(|n| SiteTarget::new(name(n), targets.url(n)));
    let list = list.collect::<Vec<_>>();
    let mut config = poller_config("BENCH", &nats.url(), &list);
    config["scrape_interval"] = format!("{}s", load.interval).into();
    let poller = Program::poller(lab, config);
    let bench = Bench {
        load,
        poller,
        receiver,
        bus: Bus::connect(&nats.url()).await,
        endpoint,
    };
    bench.warm_up().await;
    let before = bench.read().await;
    tokio::time::sleep(Duration::from_secs(bench.load.seconds)).await;
    let after = bench.read().await;
    bench.report(&before, &after);
}

fn name(n: usize) -> String {
    format!("target{n}")
}

impl Bench {
    /// Waits until each target has arrived twice: shapes, caches and connections are made.
    async fn warm_up(&self) {
        let limit = Duration::from_secs(30 + 3 * self.load.interval);
        wait_until(limit, "every target arrives", async || {
            let late = (0..self.load.targets)
                .find(|n| self.endpoint.samples("sim_scrapes_total", &name(*n)).len() < 2);
            late.map_or(Ok(()), |n| Err(format!("{} is late", name(n))))
        })
        .await;
    }

    async fn read(&self) -> Reading {
        let state = self.bus.info().await.unwrap().state;
        let scrapes = self.scrapes().count();
        Reading {
            poller_cpu: self.poller.cpu_seconds(),
            receiver_cpu: self.receiver.cpu_seconds(),
            bus_bytes: state.bytes,
            bus_messages: state.messages,
            samples: (scrapes * self.load.series) as f64,
        }
    }

    /// Times and arrivals of all scrapes of the simulated targets.
    fn scrapes(&self) -> impl Iterator<Item = support::Arrived> {
        (0..self.load.targets).flat_map(|n| self.endpoint.samples("sim_scrapes_total", &name(n)))
    }

    fn report(&self, before: &Reading, after: &Reading) {
        let samples = after.samples - before.samples;
        let millions = samples / 1e6;
        let bytes = (after.bus_bytes - before.bus_bytes) as f64;
        let messages = after.bus_messages - before.bus_messages;
        let poller = (after.poller_cpu - before.poller_cpu) / millions;
        let receiver = (after.receiver_cpu - before.receiver_cpu) / millions;
        let ages = self.scrapes().map(|scrape| scrape.seen_ms - scrape.time_ms);
        let mut ages = ages.collect::<Vec<_>>();
        ages.sort_unstable();
        let resident = |program: &Program| program.resident_bytes_max() as f64 / 1e6;
        let load = &self.load;
        println!(
            "{} targets with {} series each, every {} s,\n\
             measured for {} s: {samples} samples",
            load.targets, load.series, load.interval, load.seconds
        );
        println!("{:<40} {:>10} {:>10}", "", "poller", "receiver");
        println!(
            "{:<40} {poller:>10.2} {receiver:>10.2}",
            "CPU seconds per million samples"
        );
        println!(
            "{:<40} {:>10.1} {:>10.1}",
            "largest resident memory, MB",
            resident(&self.poller),
            resident(&self.receiver)
        );
        println!(
            "{:<40} {:>10.2}",
            "bytes per sample on the bus",
            bytes / samples
        );
        println!("{:<40} {messages:>10}", "messages");
        println!(
            "{:<40} {:>10}",
            "scrape to delivery, median, ms",
            quantile(&ages, 0.5)
        );
        println!(
            "{:<40} {:>10}",
            "scrape to delivery, p99, ms",
            quantile(&ages, 0.99)
        );
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index below the length"
)]
fn quantile(sorted: &[i64], q: f64) -> i64 {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}
