//! The top level of the file.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::block::{Block, Value};
use super::files;
use super::global::{self, Global, JobNames};
use super::jobs::{self, Jobs};
use super::keys;
use super::problem::{Place, Report};
use super::sinks::{self, Shared};
use super::spool;
use super::stream;
use super::tls;
use super::yaml::Node;
use super::{Config, Overrides};
use crate::bus::{escape_token, unescape_token};
use crate::sink::{pushgateway, remote_write};
use crate::telemetry::{Level, LogSettings};
use crate::{admin, bus, scrape};

/// The longest identity: it is a token of every subject and a label of every series.
const IDENTITY_MAX: usize = 200;

/// Prometheus, too, takes a series for stale when nothing came for 5 minutes.
const SITE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A lane has a heartbeat each minute, and one may be late.
const SITE_TIMEOUT_SAFE: Duration = Duration::from_secs(2 * 60);

/// Frames are up to a second apart, also where targets are scraped more often.
const SITE_TIMEOUT_LEAST: Duration = Duration::from_secs(2);

/// Reads the whole tree.
///
/// Files that were named on the command line stand in place of those that the file names.
pub(super) fn read(
    root: &Node,
    file: &str,
    overrides: Overrides<'_>,
    report: &mut Report,
) -> Option<Config> {
    let value = Value {
        place: Place::root(),
        node: root,
    };
    let block = Block::open(&value, &keys::TOP, report)?;
    let identity = identity(&block, report);
    let is_strict = block.boolean("strict", report).unwrap_or(false);
    let log = log(&block, report);
    let admin = admin(&block, report);
    let web = web(&block, overrides.web, admin.is_some(), report);
    let global = global(&block, report);
    let max_age = block.seconds_or_duration("max_age", report);
    let site_timeout = site_timeout(&block, report);
    let tls = block
        .block("tls", &keys::TLS, report)
        .map(|block| tls::read(&block, &identity, report));
    let poller_stream = stream(&block, "poller_stream", &identity, tls.as_ref(), report);
    let receiver_stream = stream(&block, "receiver_stream", &identity, tls.as_ref(), report);
    let of_tls = tls.as_ref().and_then(|tls| tls.ssl_dir.as_ref());
    let enroll = super::enroll::read(&block, &identity, of_tls, report);
    let spool = spool(&block, report);
    let chain = chain(&block, report);
    let push_gateway = block.block("push_gateway", &keys::PUSH_GATEWAY, report);
    let push_gateway = push_gateway.and_then(|block| sinks::push_gateway(&block, report));
    let shared = shared(push_gateway.as_ref(), &global);
    let mut remote_write = match block.value("remote_write") {
        Some(value) => sinks::remote_write(&value, &shared, report),
        None => Vec::new(),
    };
    management(&block, report);
    let mut names = JobNames::default();
    let mut scrape_configs = match block.value("scrape_configs") {
        Some(value) => super::scrape::read(&value, &global, &mut names, report),
        None => Vec::new(),
    };
    scrape_configs.extend(files::scrape_configs(&block, &global, &mut names, report));
    let mut jobs = match block.value("jobs") {
        Some(value) => jobs::read(&value, &global, &mut names, report),
        None => Jobs::default(),
    };
    let prometheus = prometheus_file(&block, overrides.prometheus, report).map(|(path, place)| {
        let publisher_label = shared.publisher_label;
        files::prometheus(&path, &place, &mut names, publisher_label, report)
    });
    let prometheus = prometheus.unwrap_or_default();
    scrape_configs.extend(prometheus.scrape_configs);
    add_endpoints(&mut remote_write, prometheus.remote_write, &block, report);
    let is_closed = web.as_ref().is_some_and(|web| web.is_closed);
    match &admin {
        Some(_) if is_closed && poller_stream.is_none() => {}
        Some(_) if is_closed => jobs::warn_of_own(&jobs, &scrape_configs, &block, report),
        Some(admin) => jobs::add_own(&mut jobs, &scrape_configs, &identity, admin, &global),
        None => {}
    }
    scrape_configs.extend(jobs.configs);
    Some(Config {
        file: file.into(),
        identity,
        is_strict,
        log,
        admin,
        web_config: web.map(|web| web.file),
        max_age: max_age.filter(|age| !age.is_zero()),
        site_timeout,
        scrape: scrape::Settings {
            configs: scrape_configs,
        },
        enroll,
        poller_stream,
        receiver_stream,
        spool,
        chain: chain.unwrap_or(true),
        push_gateway,
        remote_write,
        receiver_problems: prometheus.remote_write_problems,
    })
}

/// Returns what every endpoint of remote write takes from elsewhere.
fn shared(push_gateway: Option<&pushgateway::Settings>, global: &Global) -> Shared {
    Shared {
        publisher_label: push_gateway.is_some_and(|gateway| gateway.publisher_label),
        external_labels: global.external_labels.clone(),
        names: global.names,
    }
}

/// Reads after which time a site is silent; zero switches that off, as with `max_age`.
fn site_timeout(block: &Block<'_>, report: &mut Report) -> Option<Duration> {
    let timeout = block.duration("site_timeout", Duration::ZERO, report);
    let timeout = timeout.unwrap_or(SITE_TIMEOUT);
    if timeout.is_zero() {
        return None;
    }
    if let Some(Value { place, .. }) = block.value("site_timeout") {
        if timeout < SITE_TIMEOUT_LEAST {
            let what = format!("`site_timeout` is shorter than {SITE_TIMEOUT_LEAST:?}");
            report.problem(&place, what, "write a longer time, or 0s for none");
        } else if timeout < SITE_TIMEOUT_SAFE {
            let what = "`site_timeout` is shorter than two heartbeats, which come each minute";
            let remedy = "write at least `2m`, unless every target is scraped more often";
            report.warn(&place, what, remedy);
        }
    }
    Some(timeout)
}

/// Reads what scrape configurations have in common.
fn global(block: &Block<'_>, report: &mut Report) -> Global {
    let global = Global::top(block, report);
    match block.block("global", &keys::GLOBAL, report) {
        Some(inner) => {
            global::check_shared(block, &inner, report);
            global.read(&inner, report)
        }
        None => global,
    }
}

/// Returns the `prometheus.yml` to read, and the place that names it.
fn prometheus_file(
    block: &Block<'_>,
    named: Option<&Path>,
    report: &mut Report,
) -> Option<(PathBuf, Place)> {
    let own = block.file("prometheus_config", report);
    let place = block.value("prometheus_config").map(|value| value.place);
    match named {
        Some(path) => Some((path.to_owned(), Place::root())),
        None => Some((own?, place?)),
    }
}

/// Adds the endpoints of a `prometheus.yml`; our own file has the last word on a name.
fn add_endpoints(
    endpoints: &mut Vec<remote_write::Settings>,
    others: Vec<remote_write::Settings>,
    block: &Block<'_>,
    report: &mut Report,
) {
    for other in others {
        if endpoints.iter().any(|known| known.name == other.name) {
            let place = block.place_of("remote_write");
            let place = place.unwrap_or_else(|| block.place.clone());
            let what = format!(
                "the endpoint `{}` stands in the `prometheus.yml`, too, and is taken from here",
                other.name
            );
            report.warn(&place, what, "give it another `name` if it is not the same");
        } else {
            endpoints.push(other);
        }
    }
}

fn identity(block: &Block<'_>, report: &mut Report) -> String {
    const REMEDY: &str = "name this site in one short word, such as `USDC1`";
    let Some(value) = block.value("identity") else {
        let name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        if !is_identity(&name) {
            let what = "this host has no name that could be the `identity`";
            report.problem(&block.place, what, REMEDY);
        }
        return name;
    };
    let text = value.scalar("a string", report).unwrap_or("invalid");
    if text.is_empty() {
        report.problem(&value.place, "`identity` is empty", REMEDY);
    } else if !is_identity(text) {
        let expected =
            format!("one line of at most {IDENTITY_MAX} bytes, mostly letters and digits");
        value.refuse(text, &expected, REMEDY, report);
    }
    text.to_owned()
}

fn is_identity(name: &str) -> bool {
    // Characters that no subject may have are escaped there, and take three times the room.
    name.len() <= IDENTITY_MAX
        && !name.chars().any(char::is_control)
        && unescape_token(&escape_token(name)).is_some()
}

fn log(block: &Block<'_>, report: &mut Report) -> LogSettings {
    // The ancestor said nothing without it; what it added is our least level.
    let _verbose = block.boolean("verbose", report);
    let debug = block.boolean("debug", report).unwrap_or(false);
    LogSettings {
        level: if debug { Level::Debug } else { Level::Info },
        file: block.file("logfile", report),
    }
}

fn admin(block: &Block<'_>, report: &mut Report) -> Option<admin::Settings> {
    // Zero switches the pages off, as in the ancestor.
    let port = block.integer("monitor_port", &(0..=u32::from(u16::MAX)), report);
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0);
    let mut address = None;
    if let Some(text) = block.text("monitor_address", report)
        && let Some(value) = block.value("monitor_address")
    {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        address = bare.unwrap_or(text).parse::<IpAddr>().ok();
        if address.is_none() {
            let remedy = "write an address such as `127.0.0.1` or `::1`";
            value.refuse(text, "an IP address", remedy, report);
        }
        if port.is_none() && !block.has("monitor_port") {
            block.no_effect("monitor_address", "`monitor_port` is not set", report);
        }
    }
    port.map(|port| admin::Settings { address, port })
}

fn spool(block: &Block<'_>, report: &mut Report) -> Option<crate::spool::Settings> {
    let block = block.block("spool", &spool::KEYS, report)?;
    spool::read(&block, report)
}

fn chain(block: &Block<'_>, report: &mut Report) -> Option<bool> {
    let block = block.block("wire", &keys::WIRE, report)?;
    block.boolean("chain", report)
}

/// Who may see our own pages.
struct Web {
    file: PathBuf,
    /// Whether not everybody who comes by plain HTTP sees them.
    is_closed: bool,
}

fn web(
    block: &Block<'_>,
    named: Option<&Path>,
    has_pages: bool,
    report: &mut Report,
) -> Option<Web> {
    let own = block.file("web_config", report);
    let place = block.value("web_config").map(|value| value.place);
    if own.is_some() && !has_pages {
        block.no_effect("web_config", "`monitor_port` is not set", report);
    }
    let (file, place) = match named {
        Some(path) => (path.to_owned(), Place::root()),
        None => (own?, place?),
    };
    let is_closed = files::web(&file, &place, report)
        .is_some_and(|web| web.tls.is_some() || !web.users.is_empty());
    Some(Web { file, is_closed })
}

fn stream(
    block: &Block<'_>,
    key: &str,
    identity: &str,
    tls: Option<&crate::tls::Settings>,
    report: &mut Report,
) -> Option<bus::Settings> {
    let block = block.block(key, stream::keys_of(key), report)?;
    Some(stream::read(&block, identity, tls, report))
}

/// Accepts the ancestor's block, whatever stands in it.
fn management(block: &Block<'_>, report: &mut Report) {
    let Some(value) = block.value("management") else {
        return;
    };
    let before = report.count();
    value.entries("a mapping", report);
    if report.count() == before
        && let Some(place) = block.place_of("management")
    {
        let what = "`management` has no effect yet";
        report.warn(&place, what, "nothing needs to be done; it may stay");
    }
}
