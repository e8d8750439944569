//! `jobs`: what the poller scrapes, how often, and how long it waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::block::{Block, Value};
use super::keys;
use super::problem::{Place, Position, Report};
use super::values::printable;
use crate::model::Labels;

/// The job under which a poller scrapes itself, as the ancestor did.
const OWN_JOB: &str = "prometheus_streams";

const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);
const BODY_SIZE_LIMIT: usize = 64 << 20;

/// Times are kept in milliseconds.
const LEAST: Duration = Duration::from_millis(1);

/// Prometheus takes 0 for "no limit"; we do not, since one target could then take all memory.
const BODY_SIZE_GIGABYTES: u64 = 1;

/// Targets in all: ten times what a large site has; each costs a worker and a connection.
const TARGETS_MAX: usize = 100_000;

/// The longest name of a job or target: it is part of every URL that a Pushgateway is sent.
const NAME_MAX: usize = 1024;

pub(super) struct Target { pub labels: Arc<Labels>, pub url: Url, pub interval: Duration, pub timeout: Duration, pub config: Arc<crate::scrape::Config> }
impl Target { pub fn into_config(self) -> Arc<crate::scrape::Config> {
    let mut c = (*self.config).clone(); c.job_name = self.labels.job().to_owned();
    c.scheme = self.url.scheme().to_owned(); c.metrics_path = self.url.path().to_owned();
    let address = self.url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    c.params = self.url.query_pairs().map(|(k,v)| (k.into_owned(), vec![v.into_owned()])).collect();
    c.discovery = vec![crate::discover::Settings::Static(vec![Arc::new(crate::discover::Group { source: "0".into(), labels: vec![], targets: vec![vec![("__address__".to_owned(), address), ("instance".to_owned(), self.labels.instance().to_owned())]] })])];
    Arc::new(c)
} }
/// When to scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    interval: Duration,
    timeout: Duration,
    body_size_limit: usize,
}

impl Schedule {
    /// Reads the keys at the top level.
    pub(super) fn global(block: &Block<'_>, report: &mut Report) -> Self {
        let defaults = Self {
            interval: INTERVAL,
            timeout: TIMEOUT,
            body_size_limit: BODY_SIZE_LIMIT,
        };
        Self::read(block, defaults, report)
    }

    /// Reads the keys of one block, by Prometheus's rules: a time-out that was not given is
    /// shortened to the interval, one that was given must fit into it.
    fn read(block: &Block<'_>, defaults: Self, report: &mut Report) -> Self {
        let interval = block.duration("scrape_interval", LEAST, report);
        let interval = interval.unwrap_or(defaults.interval);
        let timeout = block.duration("scrape_timeout", LEAST, report);
        if timeout.is_some_and(|timeout| timeout > interval)
            && let Some(value) = block.value("scrape_timeout")
        {
            let what = "`scrape_timeout` is greater than `scrape_interval`";
            report.problem(&value.place, what, format!("write at most {interval:?}"));
        }
        let size = block.size("body_size_limit", BODY_SIZE_GIGABYTES, report);
        Self {
            interval,
            timeout: timeout.unwrap_or(defaults.timeout).min(interval),
            body_size_limit: size.unwrap_or(defaults.body_size_limit),
        }
    }

    fn target(self, labels: Labels, url: Url) -> Target {
        Target {
            labels: Arc::new(labels),
            url,
            interval: self.interval,
            timeout: self.timeout,
            config: Arc::new(config_of(self)),
        }
    }
}

pub(super) fn config_of(schedule: Schedule) -> crate::scrape::Config {
    crate::scrape::Config {
        job_name: String::new(),
        interval: schedule.interval,
        timeout: schedule.timeout,
        metrics_path: "/metrics".into(),
        scheme: "http".into(),
        params: vec![],
        honor_labels: false,
        honor_timestamps: true,
        track_timestamps_staleness: false,
        protocols: crate::scrape::Protocol::DEFAULT.to_vec(),
        fallback_protocol: Some(crate::scrape::Protocol::PrometheusText004),
        enable_compression: true,
        limits: crate::scrape::Limits {
            body_size: schedule.body_size_limit,
            samples: None,
            targets: None,
            labels: None,
            label_name_length: None,
            label_value_length: None,
            keep_dropped_targets: None,
        },
        name_validation: Default::default(),
        name_escaping: Default::default(),
        native_histograms: false,
        always_scrape_classic_histograms: false,
        extra_scrape_metrics: false,
        client: Default::default(),
        relabel: Default::default(),
        metric_relabel: Default::default(),
        discovery: vec![],
    }
}

/// Reads the mapping `jobs`.
pub(super) fn read(value: &Value<'_>, global: Schedule, report: &mut Report) -> Vec<Target> {
    let mut targets = Vec::new();
    for entry in value.entries("a mapping", report) {
        let place = value.place.key(&entry.key, entry.at);
        if entry.key.is_empty() || entry.key.len() > NAME_MAX {
            let what = format!("a job's name must have 1 to {NAME_MAX} characters");
            report.problem(&place, what, "name the job");
        }
        let name = printable(&entry.key);
        if matches!(entry.value.kind, super::yaml::Kind::Null) {
            report.warn(
                &place,
                format!("job `{name}` has no targets"),
                "add `targets`",
            );
            continue;
        }
        let value = Value {
            place: place.at(entry.value.at),
            node: &entry.value,
        };
        let Some(block) = Block::open(&value, &keys::JOB, report) else {
            continue;
        };
        let schedule = Schedule::read(&block, global, report);
        let before = targets.len();
        if let Some(list) = block.value("targets") {
            let job = Job {
                name: &entry.key,
                schedule,
            };
            job.targets(&list, &mut targets, report);
        }
        if targets.len() > TARGETS_MAX {
            let what = format!("there are more than {TARGETS_MAX} targets");
            report.problem(&place, what, "share them among several pollers");
            break;
        }
        let is_empty = block.value("targets").is_none_or(
            |value| matches!(&value.node.kind, super::yaml::Kind::List(items) if items.is_empty()),
        );
        if targets.len() == before && is_empty {
            report.warn(
                &place,
                format!("job `{name}` has no targets"),
                "add `targets`",
            );
        }
    }
    targets
}

struct Job<'a> {
    name: &'a str,
    schedule: Schedule,
}

impl Job<'_> {
    fn targets(&self, list: &Value<'_>, targets: &mut Vec<Target>, report: &mut Report) {
        let mut known: HashMap<String, Position> = HashMap::new();
        for item in list.items("a list", report) {
            let Some(block) = Block::open(&item, &keys::TARGET, report) else {
                continue;
            };
            let remedy = "write the whole address, such as `http://host:9100/metrics`";
            let url = block.required("url", remedy, report);
            let url = url.and_then(|url| url.http_url(report));
            let name = block.text("name", report).map(str::to_owned);
            let name = name.or_else(|| host_and_port(url.as_ref()?));
            let Some(name) = name else { continue };
            let place = block.value("name").map_or(block.place, |value| value.place);
            if name.len() > NAME_MAX || name.chars().any(char::is_control) {
                let what = format!("a target's name must be one line of at most {NAME_MAX} bytes");
                report.problem(&place, what, "shorten it");
                continue;
            }
            self.check_unique(&name, &mut known, &place, report);
            let Some(url) = url else { continue };
            let labels = Labels::of_target(self.name, &name);
            targets.push(self.schedule.target(labels, url));
        }
    }

    fn check_unique(
        &self,
        name: &str,
        known: &mut HashMap<String, Position>,
        place: &Place,
        report: &mut Report,
    ) {
        match known.get(name) {
            None => {
                known.insert(name.to_owned(), place.at);
            }
            Some(first) => {
                let (job, name) = (printable(self.name), super::values::shown(name));
                let what = format!("job `{job}` has two targets with the name `{name}`");
                let remedy = format!(
                    "give this one another `name`; the first is in line {}",
                    first.line
                );
                report.problem(place, what, remedy);
            }
        }
    }
}

/// The name of a target that has none.
fn host_and_port(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host()?, url.port_or_known_default()?))
}

/// The poller's own pages as a target.
pub(super) fn own_target(
    identity: &str,
    admin: &crate::admin::Settings,
    schedule: Schedule,
) -> Option<Target> {
    let url = own_url(admin)?;
    Some(schedule.target(Labels::of_target(OWN_JOB, identity), url))
}

/// Tells whether a target is the one that [`own_target`] makes.
pub(super) fn is_own(target: &Target, admin: Option<&crate::admin::Settings>) -> bool {
    target.labels.job() == OWN_JOB && admin.and_then(own_url).as_ref() == Some(&target.url)
}

/// Tells whether the operator wrote a job of that name.
pub(super) fn has_own_job(targets: &[Target]) -> bool {
    targets.iter().any(|target| target.labels.job() == OWN_JOB)
}

fn own_url(admin: &crate::admin::Settings) -> Option<Url> {
    use std::net::IpAddr;
    let host = match admin.address {
        None => "localhost".to_owned(),
        // Listening on all addresses of a family includes its loopback.
        Some(IpAddr::V4(address)) if address.is_unspecified() => "127.0.0.1".to_owned(),
        Some(IpAddr::V6(address)) if address.is_unspecified() => "[::1]".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => format!("[{address}]"),
    };
    Url::parse(&format!("http://{host}:{}/metrics", admin.port)).ok()
}
