//! The top level of the file.

use std::net::IpAddr;
use std::time::Duration;

use super::Config;
use super::block::{Block, Value};
use super::jobs::{self, Schedule};
use super::keys;
use super::problem::{Place, Report};
use super::sinks::{self, Shared};
use super::spool;
use super::stream;
use super::tls;
use super::values::printable;
use super::yaml::Node;
use crate::bus::{escape_token, unescape_token};
use crate::model::Labels;
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

/// External labels: each is sent with every series.
const EXTERNAL_LABELS_MAX: usize = 100;

/// Reads the whole tree.
pub(super) fn read(root: &Node, file: &str, report: &mut Report) -> Option<Config> {
    let value = Value {
        place: Place::root(),
        node: root,
    };
    let block = Block::open(&value, &keys::TOP, report)?;
    let identity = identity(&block, report);
    let log = log(&block, report);
    let admin = admin(&block, report);
    let schedule = Schedule::global(&block, report);
    let max_age = block.seconds_or_duration("max_age", report);
    let site_timeout = site_timeout(&block, report);
    let tls = block
        .block("tls", &keys::TLS, report)
        .map(|block| tls::read(&block, report));
    let poller_stream = stream(&block, "poller_stream", tls.as_ref(), report);
    let receiver_stream = stream(&block, "receiver_stream", tls.as_ref(), report);
    let spool = block
        .block("spool", &keys::SPOOL, report)
        .and_then(|block| spool::read(&block, report));
    let chain = block
        .block("wire", &keys::WIRE, report)
        .and_then(|block| block.boolean("chain", report));
    let push_gateway = block.block("push_gateway", &keys::PUSH_GATEWAY, report);
    let push_gateway = push_gateway.and_then(|block| sinks::push_gateway(&block, report));
    let shared = Shared {
        publisher_label: push_gateway
            .as_ref()
            .is_some_and(|gateway| gateway.publisher_label),
        external_labels: external_labels(&block, report),
    };
    let remote_write = match block.value("remote_write") {
        Some(value) => sinks::remote_write(&value, &shared, report),
        None => Vec::new(),
    };
    management(&block, report);
    let mut targets = match block.value("jobs") {
        Some(value) => jobs::read(&value, schedule, report),
        None => Vec::new(),
    };
    if let Some(admin) = &admin
        && !jobs::has_own_job(&targets)
    {
        targets.extend(jobs::own_target(&identity, admin, schedule));
    }
    Some(Config {
        file: file.into(),
        identity,
        log,
        admin,
        max_age: max_age.filter(|age| !age.is_zero()),
        site_timeout,
        scrape: scrape::Settings { targets },
        poller_stream,
        receiver_stream,
        spool,
        chain: chain.unwrap_or(true),
        push_gateway,
        remote_write,
    })
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

fn stream(
    block: &Block<'_>,
    key: &str,
    tls: Option<&crate::tls::Settings>,
    report: &mut Report,
) -> Option<bus::Settings> {
    let block = block.block(key, stream::keys_of(key), report)?;
    Some(stream::read(&block, tls, report))
}

fn external_labels(block: &Block<'_>, report: &mut Report) -> Labels {
    let Some(value) = block.value("external_labels") else {
        return Labels::default();
    };
    let entries = value.entries("a mapping", report);
    if entries.len() > EXTERNAL_LABELS_MAX {
        let what = format!("`external_labels` has more than {EXTERNAL_LABELS_MAX} labels");
        report.problem(&value.place, what, "remove some");
        return Labels::default();
    }
    let mut labels = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = value.place.key(&entry.key, entry.at);
        if !is_label_name(&entry.key) {
            let what = format!("`{}` is not a valid label name", printable(&entry.key));
            let remedy = "write letters, digits and `_`, not beginning with a digit or `__`";
            report.problem(&place, what, remedy);
            continue;
        }
        let value = Value {
            place: place.at(entry.value.at),
            node: &entry.value,
        };
        if let Some(text) = value.scalar("a string", report) {
            labels.push((&*entry.key, text));
        }
    }
    Labels::new(labels)
}

/// Names with `__` in front are Prometheus's own and are removed before samples are stored.
fn is_label_name(name: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_start)
        && !name.starts_with("__")
        && name.chars().all(|c| is_start(c) || c.is_ascii_digit())
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
