//! From a batch to requests, and from answers to what became of each scrape.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::RemoteWrite;
use super::answer::{Cause, Refusal, Verdict, classify};
use super::encode::{After, TargetState};
use super::proto;
use crate::http::ERROR_BODY_MAX;
use crate::sink::removed::{Removal, Removals};
use crate::sink::{DeliverError, Delivery, State, TargetKey};

/// A request's size before compression. Prometheus's own requests stay far below; endpoints
/// refuse more at 16 MiB (Thanos) to 100 MiB (Mimir), so half of the least is always welcome.
pub(super) const RAW_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A request is closed at this multiple of `max_samples_per_send`: the caller's batches hold
/// about as many as one, and a single large scrape should not be torn for a few samples more.
const SAMPLES_FACTOR: usize = 4;

/// A request of so few series that is still too large for the endpoint will not shrink to fit.
const SPLIT_SERIES_MIN: usize = 64;

/// So many requests may be refused in the search for the samples whose own time is at fault; what
/// is not found by then is given up. One bad sample among 2^16 is found in time.
const TIMED_REFUSALS_MAX: usize = 32;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// The scrapes of one request, in order; their series stand in one buffer.
struct Request {
    raw: Vec<u8>,
    units: Vec<Unit>,
}

/// One scrape on its way.
struct Unit {
    /// Its place in the batch.
    index: usize,
    key: TargetKey,
    /// Where its series stand; empty if there is nothing to send.
    range: Range<usize>,
    /// Where in there the samples with a time of their own begin.
    timed_start: usize,
    /// What to remember once it is decided.
    after: After,
    removals: Removals,
    /// Set if it cannot be sent at all.
    rejection: Option<(&'static str, String)>,
}

/// The states of the targets that this call has encoded but not yet decided.
type Ahead = HashMap<TargetKey, Option<TargetState>>;

impl RemoteWrite {
    /// Tries every pending delivery once; see [`crate::sink::Sink::deliver`].
    pub async fn deliver(&self, batch: &mut [Delivery]) -> Result<(), DeliverError> {
        let mut ahead = Ahead::new();
        let mut next = 0;
        while next < batch.len() {
            let request = self.gather(batch, &mut next, &mut ahead);
            self.settle(batch, request).await?;
        }
        Ok(())
    }

    /// Returns what the first request of a delivery would carry, before compression.
    ///
    /// It sends and remembers nothing: for measurements and for looking at what would be sent.
    pub fn preview(&self, batch: &[Delivery]) -> Vec<u8> {
        self.gather(batch, &mut 0, &mut Ahead::new()).raw
    }

    /// Encodes pending deliveries from `next` on until a request is full.
    fn gather(&self, batch: &[Delivery], next: &mut usize, ahead: &mut Ahead) -> Request {
        let samples_max = self
            .settings
            .max_samples_per_send
            .saturating_mul(SAMPLES_FACTOR);
        let mut encoder = self.take_encoder();
        let mut request = Request {
            raw: Vec::with_capacity(encoder.last_request),
            units: Vec::new(),
        };
        let mut series = 0;
        while let Some(delivery) = batch.get(*next) {
            if series >= samples_max || request.raw.len() >= RAW_BYTES_MAX {
                break;
            }
            let index = *next;
            *next += 1;
            if delivery.state != State::Pending {
                continue;
            }
            let key = TargetKey::of(delivery);
            let state = ahead
                .entry(key.clone())
                .or_insert_with(|| self.targets.get(&key));
            let start = request.raw.len();
            let (publisher, scrape) = (&delivery.publisher, &delivery.scrape);
            let (raw, shared) = (&mut request.raw, &self.shared);
            let encoded = encoder.put(raw, publisher, scrape, state.as_ref(), shared);
            let range = start..request.raw.len();
            request.units.push(match encoded {
                Ok(encoded) => {
                    series += encoded.series;
                    match &encoded.after {
                        After::Same => {}
                        After::State(after) => *state = Some(after.clone()),
                        After::Gone => *state = None,
                    }
                    let timed_start = range.end - encoded.timed_len;
                    let (after, removals) = (encoded.after, encoded.removals);
                    Unit {
                        index,
                        key,
                        range,
                        timed_start,
                        after,
                        removals,
                        rejection: None,
                    }
                }
                Err(error) => {
                    let rejection = Some((error.reason(), error.to_string()));
                    let removals = Removals::default();
                    Unit {
                        index,
                        key,
                        timed_start: range.end,
                        range,
                        after: After::Same,
                        removals,
                        rejection,
                    }
                }
            });
        }
        encoder.last_request = request.raw.len();
        self.keep_encoder(encoder);
        request
    }

    /// Sends a request and decides its scrapes, in order.
    ///
    /// An endpoint such as Prometheus takes nothing of a request in which it refuses one sample.
    /// So a refused request is halved until the scrapes that are refused alone are found. What
    /// was taken in a request that is tried again is the same bytes once more, which is harmless.
    async fn settle(
        &self,
        batch: &mut [Delivery],
        mut request: Request,
    ) -> Result<(), DeliverError> {
        let raw = Bytes::from(std::mem::take(&mut request.raw));
        let mut units: Vec<Option<Unit>> = request.units.into_iter().map(Some).collect();
        let mut parts = Vec::new();
        parts.push(0..units.len());
        while let Some(part) = parts.pop() {
            let bytes = bytes_of(&units, &part);
            let halves = halves(&part);
            let verdict = if bytes.is_empty() {
                Verdict::Taken
            } else if let Some([Some(unit)]) = units.get_mut(part.clone()) {
                self.send_alone(&raw, unit).await?
            } else if bytes.len() > RAW_BYTES_MAX {
                parts.extend(halves);
                continue;
            } else {
                self.send(&raw, bytes).await?
            };
            match verdict {
                Verdict::Refused(refusal) if part.len() > 1 && refusal.cause != Cause::Endpoint => {
                    tracing::debug!(
                        sink = self.name(),
                        scrapes = part.len(),
                        reason = refusal.reason,
                        error = refusal.detail,
                        "request refused, trying its halves"
                    );
                    parts.extend(halves);
                }
                verdict => {
                    for unit in units.get_mut(part).into_iter().flatten() {
                        self.decide(batch, unit.take(), &verdict);
                    }
                }
            }
        }
        Ok(())
    }

    /// Marks a delivery, and remembers its target's state from now on.
    fn decide(&self, batch: &mut [Delivery], unit: Option<Unit>, verdict: &Verdict) {
        let Some(unit) = unit else { return };
        let Some(delivery) = batch.get_mut(unit.index) else {
            return;
        };
        let is_empty = unit.range.is_empty();
        delivery.state = match (unit.rejection, verdict) {
            (Some((reason, detail)), _) => State::Rejected { reason, detail },
            // Nothing of it was in the request.
            (None, Verdict::Refused(_)) if is_empty => State::Delivered,
            (None, Verdict::Taken) => State::Delivered,
            (None, Verdict::Refused(refusal)) => State::Rejected {
                reason: refusal.reason,
                detail: refusal.detail.clone(),
            },
        };
        self.removed.add(&unit.removals);
        self.commit(unit.key, unit.after);
    }

    /// Sends one scrape.
    ///
    /// Prometheus leaves out single samples whose own time does not fit and keeps the rest, so if a
    /// scrape with such samples is refused, the rest goes alone, and then they one by one.
    async fn send_alone(&self, raw: &Bytes, unit: &mut Unit) -> Result<Verdict, DeliverError> {
        let verdict = self.send_split(raw, unit.range.clone()).await?;
        let (rest, timed) = (
            unit.range.start..unit.timed_start,
            unit.timed_start..unit.range.end,
        );
        match verdict {
            Verdict::Refused(refusal) if refusal.cause == Cause::Content && !timed.is_empty() => {
                let verdict = self.send_split(raw, rest).await?;
                if verdict == Verdict::Taken {
                    let refused = self.send_timed(raw, timed).await?;
                    unit.removals.add_many(Removal::RefusedTimestamp, refused);
                }
                Ok(verdict)
            }
            verdict => Ok(verdict),
        }
    }

    /// Sends series, in several requests if they are too large for one.
    async fn send_split(&self, raw: &Bytes, bytes: Range<usize>) -> Result<Verdict, DeliverError> {
        let mut parts = vec![bytes];
        while let Some(part) = parts.pop() {
            let mut refused = None;
            if part.len() <= RAW_BYTES_MAX {
                match self.send(raw, part.clone()).await? {
                    Verdict::Taken => continue,
                    Verdict::Refused(refusal) => refused = Some(refusal),
                }
            }
            match (refused, halves_of_series(raw, &part, SPLIT_SERIES_MIN)) {
                (Some(refusal), _) if refusal.cause != Cause::Size => {
                    return Ok(Verdict::Refused(refusal));
                }
                (_, Some(halves)) => parts.extend(halves),
                (refused, None) => {
                    return Ok(Verdict::Refused(refused.unwrap_or_else(too_large)));
                }
            }
        }
        Ok(Verdict::Taken)
    }

    /// Sends samples that are welcome each for itself; returns how many were refused.
    async fn send_timed(&self, raw: &Bytes, bytes: Range<usize>) -> Result<usize, DeliverError> {
        let mut samples = 0;
        let mut requests = 0;
        let mut parts = vec![bytes];
        while let Some(part) = parts.pop() {
            if requests < TIMED_REFUSALS_MAX
                && self.send_split(raw, part.clone()).await? == Verdict::Taken
            {
                continue;
            }
            requests += 1;
            match halves_of_series(raw, &part, 1) {
                Some(halves) if requests < TIMED_REFUSALS_MAX => parts.extend(halves),
                _ => samples += proto::series_ends(raw.get(part).unwrap_or_default()).len(),
            }
        }
        Ok(samples)
    }

    /// Sends some of the series in one request.
    async fn send(&self, raw: &Bytes, bytes: Range<usize>) -> Result<Verdict, DeliverError> {
        let series = raw.get(bytes).unwrap_or_default();
        let Ok(body) = snap::raw::Encoder::new().compress_vec(series) else {
            return Ok(Verdict::Refused(too_large()));
        };
        let headers = HeaderMap::from_iter([
            (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-protobuf"),
            ),
            (VERSION, HeaderValue::from_static("0.1.0")),
        ]);
        let url = self.settings.url.clone();
        let sent = self
            .client
            .send(Method::POST, url, headers, body.into(), ERROR_BODY_MAX);
        let answer = sent.await?;
        classify(
            &answer,
            self.settings.retry_on_http_429,
            self.clock.now_ms(),
        )
    }
}

/// Where the series of some scrapes stand.
fn bytes_of(units: &[Option<Unit>], part: &Range<usize>) -> Range<usize> {
    let mut ranges = units
        .get(part.clone())
        .unwrap_or_default()
        .iter()
        .flatten()
        .map(|unit| &unit.range);
    let Some(first) = ranges.next() else {
        return 0..0;
    };
    first.start..ranges.next_back().unwrap_or(first).end
}

/// Cuts a range in two, the second half first: what is put last on the stack is taken first.
fn halves(part: &Range<usize>) -> [Range<usize>; 2] {
    let middle = part.start + part.len() / 2;
    [middle..part.end, part.start..middle]
}

/// Cuts series in two, the second half first; `None` if they are too few.
fn halves_of_series(
    raw: &[u8],
    bytes: &Range<usize>,
    series_min: usize,
) -> Option<[Range<usize>; 2]> {
    let ends = proto::series_ends(raw.get(bytes.clone())?);
    if ends.len() < 2 * series_min {
        return None;
    }
    let middle = bytes.start + ends.get(ends.len() / 2 - 1)?;
    Some([middle..bytes.end, bytes.start..middle])
}

fn too_large() -> Refusal {
    Refusal {
        reason: "too_large",
        detail: "a few series are larger than a request may be".to_owned(),
        cause: Cause::Size,
    }
}
