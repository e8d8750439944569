//! Pages that nobody need run a cluster for: the same on every machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::fleet::PAGES as PAGES_MIN;
use crate::pages::Page;

/// A generator of numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Pages of each set: as many as are recorded of real programs.
const PAGES: usize = if PAGES_MIN > 42 { PAGES_MIN } else { 42 };

/// When the first page is scraped.
const START_MS: i64 = 1_700_000_000_000;

pub(crate) fn pages() -> BTreeMap<String, Vec<Page>> {
    let page = |(at, body): (usize, String)| Page {
        time_ms: START_MS + at as i64 * 15_000,
        body: body.into_bytes(),
    };
    let states = cluster().into_iter().enumerate().map(page).collect();
    let histograms = histograms().into_iter().enumerate().map(page).collect();
    BTreeMap::from([
        ("kube-state".to_owned(), states),
        ("histograms".to_owned(), histograms),
    ])
}

/// Pods of a cluster; each has 37 series.
const PODS: usize = 270;

/// Scrapes between two pods that are replaced.
const REPLACED_EVERY: usize = 17;

/// A cluster's objects as kube-state-metrics shows them, 10,000 series: hardly a value changes, a
/// pod is replaced now and then, a container restarts, leases are renewed.
fn cluster() -> Vec<String> {
    let mut random = Random(1);
    let hex = |random: &mut Random| format!("{:09x}", random.below(1 << 36));
    let mut pods: Vec<(String, u64, u64)> = (0..PODS)
        .map(|at| (hex(&mut random), 1_690_000_000 + at as u64 * 977, 0))
        .collect();
    let mut bodies = Vec::new();
    for tick in 0..PAGES {
        if tick % REPLACED_EVERY == REPLACED_EVERY - 1 {
            let at = random.below(PODS as u64) as usize;
            pods[at] = (hex(&mut random), 1_700_000_000 + tick as u64 * 15, 0);
        }
        pods[random.below(PODS as u64) as usize].2 += u64::from(tick % 5 == 0);
        bodies.push(cluster_page(&pods, tick));
    }
    bodies
}

const APP: &[&str] = &["app"];
const PHASES: &[&str] = &["Pending", "Succeeded", "Failed", "Unknown", "Running"];
const REASONS: &[&str] = &[
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "Shutdown",
    "Unexpected",
];
const CONDITIONS: &[&str] = &["true", "false", "unknown"];
const WAITING: &[&str] = &[
    "ContainerCreating",
    "CrashLoopBackOff",
    "ErrImagePull",
    "Unknown",
];
const RESOURCES: &[&str] = &["cpu", "memory"];
const TOLERATIONS: &[&str] = &["not-ready", "unreachable"];

/// A metric family of all pods: its name, a label with its values, and the number of a value by
/// the pod's position and the label value's.
type Family<'a> = (
    &'a str,
    &'a str,
    &'a [&'a str],
    &'a dyn Fn(usize, usize) -> u64,
);

fn cluster_page(pods: &[(String, u64, u64)], tick: usize) -> String {
    let created = |at: usize, _: usize| pods[at].1;
    let started = |at: usize, _: usize| pods[at].1 + 2;
    let restarts = |at: usize, _: usize| pods[at].2;
    let (zero, one) = (|_, _| 0, |_, _| 1);
    let (first, last) = (
        |_, which| u64::from(which == 0),
        |_, which| u64::from(which == 4),
    );
    let sizes = |at: usize, which: usize| (which as u64 * (64 << 20)).max(at as u64 % 3 + 1);
    let families: [Family<'_>; 19] = [
        ("kube_pod_created", "container", APP, &created),
        ("kube_pod_start_time", "container", APP, &started),
        ("kube_pod_info", "node", &["node-a"], &one),
        ("kube_pod_owner", "owner_kind", &["ReplicaSet"], &one),
        ("kube_pod_status_phase", "phase", PHASES, &last),
        ("kube_pod_status_reason", "reason", REASONS, &zero),
        ("kube_pod_status_ready", "condition", CONDITIONS, &first),
        ("kube_pod_status_scheduled", "condition", CONDITIONS, &first),
        (
            "kube_pod_container_status_restarts_total",
            "container",
            APP,
            &restarts,
        ),
        (
            "kube_pod_container_status_waiting_reason",
            "reason",
            WAITING,
            &zero,
        ),
        ("kube_pod_container_status_ready", "container", APP, &one),
        ("kube_pod_container_status_running", "container", APP, &one),
        (
            "kube_pod_container_status_terminated",
            "container",
            APP,
            &zero,
        ),
        ("kube_pod_container_status_waiting", "container", APP, &zero),
        (
            "kube_pod_container_status_last_terminated_exitcode",
            "container",
            APP,
            &zero,
        ),
        (
            "kube_pod_container_resource_requests",
            "resource",
            RESOURCES,
            &sizes,
        ),
        (
            "kube_pod_container_resource_limits",
            "resource",
            RESOURCES,
            &sizes,
        ),
        ("kube_pod_tolerations", "key", TOLERATIONS, &one),
        ("kube_pod_ips", "ip_family", &["4"], &one),
    ];
    let mut body = String::new();
    for family in families {
        write_family(pods, family, &mut body);
    }
    for (at, (lease, ..)) in pods.iter().take(10).enumerate() {
        let renewed = 1_700_000_000 + tick * 15 + at % 7;
        writeln!(
            body,
            "kube_lease_renew_time{{lease=\"node-{lease}\"}} {renewed}"
        )
        .unwrap();
    }
    body
}

fn write_family(
    pods: &[(String, u64, u64)],
    (name, label, values, value_of): Family<'_>,
    body: &mut String,
) {
    writeln!(body, "# HELP {name} Describes objects of a cluster.").unwrap();
    writeln!(body, "# TYPE {name} gauge").unwrap();
    for (at, (pod, ..)) in pods.iter().enumerate() {
        let namespace = ["shop", "search", "payments", "kube-system"][at % 4];
        let app = at % 30;
        for (which, text) in values.iter().enumerate() {
            let value = value_of(at, which);
            writeln!(
                body,
                "{name}{{namespace=\"{namespace}\",pod=\"app-{app}-{pod}\",\
                 uid=\"{pod}-7c1d-4e2a\",{label}=\"{text}\"}} {value}"
            )
            .unwrap();
        }
    }
}

/// Buckets of each histogram, in milliseconds.
const BUCKETS: [u64; 19] = [
    1, 2, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000, 30_000, 60_000,
    300_000,
];

/// Requests of a service mesh by source and destination, most idle, few busy: 240 histograms.
fn histograms() -> Vec<String> {
    const HISTOGRAMS: usize = 240;
    let mut random = Random(2);
    let mut counts = vec![[0_u64; BUCKETS.len() + 1]; HISTOGRAMS];
    let mut sums = vec![0_u64; HISTOGRAMS];
    let mut bodies = Vec::new();
    for _ in 0..PAGES {
        for (at, (counts, sum)) in counts.iter_mut().zip(&mut sums).enumerate() {
            // The busiest have some hundred requests in an interval, the thousandth part of them
            // the rest.
            let rate = 4_000 / (at as u64 + 1);
            let requests = (random.below(rate + 3) + rate / 2) / 3;
            for _ in 0..requests {
                // The product of three numbers has a long tail, as latencies do.
                let micros =
                    random.below(300) * random.below(60) * random.below(12) + random.below(1000);
                let bucket = BUCKETS.iter().position(|limit| micros <= limit * 1000);
                counts[bucket.unwrap_or(BUCKETS.len())] += 1;
                *sum += micros;
            }
        }
        bodies.push(histogram_page(&counts, &sums));
    }
    bodies
}

fn histogram_page(counts: &[[u64; BUCKETS.len() + 1]], sums: &[u64]) -> String {
    const NAME: &str = "istio_request_duration_seconds";
    let mut body = format!("# HELP {NAME} Duration of requests.\n# TYPE {NAME} histogram\n");
    for (at, (counts, sum)) in counts.iter().zip(sums).enumerate() {
        let labels = format!(
            "reporter=\"destination\",source_workload=\"client-{}\",source_namespace=\"shop\",\
             destination_workload=\"server-{}\",destination_namespace=\"search\",\
             request_protocol=\"http\",response_code=\"{}\",response_flags=\"-\",\
             connection_security_policy=\"mutual_tls\"",
            at % 24,
            at / 24,
            [200, 404, 500][at % 3]
        );
        let mut total = 0;
        for (limit, count) in BUCKETS.iter().zip(counts) {
            total += count;
            let limit = *limit as f64 / 1000.0;
            writeln!(body, "{NAME}_bucket{{{labels},le=\"{limit}\"}} {total}").unwrap();
        }
        total += counts[BUCKETS.len()];
        writeln!(body, "{NAME}_bucket{{{labels},le=\"+Inf\"}} {total}").unwrap();
        writeln!(body, "{NAME}_sum{{{labels}}} {}", *sum as f64 / 1e6).unwrap();
        writeln!(body, "{NAME}_count{{{labels}}} {total}").unwrap();
    }
    body
}
