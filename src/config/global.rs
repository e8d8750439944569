//! `global`: what scrape configurations have where they say nothing, and the keys at the top level
//! that mean the same.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::block::{Block, Value};
use super::labels;
use super::problem::Report;
use super::values::printable;
use crate::exposition::{NameEscaping, Protocol};
use crate::model::{Labels, NameValidation};
use crate::scrape::Limits;

const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Times are kept in milliseconds.
const LEAST: Duration = Duration::from_millis(1);

/// The largest body where nothing else is said. Prometheus has no limit then; we do, since one
/// target could take all memory. A page of 1,000,000 series with long labels fits.
const BODY_SIZE: usize = 256 << 20;

/// The largest body that can be asked for: it is held in memory, and parsed, as a whole.
const BODY_SIZE_MAX: usize = 1 << 30;

/// Keys that stand both at the top level and in `global`.
const SHARED: [&str; 4] = [
    "scrape_interval",
    "scrape_timeout",
    "body_size_limit",
    "external_labels",
];

/// What holds where a scrape configuration says nothing.
#[derive(Debug, Clone)]
pub(super) struct Global {
    pub(super) times: Times,
    pub(super) limits: Limits,
    /// `None`: it depends on whether native histograms are wanted.
    pub(super) protocols: Option<Vec<Protocol>>,
    pub(super) names: NameValidation,
    /// `None`: it depends on which names are valid.
    pub(super) escaping: Option<NameEscaping>,
    pub(super) native_histograms: bool,
    pub(super) always_scrape_classic_histograms: bool,
    pub(super) extra_scrape_metrics: bool,
    pub(super) external_labels: Labels,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            times: Times {
                interval: INTERVAL,
                timeout: TIMEOUT,
            },
            limits: Limits {
                body_size: BODY_SIZE,
                samples: None,
                targets: None,
                labels: None,
                label_name_length: None,
                label_value_length: None,
                keep_dropped_targets: None,
            },
            protocols: None,
            names: NameValidation::Utf8,
            escaping: None,
            native_histograms: false,
            always_scrape_classic_histograms: false,
            extra_scrape_metrics: false,
            external_labels: Labels::default(),
        }
    }
}

impl Global {
    /// Reads the keys at the top level of our own file.
    pub(super) fn top(block: &Block<'_>, report: &mut Report) -> Self {
        let defaults = Self::default();
        let mut limits = defaults.limits;
        if let Some(size) = body_size(block, report) {
            limits.body_size = size;
        }
        Self {
            times: defaults.times.read(block, report),
            limits,
            external_labels: labels::of_top(block, report),
            ..defaults
        }
    }

    /// Reads the block `global`; where it says nothing, all stays as it is.
    pub(super) fn read(self, block: &Block<'_>, report: &mut Report) -> Self {
        let choices = validation_choices();
        let names = block.choice("metric_name_validation_scheme", &choices, report);
        let names = names.unwrap_or(self.names);
        refuse_custom_buckets(block, report);
        if block.text("scrape_failure_log_file", report).is_some() {
            let why = "failures are in our own log and in our metrics";
            block.no_effect("scrape_failure_log_file", why, report);
        }
        // These are about rules and queries, of which there are none.
        block.duration("evaluation_interval", Duration::ZERO, report);
        block.duration("rule_query_offset", Duration::ZERO, report);
        block.file("query_log_file", report);
        let or = |key, default, report: &mut Report| block.boolean(key, report).unwrap_or(default);
        Self {
            times: self.times.read(block, report),
            limits: limits(block, self.limits, report),
            protocols: protocols(block, report).or(self.protocols),
            names,
            escaping: escaping(block, names, report).or(self.escaping),
            native_histograms: or("scrape_native_histograms", self.native_histograms, report),
            always_scrape_classic_histograms: or(
                "always_scrape_classic_histograms",
                self.always_scrape_classic_histograms,
                report,
            ),
            extra_scrape_metrics: or("extra_scrape_metrics", self.extra_scrape_metrics, report),
            external_labels: if block.has("external_labels") {
                labels::of_global(block, names, report)
            } else {
                self.external_labels
            },
        }
    }
}

/// Reports keys that stand both at the top level and in `global`.
pub(super) fn check_shared(top: &Block<'_>, global: &Block<'_>, report: &mut Report) {
    for key in SHARED {
        if global.has(key)
            && let Some(place) = top.place_of(key)
        {
            let what = format!("`{key}` stands at the top level and in `global`");
            report.problem(&place, what, "keep one of them");
        }
    }
}

/// When to scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl Times {
    /// Reads the keys of one block, by Prometheus's rules: a timeout that was not given is
    /// shortened to the interval, one that was given must fit into it.
    pub(super) fn read(self, block: &Block<'_>, report: &mut Report) -> Self {
        let interval = block.duration("scrape_interval", LEAST, report);
        let interval = interval.unwrap_or(self.interval);
        let timeout = block.duration("scrape_timeout", LEAST, report);
        if timeout.is_some_and(|timeout| timeout > interval)
            && let Some(value) = block.value("scrape_timeout")
        {
            let what = "`scrape_timeout` is greater than `scrape_interval`";
            report.problem(&value.place, what, format!("write at most {interval:?}"));
        }
        Self {
            interval,
            timeout: timeout.unwrap_or(self.timeout).min(interval),
        }
    }
}

/// Reads `body_size_limit`; 0 is as good as nothing.
pub(super) fn body_size(block: &Block<'_>, report: &mut Report) -> Option<usize> {
    block.size_limit("body_size_limit", BODY_SIZE_MAX, report)
}

/// Reads the limits of a block; 0 is as good as nothing.
pub(super) fn limits(block: &Block<'_>, inherited: Limits, report: &mut Report) -> Limits {
    let mut or = |key: &str, inherited: Option<u64>| {
        let number = block.number(key, report);
        number.filter(|number| *number > 0).or(inherited)
    };
    Limits {
        samples: or("sample_limit", inherited.samples),
        targets: or("target_limit", inherited.targets),
        labels: or("label_limit", inherited.labels),
        label_name_length: or("label_name_length_limit", inherited.label_name_length),
        label_value_length: or("label_value_length_limit", inherited.label_value_length),
        keep_dropped_targets: or("keep_dropped_targets", inherited.keep_dropped_targets),
        body_size: body_size(block, report).unwrap_or(inherited.body_size),
    }
}

/// Reads `scrape_protocols`.
pub(super) fn protocols(block: &Block<'_>, report: &mut Report) -> Option<Vec<Protocol>> {
    let value = block.value("scrape_protocols")?;
    let before = report.count();
    let items = value.items("a list", report);
    let mut protocols = Vec::with_capacity(items.len().min(Protocol::ALL.len()));
    for item in &items {
        let Some(protocol) = protocol(item, report) else {
            continue;
        };
        if protocols.contains(&protocol) {
            let what = format!("`{}` is asked for twice", protocol.as_str());
            report.problem(&item.place, what, "remove one of them");
        } else {
            protocols.push(protocol);
        }
    }
    if protocols.is_empty() && report.count() == before {
        let remedy = "name the formats to ask for, or remove the key";
        report.problem(&value.place, "`scrape_protocols` is empty", remedy);
    }
    Some(protocols)
}

/// Reads one protocol.
pub(super) fn protocol(value: &Value<'_>, report: &mut Report) -> Option<Protocol> {
    let names = Protocol::ALL.map(|protocol| format!("`{}`", protocol.as_str()));
    let expected = names.join(" or ");
    let text = value.scalar(&expected, report)?;
    let found = Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.as_str() == text);
    if found.is_none() {
        value.refuse(text, &expected, "write one of these", report);
    }
    found
}

/// The words of `metric_name_validation_scheme`.
pub(super) fn validation_choices() -> [(&'static str, NameValidation); 2] {
    [
        ("utf8", NameValidation::Utf8),
        ("legacy", NameValidation::Legacy),
    ]
}

/// Reads `metric_name_escaping_scheme`, which must not allow more names than are valid.
pub(super) fn escaping(
    block: &Block<'_>,
    names: NameValidation,
    report: &mut Report,
) -> Option<NameEscaping> {
    const KEY: &str = "metric_name_escaping_scheme";
    let choices = NameEscaping::ALL.map(|scheme| (scheme.as_str(), scheme));
    let escaping = block.choice(KEY, &choices, report)?;
    if escaping == NameEscaping::AllowUtf8
        && names == NameValidation::Legacy
        && let Some(value) = block.value(KEY)
    {
        let what = format!("`{KEY}` allows names that `metric_name_validation_scheme` does not");
        report.problem(&value.place, what, "write `underscores`, or remove the key");
    }
    Some(escaping)
}

/// Refuses `convert_classic_histograms_to_nhcb`.
pub(super) fn refuse_custom_buckets(block: &Block<'_>, report: &mut Report) {
    const KEY: &str = "convert_classic_histograms_to_nhcb";
    if block.boolean(KEY, report) == Some(true)
        && let Some(value) = block.value(KEY)
    {
        let what = "classic histograms cannot be converted to native ones with custom buckets here";
        let remedy = "remove it; the Prometheus that stores them can convert them in queries";
        report.problem(&value.place, what, remedy);
    }
}

/// Warns of limits for native histograms, which would change what is stored.
pub(super) fn warn_of_bucket_limits(block: &Block<'_>, report: &mut Report) {
    const WHY: &str = "buckets of native histograms are never merged here";
    let limit = block.number("native_histogram_bucket_limit", report);
    if limit.is_some_and(|limit| limit > 0) {
        block.no_effect("native_histogram_bucket_limit", WHY, report);
    }
    if let Some(value) = block.value("native_histogram_min_bucket_factor")
        && let Some(text) = value.scalar("a number", report)
    {
        match text.parse::<f64>() {
            Ok(factor) if factor > 0.0 => {
                block.no_effect("native_histogram_min_bucket_factor", WHY, report);
            }
            Ok(_) => {}
            Err(_) => value.refuse(text, "a number", "write a number such as `1.1`", report),
        }
    }
}

/// The length that the name of a job may have: it is part of every URL that a Pushgateway is sent.
const NAME_LENGTH: RangeInclusive<usize> = 1..=1024;

/// Checks the name of a job.
pub(super) fn check_job_name(name: &str, place: &super::problem::Place, report: &mut Report) {
    if !NAME_LENGTH.contains(&name.len()) {
        let most = NAME_LENGTH.end();
        let what = format!("a job's name must have 1 to {most} characters");
        report.problem(place, what, "name the job");
    }
}

/// The names of jobs, each of which may be given once, in whatever file.
#[derive(Debug, Default)]
pub(super) struct JobNames(std::collections::HashMap<String, (String, u32)>);

impl JobNames {
    /// Takes a name, or reports where it was given first.
    pub(super) fn take(&mut self, name: &str, place: &super::problem::Place, report: &mut Report) {
        if let Some((file, line)) = self.0.get(name) {
            let what = format!("there are two jobs with the name `{}`", printable(name));
            let remedy = if file == report.file() {
                format!("give this one another name; the first is in line {line}")
            } else {
                format!("give this one another name; the first is in line {line} of `{file}`")
            };
            report.problem(place, what, remedy);
            return;
        }
        let at = (report.file().to_owned(), place.at.line);
        self.0.insert(name.to_owned(), at);
    }
}
