//! A large fleet on one machine: which scrapes are missed, and what it costs.
//!
//! `benches/fleet.sh` builds and runs it. The same simulated targets are scraped by our poller,
//! whose scrapes go by way of nats-server and a receiver, and then by vmagent; what either writes
//! in the end is taken and thrown away, so that no database is measured. Targets and the endpoint
//! are this process; their costs are not counted, but they use the same processors.
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

mod drain;
#[path = "../pipeline/pages.rs"]
mod pages;
#[path = "../compare/peers.rs"]
mod peers;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use drain::Drain;
use pages::{Pages, record};
use peers::Peer;
use support::{
    Behavior, Lab, NatsServer, Process, Program, SiteTarget, Targets, Version, poller_config,
    receiver_config, run, setting, wait_until,
};

/// How many pages of a real exporter are recorded.
const PAGES: usize = 20;

/// What is run, each set by an environment variable.
#[derive(Clone, Copy)]
struct Load {
    /// `FLEET_TARGETS`
    targets: usize,
    /// `FLEET_SERIES`: series of each target.
    series: usize,
    /// `FLEET_INTERVAL`: seconds between two scrapes of a target.
    interval: u64,
    /// `FLEET_ROUNDS`: intervals for which each way is measured, after two of warm-up.
    rounds: u64,
}

/// What was seen of one way.
struct Seen {
    /// Scrapes that were made of those that were due.
    scrapes: u64,
    due: u64,
    /// Targets with a scrape or more too few, the one at either end of the time not counted.
    late: usize,
    /// CPU seconds of each process, the one at the site first.
    cpu: Vec<f64>,
    resident: f64,
    resident_max: f64,
    /// What the way says of itself.
    said: String,
}

fn main() {
    let load = Load {
        targets: setting("FLEET_TARGETS", 10_000),
        series: setting("FLEET_SERIES", 1000),
        interval: setting("FLEET_INTERVAL", 60),
        rounds: setting("FLEET_ROUNDS", 5),
    };
    let limit = Duration::from_secs(300 + 2 * load.interval * (load.rounds + 8));
    run(limit, async |lab| {
        let recorded = record(lab, PAGES).await;
        let pages = Arc::new(Pages::new(&recorded, load.series));
        let behavior = |target| {
            let pages = Arc::clone(&pages);
            Behavior::Made(Arc::new(move |number| pages.page(target, number)))
        };
        let targets = Targets::start((0..load.targets).map(behavior).collect()).await;
        let ways = [
            ("ours", ours(lab, &targets, load).await),
            ("vmagent", vmagent(lab, &targets, load).await),
        ];
        report(load, &ways);
    });
}

async fn ours(lab: &Lab, targets: &Targets, load: Load) -> Seen {
    let nats = NatsServer::start(lab, Version::Packaged).await;
    let drain = Drain::start().await;
    let mut config = receiver_config(&nats.url());
    config["remote_write"] = json!([{"name": "drain", "url": drain.url()}]);
    let receiver = Program::receiver(lab, config);
    let list = (0..load.targets).map(|n| SiteTarget::new(format!("target{n}"), targets.url(n)));
    let mut config = poller_config("SITE", &nats.url(), &list.collect::<Vec<_>>());
    config["scrape_interval"] = format!("{}s", load.interval).into();
    let poller = Program::poller(lab, config);
    let received = async || receiver.metric("receiver_received_total", &[]).await;
    warm_up(targets, load).await;
    let before = (received().await, drain.bytes());
    let processes = [&*poller, nats.process().unwrap(), &*receiver];
    let mut seen = measure(targets, load, &processes).await;
    let skipped = poller.metric("poller_skipped_scrapes_total", &[]).await;
    let after = (received().await, drain.bytes());
    seen.said = format!(
        "{skipped} scrapes skipped by the poller since its start; {} received at the centre, \
         {} MB written from there",
        after.0 - before.0,
        (after.1 - before.1) / 1_000_000
    );
    seen
}

async fn vmagent(lab: &Lab, targets: &Targets, load: Load) -> Seen {
    let drain = Drain::start().await;
    let fleet = (targets, load.targets, load.interval);
    let process = Peer::Vmagent.start(lab, fleet, &drain.url()).await;
    warm_up(targets, load).await;
    let before = drain.bytes();
    let mut seen = measure(targets, load, &[&process]).await;
    seen.said = format!("{} MB written", (drain.bytes() - before) / 1_000_000);
    seen
}

/// Waits until every target was scraped twice: shapes, caches and connections are there.
async fn warm_up(targets: &Targets, load: Load) {
    let served = |n| targets.served(n);
    let begin: Vec<u64> = (0..load.targets).map(served).collect();
    let limit = Duration::from_secs(60 + 5 * load.interval);
    wait_until(limit, "every target is scraped twice", async || {
        let late = (0..load.targets).find(|n| served(*n) < begin[*n] + 2);
        late.map_or(Ok(()), |n| Err(format!("target {n} is late")))
    })
    .await;
}

async fn measure(targets: &Targets, load: Load, processes: &[&Process]) -> Seen {
    let served = || -> Vec<u64> { (0..load.targets).map(|n| targets.served(n)).collect() };
    let used = || -> Vec<f64> { processes.iter().map(|it| it.cpu_seconds()).collect() };
    let (scrapes, cpu) = (served(), used());
    tokio::time::sleep(Duration::from_secs(load.interval * load.rounds)).await;
    let made: Vec<u64> = served()
        .iter()
        .zip(&scrapes)
        .map(|(now, then)| now - then)
        .collect();
    Seen {
        scrapes: made.iter().sum(),
        due: load.targets as u64 * load.rounds,
        late: made.iter().filter(|made| **made + 1 < load.rounds).count(),
        cpu: used()
            .iter()
            .zip(&cpu)
            .map(|(now, then)| now - then)
            .collect(),
        resident: processes[0].resident_bytes() as f64 / 1e6,
        resident_max: processes[0].resident_bytes_max() as f64 / 1e6,
        said: String::new(),
    }
}

fn report(load: Load, ways: &[(&str, Seen)]) {
    let Load {
        targets,
        series,
        interval,
        rounds,
    } = load;
    let seconds = interval * rounds;
    println!("{targets} targets with {series} series each, every {interval} s, for {seconds} s");
    for (name, seen) in ways {
        let samples = seen.scrapes as f64 * series as f64 / 1e6;
        println!("{name}:");
        println!(
            "  {} scrapes made, {} due; {} targets with one or more too few",
            seen.scrapes, seen.due, seen.late
        );
        println!("  {}", seen.said);
        println!(
            "  CPU at the site {:.1} s ({:.3} s per million samples, {:.0} % of a core), in all \
             {:.1} s",
            seen.cpu[0],
            seen.cpu[0] / samples,
            100.0 * seen.cpu[0] / seconds as f64,
            seen.cpu.iter().sum::<f64>()
        );
        println!(
            "  resident memory at the site {:.0} MB, at most {:.0} MB; {:.1} kB for each target",
            seen.resident,
            seen.resident_max,
            seen.resident * 1e3 / targets as f64
        );
    }
}
