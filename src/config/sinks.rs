//! `push_gateway` and `remote_write`: where the receiver delivers.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::block::{Block, Value};
use super::keys;
use super::problem::Report;
use super::{http, relabel, values};
use crate::model::{Labels, NameValidation};
use crate::sink::pushgateway::{self, OnFailure};
use crate::sink::remote_write;

const TIMEOUT: Duration = Duration::from_secs(10);
const REMOTE_TIMEOUT: Duration = Duration::from_secs(30);
const PUSH_CONCURRENCY: u32 = 16;
const PUSH_MIN_BACKOFF: Duration = Duration::from_millis(100);
const MIN_BACKOFF: Duration = Duration::from_millis(30);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
const SAMPLES_PER_SEND: u32 = 2000;
/// Prometheus waits 5 s, but has a queue; our lane sends its next frame after the answer.
const BATCH_SEND_DEADLINE: Duration = Duration::from_millis(100);
const SHARDS: u32 = 8;

/// Requests at the same time: more connections than this harm one server more than they help.
const CONCURRENCY_RANGE: RangeInclusive<u32> = 1..=256;

/// Samples in one request; receivers limit the body's size, often to some megabytes.
const SAMPLES_RANGE: RangeInclusive<u32> = 1..=1_000_000;

/// Remote-write endpoints; each reads the whole stream by itself.
const ENDPOINTS_MAX: usize = 32;

/// The longest name of an endpoint, since it is part of a consumer's name.
const NAME_MAX: usize = 100;

/// The shortest time that is not a busy loop.
const LEAST: Duration = Duration::from_millis(1);

const URL_REMEDY: &str = "write the server's address, such as `http://host:9091`";

/// Reads `push_gateway`; `None` if its address cannot be used.
pub(super) fn push_gateway(
    block: &Block<'_>,
    report: &mut Report,
) -> Option<pushgateway::Settings> {
    let url = block.required("url", URL_REMEDY, report);
    let url = url.and_then(|url| url.http_url(report));
    let choices = [("delete", OnFailure::Delete), ("keep", OnFailure::Keep)];
    let on_failure = block.choice("on_failure", &choices, report);
    let concurrency = block.integer("concurrency", &CONCURRENCY_RANGE, report);
    let (min_backoff, max_backoff) = backoff(block, PUSH_MIN_BACKOFF, report);
    let publisher_label = block.boolean("publisher_label", report).unwrap_or(false);
    let timeout = block.duration("timeout", LEAST, report).unwrap_or(TIMEOUT);
    let http = http::read(block, report);
    Some(pushgateway::Settings {
        url: url?,
        publisher_label,
        on_failure: on_failure.unwrap_or(OnFailure::Delete),
        concurrency: to_usize(concurrency.unwrap_or(PUSH_CONCURRENCY)),
        timeout,
        min_backoff,
        max_backoff,
        http,
    })
}

/// What every endpoint takes from elsewhere in the file.
#[derive(Debug)]
pub(super) struct Shared {
    /// `publisher_label` where the endpoint does not say.
    pub(super) publisher_label: bool,
    pub(super) external_labels: Labels,
    /// What names relabel rules may make.
    pub(super) names: NameValidation,
}

/// Reads the list `remote_write`.
pub(super) fn remote_write(
    value: &Value<'_>,
    shared: &Shared,
    report: &mut Report,
) -> Vec<remote_write::Settings> {
    let items = value.items("a list", report);
    if items.len() > ENDPOINTS_MAX {
        let what = format!("`remote_write` has more than {ENDPOINTS_MAX} endpoints");
        report.problem(
            &value.place,
            what,
            "write to one that hands on to the others",
        );
        return Vec::new();
    }
    let mut endpoints: Vec<remote_write::Settings> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(block) = Block::open(item, &keys::REMOTE_WRITE, report) else {
            continue;
        };
        let Some(endpoint) = endpoint(&block, shared, report) else {
            continue;
        };
        if endpoints.iter().any(|known| known.name == endpoint.name) {
            let (place, remedy) = match block.value("name") {
                Some(name) => (name.place, "give each endpoint a name of its own"),
                None => (
                    block.place.clone(),
                    "the URL is the same as well; set `name`",
                ),
            };
            let what = format!("two endpoints have the name `{}`", endpoint.name);
            report.problem(&place, what, remedy);
            continue;
        }
        endpoints.push(endpoint);
    }
    endpoints
}

fn endpoint(
    block: &Block<'_>,
    shared: &Shared,
    report: &mut Report,
) -> Option<remote_write::Settings> {
    let url = block.required("url", URL_REMEDY, report);
    let url = url.and_then(|url| url.http_url(report));
    let name = name(block, report).map(str::to_owned);
    let timeout = block.duration("remote_timeout", LEAST, report);
    let publisher_label = block.boolean("publisher_label", report);
    let write_relabel = block
        .value("write_relabel_configs")
        .map(|value| relabel::read(&value, shared.names, report));
    let besides = remote_write::Besides {
        exemplars: block.boolean("send_exemplars", report).unwrap_or(false),
        native_histograms: block
            .boolean("send_native_histograms", report)
            .unwrap_or(false),
    };
    let http = http::read(block, report);
    let queue = block.block("queue_config", &keys::QUEUE_CONFIG, report);
    let queue = queue.map_or_else(Queue::default, |queue| Queue::read(&queue, report));
    let url = url?;
    let default_name = || {
        format!(
            "remote-write-{:08x}",
            crc32fast::hash(url.as_str().as_bytes())
        )
    };
    Some(remote_write::Settings {
        name: name.unwrap_or_else(default_name),
        url,
        timeout: timeout.unwrap_or(REMOTE_TIMEOUT),
        publisher_label: publisher_label.unwrap_or(shared.publisher_label),
        external_labels: shared.external_labels.clone(),
        write_relabel: write_relabel.unwrap_or_default(),
        besides,
        concurrency: queue.concurrency,
        max_samples_per_send: queue.max_samples_per_send,
        batch_send_deadline: queue.batch_send_deadline,
        min_backoff: queue.backoff.0,
        max_backoff: queue.backoff.1,
        retry_on_http_429: queue.retry_on_http_429,
        http,
    })
}

/// Reads the name: it is part of a metric's label and of a NATS consumer's name.
fn name<'a>(block: &Block<'a>, report: &mut Report) -> Option<&'a str> {
    let text = block.text("name", report)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let value = block.value("name")?;
    if text.len() > NAME_MAX || !text.chars().all(is_plain) {
        let expected = format!("a name of at most {NAME_MAX} letters, digits, `-` and `_`");
        value.refuse(text, &expected, "choose such a name", report);
        return None;
    }
    if matches!(text, "pushgateway" | "push_gateway") {
        let what = format!(
            "the name `{}` belongs to the Pushgateway",
            values::shown(text)
        );
        report.problem(&value.place, what, "choose another name");
        return None;
    }
    Some(text)
}

/// `queue_config`.
struct Queue {
    concurrency: usize,
    max_samples_per_send: usize,
    batch_send_deadline: Duration,
    backoff: (Duration, Duration),
    retry_on_http_429: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            concurrency: to_usize(SHARDS),
            max_samples_per_send: to_usize(SAMPLES_PER_SEND),
            batch_send_deadline: BATCH_SEND_DEADLINE,
            backoff: (MIN_BACKOFF, MAX_BACKOFF),
            retry_on_http_429: true,
        }
    }
}

impl Queue {
    fn read(block: &Block<'_>, report: &mut Report) -> Self {
        let any_number = 0..=u32::MAX;
        for (key, why) in [
            (
                "capacity",
                "a lane waits for its answer, so nothing queues up",
            ),
            (
                "min_shards",
                "requests are as many as there are lanes, up to `max_shards`",
            ),
        ] {
            if block.integer(key, &any_number, report).is_some() {
                block.no_effect(key, why, report);
            }
        }
        let default = Self::default();
        let shards = block.integer("max_shards", &CONCURRENCY_RANGE, report);
        let samples = block.integer("max_samples_per_send", &SAMPLES_RANGE, report);
        let deadline = block.duration("batch_send_deadline", Duration::ZERO, report);
        let retry_on_http_429 = block.boolean("retry_on_http_429", report);
        Self {
            concurrency: shards.map_or(default.concurrency, to_usize),
            max_samples_per_send: samples.map_or(default.max_samples_per_send, to_usize),
            batch_send_deadline: deadline.unwrap_or(default.batch_send_deadline),
            backoff: backoff(block, MIN_BACKOFF, report),
            retry_on_http_429: retry_on_http_429.unwrap_or(default.retry_on_http_429),
        }
    }
}

/// Reads `min_backoff` and `max_backoff`.
fn backoff(block: &Block<'_>, default: Duration, report: &mut Report) -> (Duration, Duration) {
    let least = block.duration("min_backoff", LEAST, report);
    let most = block.duration("max_backoff", LEAST, report);
    // Who raises the one alone raises the other with it.
    let pair = match (least, most) {
        (Some(least), Some(most)) => (least, most),
        (Some(least), None) => (least, MAX_BACKOFF.max(least)),
        (None, Some(most)) => (default.min(most), most),
        (None, None) => (default, MAX_BACKOFF),
    };
    if pair.0 > pair.1
        && let Some(value) = block.value("min_backoff")
    {
        let what = "`min_backoff` is longer than `max_backoff`";
        report.problem(&value.place, what, "exchange them");
    }
    pair
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
