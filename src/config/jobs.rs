//! `jobs`: targets in the ancestor's form, made into scrape configurations.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use url::Url;

use super::block::{Block, Value};
use super::fixed::TARGETS_MAX;
use super::global::{self, Global, JobNames, Times};
use super::keys;
use super::problem::{Place, Position, Report};
use super::values::printable;
use crate::discover::{self, Group};
use crate::http;
use crate::model::Secret;
use crate::scrape::{Config, NameEscaping, Protocol};

/// The job under which a poller scrapes itself, as the ancestor did.
const OWN_JOB: &str = "prometheus_streams";

/// The longest name of a target: it is part of every URL that a Pushgateway is sent.
const NAME_MAX: usize = 1024;

/// A target as its labels say it, before relabelling.
type Labelled = Vec<(String, String)>;

/// What jobs are made into.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// How many targets there are.
    targets: usize,
    pub(super) configs: Vec<Arc<Config>>,
}

/// Reads the mapping `jobs`.
pub(super) fn read(
    value: &Value<'_>,
    global: &Global,
    names: &mut JobNames,
    report: &mut Report,
) -> Jobs {
    let mut jobs = Jobs::default();
    for entry in value.entries("a mapping", report) {
        let place = value.place.key(&entry.key, entry.at);
        global::check_job_name(&entry.key, &place, report);
        names.take(&entry.key, &place, report);
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
        let mut job = Job {
            name: &entry.key,
            times: global.times.read(&block, report),
            body_size_limit: global::body_size(&block, report).unwrap_or(global.limits.body_size),
            global,
            clients: Vec::new(),
        };
        if let Some(list) = block.value("targets") {
            job.read_targets(&list, report);
        }
        let is_empty = block.value("targets").is_none_or(
            |value| matches!(&value.node.kind, super::yaml::Kind::List(items) if items.is_empty()),
        );
        if is_empty {
            report.warn(
                &place,
                format!("job `{name}` has no targets"),
                "add `targets`",
            );
        }
        job.finish(&mut jobs);
        if jobs.targets > TARGETS_MAX {
            let what = format!("there are more than {TARGETS_MAX} targets");
            report.problem(&place, what, "share them among several pollers");
            break;
        }
    }
    jobs
}

/// A job while its targets are read.
struct Job<'a> {
    name: &'a str,
    times: Times,
    body_size_limit: usize,
    global: &'a Global,
    /// Targets by what labels cannot say about them.
    clients: Vec<(Client, Vec<Labelled>)>,
}

/// What targets of one scrape configuration have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Client {
    /// The name and the password that stand in the URL.
    user: Option<(String, String)>,
    /// All parameters, if one of them has several values.
    params: Vec<(String, Vec<String>)>,
}

impl Job<'_> {
    fn read_targets(&mut self, list: &Value<'_>, report: &mut Report) {
        let mut known: HashMap<String, Position> = HashMap::new();
        for item in list.items("a list", report) {
            let Some(block) = Block::open(&item, &keys::TARGET, report) else {
                continue;
            };
            let remedy = "write the whole address, such as `http://host:9100/metrics`";
            let url = block.required("url", remedy, report);
            let url_place = url.as_ref().map(|url| url.place.clone());
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
            let (Some(url), Some(url_place)) = (url, url_place) else {
                continue;
            };
            self.add(&name, &url, &url_place, report);
        }
    }

    fn add(&mut self, name: &str, url: &Url, place: &Place, report: &mut Report) {
        let Some((client, labels)) = labels_of(name, url) else {
            let what = format!("the path in `{}` cannot be read", place.name);
            let remedy = "write it as UTF-8, with no `%2F` in it";
            report.problem(place, what, remedy);
            return;
        };
        match self.clients.iter_mut().find(|(known, _)| *known == client) {
            Some((_, targets)) => targets.push(labels),
            None => self.clients.push((client, vec![labels])),
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

    fn finish(self, jobs: &mut Jobs) {
        for (client, targets) in self.clients {
            jobs.targets += targets.len();
            let user = client.user.map(|(username, password)| http::Auth::Basic {
                username: Secret::Inline(username.into()),
                password: (!password.is_empty()).then(|| Secret::Inline(password.into())),
            });
            let mut config = config(self.name, self.global, targets);
            config.interval = self.times.interval;
            config.timeout = self.times.timeout;
            config.limits.body_size = self.body_size_limit;
            config.params = client.params;
            config.client.auth = user;
            jobs.configs.push(Arc::new(config));
        }
    }
}

/// A scrape configuration with nothing but targets.
fn config(job_name: &str, global: &Global, targets: Vec<Labelled>) -> Config {
    let group = Group {
        source: "0".into(),
        labels: Vec::new(),
        targets,
    };
    let protocols = if global.native_histograms {
        Protocol::DEFAULT_NATIVE.to_vec()
    } else {
        Protocol::DEFAULT.to_vec()
    };
    Config {
        job_name: job_name.to_owned(),
        interval: global.times.interval,
        timeout: global.times.timeout,
        metrics_path: "/metrics".to_owned(),
        scheme: "http".to_owned(),
        params: Vec::new(),
        honor_labels: false,
        honor_timestamps: true,
        track_timestamps_staleness: false,
        protocols: global.protocols.clone().unwrap_or(protocols),
        // As the ancestor read everything that it got.
        fallback_protocol: Some(Protocol::PrometheusText004),
        enable_compression: true,
        limits: global.limits,
        name_validation: global.names,
        name_escaping: global.escaping.unwrap_or(match global.names {
            crate::model::NameValidation::Utf8 => NameEscaping::AllowUtf8,
            crate::model::NameValidation::Legacy => NameEscaping::Underscores,
        }),
        native_histograms: global.native_histograms,
        always_scrape_classic_histograms: global.always_scrape_classic_histograms,
        extra_scrape_metrics: global.extra_scrape_metrics,
        client: http::Settings::default(),
        relabel: crate::relabel::Rules::default(),
        metric_relabel: crate::relabel::Rules::default(),
        discovery: vec![discover::Settings::Static(vec![Arc::new(group)])],
    }
}

/// Says in labels what a URL says, and the rest beside; `None` if they cannot say its path.
fn labels_of(name: &str, url: &Url) -> Option<(Client, Labelled)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(Into::into);
    let path: String = decoded(url.path())?;
    if url.path().to_ascii_lowercase().contains("%2f") {
        return None;
    }
    let mut labels = vec![
        ("__address__".to_owned(), address(url)?),
        ("__scheme__".to_owned(), url.scheme().to_owned()),
        ("__metrics_path__".to_owned(), path),
        ("instance".to_owned(), name.to_owned()),
    ];
    let mut params: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in url.query_pairs() {
        match params.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value.into_owned()),
            None => params.push((name.into_owned(), vec![value.into_owned()])),
        }
    }
    // A label has one value, and not none.
    let is_label = |(name, values): &(String, Vec<String>)| {
        !name.is_empty() && matches!(&**values, [value] if !value.is_empty())
    };
    if params.iter().all(is_label) {
        for (name, values) in params.drain(..) {
            let values = values.into_iter();
            labels.extend(values.map(|value| (format!("__param_{name}"), value)));
        }
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    let user = if has_user {
        let password = url.password().unwrap_or_default();
        Some((decoded(url.username())?, decoded(password)?))
    } else {
        None
    };
    Some((Client { user, params }, labels))
}

/// The host, and the port if it is not that of the scheme.
fn address(url: &Url) -> Option<String> {
    let host = url.host()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    })
}

/// The name of a target that has none.
fn host_and_port(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host()?, url.port_or_known_default()?))
}

/// Adds the poller's own pages as a job, unless the operator wrote one of that name.
pub(super) fn add_own(
    jobs: &mut Jobs,
    others: &[Arc<Config>],
    identity: &str,
    admin: &crate::admin::Settings,
    global: &Global,
) {
    let is_own = |config: &Arc<Config>| config.job_name == OWN_JOB;
    if jobs.configs.iter().chain(others).any(is_own) {
        return;
    }
    let Some(url) = own_url(admin) else { return };
    let Some((_, labels)) = labels_of(identity, &url) else {
        return;
    };
    jobs.configs
        .push(Arc::new(config(OWN_JOB, global, vec![labels])));
}

/// Warns that nobody scrapes the poller's own pages, which are not open to everybody.
pub(super) fn warn_of_own(
    jobs: &Jobs,
    others: &[Arc<Config>],
    block: &Block<'_>,
    report: &mut Report,
) {
    let is_own = |config: &Arc<Config>| config.job_name == OWN_JOB;
    if jobs.configs.iter().chain(others).any(is_own) {
        return;
    }
    let place = block.place_of("web_config");
    let place = place.unwrap_or_else(|| block.place.clone());
    let what = format!("a poller does not scrape its own pages as job `{OWN_JOB}` with this");
    let remedy = format!(
        "write `{OWN_JOB}` into `scrape_configs`, with what the pages ask for, if you want it"
    );
    report.warn(&place, what, remedy);
}

/// Tells whether a scrape configuration is the one that [`add_own`] makes.
pub(super) fn is_own(config: &Config, admin: Option<&crate::admin::Settings>) -> bool {
    let address = admin.and_then(own_url).and_then(|url| address(&url));
    let [discover::Settings::Static(groups)] = &*config.discovery else {
        return false;
    };
    let [group] = &**groups else { return false };
    let has_address = |target: &Labelled| {
        let own = |(name, value): &(String, String)| {
            name == "__address__" && Some(value) == address.as_ref()
        };
        target.iter().any(own)
    };
    config.job_name == OWN_JOB && group.targets.iter().all(has_address)
}

fn own_url(admin: &crate::admin::Settings) -> Option<Url> {
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
