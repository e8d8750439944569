//! From what discovery says about a target to what is scraped, as Prometheus 3 does it.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::duration::{self, DurationError};
use super::settings::Config;
use crate::discover::Group;
use crate::model::{Labels, labels};
use crate::relabel::Builder;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const SCRAPE_INTERVAL: &str = "__scrape_interval__";
const SCRAPE_TIMEOUT: &str = "__scrape_timeout__";
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";
const UNIX_SOCKET: &str = "__unix_socket__";
const NATIVE: &str = "__scrape_native_histograms__";
const CLASSIC: &str = "__always_scrape_classic_histograms__";
const CUSTOM: &str = "__convert_classic_histograms_to_nhcb__";

/// What Go leaves as it is in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What Go leaves as it is in a path.
const PATH: &AsciiSet = &QUERY
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// One thing to scrape.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its labels, `job` and `instance` among them, and those of `model::labels` that tell how to
    /// read its series.
    pub labels: Arc<Labels>,
    /// Where it exposes its metrics.
    pub url: Url,
    /// Time from one scrape to the next.
    pub interval: Duration,
    /// Time that a whole scrape may take, never more than the interval.
    pub timeout: Duration,
    /// Whether native histograms are taken.
    pub native_histograms: bool,
    /// Whether histograms that are native have their classic series, too.
    pub always_scrape_classic_histograms: bool,
    /// Everything else about how it is scraped.
    pub config: Arc<Config>,
    /// What discovery says about it.
    pub origin: Origin,
    /// All labels but those that say nothing any more once relabelling is done: with the URL, they
    /// are what tells it from others of its scrape configuration.
    pub(super) identity: Labels,
}

/// Where a target comes from: its place in a group.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The group.
    pub group: Arc<Group>,
    /// Its number in the group, from 0.
    pub index: usize,
}

impl Origin {
    /// Returns the labels before relabelling, with what the scrape configuration adds.
    pub fn discovered(&self, config: &Config) -> Builder {
        let mut builder = Builder::default();
        for (name, value) in &self.group.labels {
            builder.set(name, value);
        }
        // One of the target's own labels that is empty takes the group's away.
        for (name, value) in self.group.targets.get(self.index).into_iter().flatten() {
            builder.set(name, value);
        }
        let flag = |is_on: bool| is_on.to_string();
        for (name, value) in [
            ("job", config.job_name.clone()),
            (SCRAPE_INTERVAL, duration::format(config.interval)),
            (SCRAPE_TIMEOUT, duration::format(config.timeout)),
            (METRICS_PATH, config.metrics_path.clone()),
            (SCHEME, config.scheme.clone()),
            (CUSTOM, flag(false)),
            (CLASSIC, flag(config.always_scrape_classic_histograms)),
            (NATIVE, flag(config.native_histograms)),
        ] {
            builder.set_default(name, &value);
        }
        for (name, values) in &config.params {
            if let Some(value) = values.first() {
                builder.set_default(&format!("{PARAM_PREFIX}{name}"), value);
            }
        }
        builder
    }
}

/// Why a target cannot be scraped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PopulateError {
    /// It has no `__address__`.
    #[error("no address")]
    NoAddress,
    /// The address has a slash in it: it is a URL.
    #[error("`{0}` is not a valid hostname")]
    Hostname(String),
    /// The interval cannot be read.
    #[error("error parsing scrape interval `{0}`: {1}")]
    Interval(String, DurationError),
    /// The interval is nothing.
    #[error("scrape interval cannot be 0")]
    NoInterval,
    /// The timeout cannot be read.
    #[error("error parsing scrape timeout `{0}`: {1}")]
    Timeout(String, DurationError),
    /// The timeout is nothing.
    #[error("scrape timeout cannot be 0")]
    NoTimeout,
    /// The timeout does not fit into the interval.
    #[error("scrape timeout cannot be greater than scrape interval (`{0}` > `{1}`)")]
    TimeoutAboveInterval(String, String),
    /// A label that is a switch is neither on nor off.
    #[error("error parsing `{0}`: `{1}` is neither `true` nor `false`")]
    Switch(&'static str, String),
    /// Something that Prometheus can and we cannot.
    #[error("`{0}` is set, which is not supported")]
    Unsupported(&'static str),
    /// Neither `http` nor `https`.
    #[error("unsupported protocol scheme `{0}`")]
    Scheme(String),
    /// Scheme and address make no URL.
    #[error("address `{0}` cannot be part of a URL: {1}")]
    Url(String, url::ParseError),
    /// It could not be told from another target once scraped.
    #[error("another target has the same labels")]
    SameLabels,
}

/// What becomes of a target.
#[derive(Debug)]
pub(super) enum Populated {
    Target(Box<Target>),
    /// Relabelling dropped it.
    Dropped,
}

/// Adds what the configuration says, applies its rules, and checks what came out.
pub(super) fn populate(config: &Arc<Config>, origin: &Origin) -> Result<Populated, PopulateError> {
    let mut builder = origin.discovered(config);
    if !config.relabel.apply(&mut builder) {
        return Ok(Populated::Dropped);
    }
    let address = builder.get(ADDRESS).to_owned();
    if address.is_empty() {
        return Err(PopulateError::NoAddress);
    }
    if address.contains('/') {
        return Err(PopulateError::Hostname(address));
    }
    let (interval, timeout) = times(&builder)?;
    if switch(&builder, CUSTOM)?.unwrap_or(false) {
        return Err(PopulateError::Unsupported(CUSTOM));
    }
    if !builder.get(UNIX_SOCKET).is_empty() {
        return Err(PopulateError::Unsupported(UNIX_SOCKET));
    }
    let classic = switch(&builder, CLASSIC)?;
    let native = switch(&builder, NATIVE)?;
    builder.retain(|name| !name.starts_with(META_PREFIX));
    builder.set_default("instance", &address);
    let url = url(&builder, config)?;
    let identity = builder.to_labels();
    builder.retain(|name| !name.starts_with(labels::RESERVED_PREFIX));
    add_reserved(&mut builder, config, timeout);
    Ok(Populated::Target(Box::new(Target {
        labels: Arc::new(builder.to_labels()),
        url,
        interval,
        timeout,
        native_histograms: native.unwrap_or(config.native_histograms),
        always_scrape_classic_histograms: classic
            .unwrap_or(config.always_scrape_classic_histograms),
        config: Arc::clone(config),
        origin: origin.clone(),
        identity,
    })))
}

fn times(builder: &Builder) -> Result<(Duration, Duration), PopulateError> {
    let interval_text = builder.get(SCRAPE_INTERVAL);
    let interval = duration::parse(interval_text)
        .map_err(|error| PopulateError::Interval(interval_text.to_owned(), error))?;
    if interval.is_zero() {
        return Err(PopulateError::NoInterval);
    }
    let timeout_text = builder.get(SCRAPE_TIMEOUT);
    let timeout = duration::parse(timeout_text)
        .map_err(|error| PopulateError::Timeout(timeout_text.to_owned(), error))?;
    if timeout.is_zero() {
        return Err(PopulateError::NoTimeout);
    }
    if timeout > interval {
        let (timeout, interval) = (timeout_text.to_owned(), interval_text.to_owned());
        return Err(PopulateError::TimeoutAboveInterval(timeout, interval));
    }
    Ok((interval, timeout))
}

/// Reads a switch in the words that Go takes; `None` if relabelling removed it.
fn switch(builder: &Builder, name: &'static str) -> Result<Option<bool>, PopulateError> {
    match builder.get(name) {
        "" => Ok(None),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
        other => Err(PopulateError::Switch(name, other.to_owned())),
    }
}

fn url(builder: &Builder, config: &Config) -> Result<Url, PopulateError> {
    let (scheme, address) = (builder.get(SCHEME), builder.get(ADDRESS));
    if !matches!(scheme, "http" | "https") {
        return Err(PopulateError::Scheme(scheme.to_owned()));
    }
    let refused = |error| PopulateError::Url(address.to_owned(), error);
    // These would end the address and begin something else, or be taken for a user's name.
    if address.contains(|c: char| matches!(c, '?' | '#' | '@' | '\\') || c.is_whitespace()) {
        return Err(refused(url::ParseError::InvalidDomainCharacter));
    }
    let mut url = Url::parse(&format!("{scheme}://{address}")).map_err(refused)?;
    let path = utf8_percent_encode(builder.get(METRICS_PATH), PATH).to_string();
    url.set_path(&path);
    let query = query(builder, config);
    url.set_query((!query.is_empty()).then_some(&query));
    Ok(url)
}

/// Writes the parameters as Go's `url.Values.Encode`: sorted by name.
fn query(builder: &Builder, config: &Config) -> String {
    let mut params = config.params.clone();
    for (name, value) in builder.iter() {
        let Some(name) = name.strip_prefix(PARAM_PREFIX) else {
            continue;
        };
        match params.iter_mut().find(|(known, _)| known == name) {
            None => params.push((name.to_owned(), vec![value.to_owned()])),
            Some((_, values)) => match values.first_mut() {
                Some(first) => value.clone_into(first),
                None => values.push(value.to_owned()),
            },
        }
    }
    params.sort();
    let escaped = |text: &str| {
        utf8_percent_encode(text, QUERY)
            .to_string()
            .replace("%20", "+")
    };
    let pair = |name: &str, value: &String| format!("{}={}", escaped(name), escaped(value));
    let pairs = params
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| pair(name, value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Adds the labels by which the receiver knows how to read the target's series.
fn add_reserved(builder: &mut Builder, config: &Config, timeout: Duration) {
    if config.honor_labels || !config.metric_relabel.is_empty() {
        builder.set(labels::HONOR_LABELS, "true");
    }
    if !config.metric_relabel.is_empty() {
        builder.set(labels::METRIC_RELABEL, "true");
    }
    if config.track_timestamps_staleness {
        builder.set(labels::TRACK_TIMESTAMPS_STALENESS, "true");
    }
    if config.extra_scrape_metrics {
        builder.set(labels::SCRAPE_TIMEOUT, &timeout.as_secs_f64().to_string());
        if let Some(limit) = config.limits.samples {
            builder.set(labels::SCRAPE_SAMPLE_LIMIT, &limit.to_string());
        }
    }
}
