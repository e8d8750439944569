//! One fleet, three ways to the centre: what each costs at the site, on the link, in memory.
//!
//! `benches/compare.sh` builds and runs it. The same simulated targets are scraped by one program
//! after the other, each writing to a VictoriaMetrics of its own through a link that counts bytes.
//! Targets and links are this process; their costs are not counted, nor are VictoriaMetrics's.
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

#[path = "../pipeline/pages.rs"]
mod pages;
mod peers;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use pages::{Pages, record};
use peers::Peer;
use support::{
    Behavior, Lab, NatsServer, Process, Program, Proxy, SiteTarget, Targets, Version,
    VictoriaMetrics, poller_config, receiver_config, run, setting, wait_until,
};

/// How many pages of a real exporter are recorded.
const PAGES: usize = 30;

/// What is run, each set by an environment variable.
#[derive(Clone, Copy)]
struct Load {
    /// `COMPARE_TARGETS`
    targets: usize,
    /// `COMPARE_SERIES`: series of each target.
    series: usize,
    /// `COMPARE_INTERVAL`: seconds between two scrapes of a target.
    interval: u64,
    /// `COMPARE_SECONDS`: how long each way is measured, after a warm-up.
    seconds: u64,
    /// `COMPARE_ROUNDS`: how often all ways are measured, in turn.
    rounds: usize,
}

/// What a way costs.
#[derive(Clone, Copy, Default)]
struct Costs {
    /// CPU seconds per million samples, at the site, and together with what is at the centre.
    site_cpu: f64,
    whole_cpu: f64,
    /// Resident memory at the site, megabytes, at the end and at most.
    resident: f64,
    resident_max: f64,
    /// Bytes per sample that leave the site, and that come back.
    sent: f64,
    returned: f64,
}

fn main() {
    let load = Load {
        targets: setting("COMPARE_TARGETS", 500),
        series: setting("COMPARE_SERIES", 1000),
        interval: setting("COMPARE_INTERVAL", 5),
        seconds: setting("COMPARE_SECONDS", 120),
        rounds: setting("COMPARE_ROUNDS", 1),
    };
    let ways = (load.rounds * 3 + 2) as u64;
    let limit = Duration::from_secs(60 + ways * (60 + load.seconds + 10 * load.interval));
    run(limit, async |lab| compare(lab, load).await);
}

async fn compare(lab: &Lab, load: Load) {
    let recorded = record(lab, PAGES).await;
    let mut ways = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..load.rounds {
        let fleet = fleet(&recorded, load).await;
        ways[0].push(ours(lab, &fleet, load).await);
        ways[1].push(theirs(lab, Peer::Vmagent, &fleet, load).await);
        ways[2].push(theirs(lab, Peer::PrometheusAgent, &fleet, load).await);
    }
    let few = Load {
        series: load.series / 4,
        ..load
    };
    let small = fleet(&recorded, few).await;
    let small = ours(lab, &small, few).await;
    report(load, few, &ways, small);
}

async fn fleet(recorded: &[String], load: Load) -> Targets {
    let pages = Arc::new(Pages::new(recorded, load.series));
    let behavior = |target| {
        let pages = Arc::clone(&pages);
        Behavior::Made(Arc::new(move |number| pages.page(target, number)))
    };
    Targets::start((0..load.targets).map(behavior).collect()).await
}

/// Measures one way: the first process is the one at the site.
async fn measure(targets: &Targets, load: Load, processes: &[&Process], link: &Proxy) -> Costs {
    let served = |n| targets.served(n);
    let begin: Vec<u64> = (0..load.targets).map(served).collect();
    // Connections, caches and shapes are made, and memory has found its size.
    let limit = Duration::from_secs(60 + 10 * load.interval);
    wait_until(limit, "every target is scraped four times", async || {
        let late = (0..load.targets).find(|n| served(*n) < begin[*n] + 4);
        late.map_or(Ok(()), |n| Err(format!("target {n} is late")))
    })
    .await;
    let total = || (0..load.targets).map(served).sum::<u64>();
    let cpu = || {
        processes
            .iter()
            .map(|process| process.cpu_seconds())
            .collect::<Vec<_>>()
    };
    let (scrapes, used, passed) = (total(), cpu(), link.passed());
    tokio::time::sleep(Duration::from_secs(load.seconds)).await;
    let samples = (total() - scrapes) as f64 * load.series as f64;
    let cpu: Vec<f64> = cpu()
        .iter()
        .zip(&used)
        .map(|(now, then)| (now - then) / samples * 1e6)
        .collect();
    let now = link.passed();
    let bytes = |way: usize| (now[way] - passed[way]) as f64 / samples;
    Costs {
        site_cpu: cpu[0],
        whole_cpu: cpu.iter().sum(),
        resident: processes[0].resident_bytes() as f64 / 1e6,
        resident_max: processes[0].resident_bytes_max() as f64 / 1e6,
        sent: bytes(0),
        returned: bytes(1),
    }
}

async fn ours(lab: &Lab, targets: &Targets, load: Load) -> Costs {
    let (nats, store) = (
        NatsServer::start(lab, Version::Packaged).await,
        VictoriaMetrics::start(lab).await,
    );
    let link = Proxy::start(nats.port).await;
    let mut config = receiver_config(&nats.url());
    config["remote_write"] = json!([{"name": "store", "url": store.write_url()}]);
    let receiver = Program::receiver(lab, config);
    let list = (0..load.targets).map(|n| SiteTarget::new(format!("target{n}"), targets.url(n)));
    let mut config = poller_config("SITE", &link.url(), &list.collect::<Vec<_>>());
    config["scrape_interval"] = format!("{}s", load.interval).into();
    let poller = Program::poller(lab, config);
    let processes = [&*poller, nats.process().unwrap(), &*receiver];
    let costs = measure(targets, load, &processes, &link).await;
    for (program, name) in [
        (&poller, "poller_dropped_total"),
        (&receiver, "receiver_invalid_messages_total"),
    ] {
        let lost = program.metric(name, &[]).await;
        assert!(lost == 0.0, "{name} is {lost}");
    }
    costs
}

async fn theirs(lab: &Lab, peer: Peer, targets: &Targets, load: Load) -> Costs {
    let store = VictoriaMetrics::start(lab).await;
    let link = Proxy::start(store.port).await;
    let url = format!("http://127.0.0.1:{}/api/v1/write", link.port);
    let fleet = (targets, load.targets, load.interval);
    let process = peer.start(lab, fleet, &url).await;
    measure(targets, load, &[&process], &link).await
}

fn report(load: Load, few: Load, ways: &[Vec<Costs>; 3], small: Costs) {
    let Load {
        targets,
        series,
        interval,
        seconds,
        rounds,
    } = load;
    println!(
        "{targets} targets with {series} series each, every {interval} s; each way measured for \
         {seconds} s, median of {rounds}"
    );
    println!(
        "{:<52} {:>10} {:>10} {:>10}",
        "", "ours", "vmagent", "agent"
    );
    let line = |name: &str, cost: fn(&Costs) -> f64| {
        let figures = ways.each_ref().map(|costs| median(costs, cost));
        let [ours, vmagent, agent] = figures;
        println!("{name:<52} {ours:>10.3} {vmagent:>10.3} {agent:>10.3}");
        figures
    };
    line("CPU seconds per million samples, site", |costs| {
        costs.site_cpu
    });
    line("the same with nats-server and receiver", |costs| {
        costs.whole_cpu
    });
    let resident = line("resident memory at the site, MB", |costs| costs.resident);
    line("the largest, MB", |costs| costs.resident_max);
    line("bytes per sample that leave the site", |costs| costs.sent);
    line("bytes per sample that come back", |costs| costs.returned);
    let more = ((series - few.series) * targets) as f64;
    println!(
        "memory of the poller with {} series each: {:.1} MB, so {:.1} bytes for each series more",
        few.series,
        small.resident,
        (resident[0] - small.resident) * 1e6 / more
    );
}

fn median(costs: &[Costs], cost: fn(&Costs) -> f64) -> f64 {
    let mut figures: Vec<f64> = costs.iter().map(cost).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
