//! From a scrape to the series of a write request, as Prometheus would have stored it.

mod beside;
mod exposed;

use std::sync::Arc;
use std::time::Duration;

use super::exemplars::Exemplars;
use super::last::Last;
use super::proto;
use super::series::{End, Marker, Scratch, TooLarge};
use super::shared::Shared;
use crate::exposition::SyntaxError;
use crate::model::{FailureReason, Note, Outcome, Tally};
use crate::sink::labels::TargetLabels;
use crate::sink::removed::Removals;
use crate::wire::{Body, Scrape};
use beside::Beside;
use exposed::Exposed;

/// The value that ends a series: one NaN among many, by its bits.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The series about the scrape itself, in the order in which Prometheus writes them.
const REPORT: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

/// So many of them are written where the extra ones are not asked for.
const REPORT_USUAL: usize = 5;

/// The series about a site.
const SITE_UP: &str = "prometheus_streams_site_up";

/// What is remembered of a target between two scrapes.
#[derive(Debug, Clone)]
pub(super) struct TargetState {
    /// The series of the last scrape that did not fail.
    last: Last,
    /// Its native histograms and exemplars.
    beside: Beside,
    /// Whether they live: a failed scrape ends them, but a later one will want their labels.
    is_alive: bool,
    /// The labels of the report's series.
    report: Arc<ReportLabels>,
}

/// What a target's state is after a scrape.
#[derive(Debug)]
pub(super) enum After {
    /// As before.
    Same,
    /// This.
    State(TargetState),
    /// There is none: the target is gone.
    Gone,
}

/// What was written for a scrape.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The target's state, once the endpoint has the scrape.
    pub(super) after: After,
    /// The number of series written.
    pub(super) series: usize,
    /// The length of those at the end whose samples have a time of their own: the target chose it,
    /// so it may be refused where the rest is welcome.
    pub(super) timed_len: usize,
    /// What was left out.
    pub(super) removals: Removals,
}

/// Why a scrape cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    /// The text is not an exposition.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// It is far too large.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl EncodeError {
    /// Returns the label value.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "bad_syntax",
            Self::TooLarge(_) => "too_large",
        }
    }
}

/// Writes scrapes; holds the memory that is used again from one to the next.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    scratch: Scratch,
    /// Which series of the scrape at hand are there.
    words: Vec<u64>,
    /// The samples of the scrape at hand that have a time of their own.
    timed: Vec<u8>,
    /// The length of the last request: about that of the next one.
    pub(super) last_request: usize,
}

/// The encoded labels of the [`REPORT`]'s series.
#[derive(Debug)]
struct ReportLabels(Box<[Box<[u8]>]>);

/// Where series are written to.
struct Output<'o> {
    bytes: &'o mut Vec<u8>,
    /// Samples with a time of their own; they go last.
    timed: Vec<u8>,
    series: usize,
    exemplars: Exemplars<'o>,
}

impl Encoder {
    /// Appends the series of a scrape to `out`; on an error nothing is appended.
    pub(super) fn put(
        &mut self,
        out: &mut Vec<u8>,
        publisher: &str,
        scrape: &Scrape,
        before: Option<&TargetState>,
        shared: &Shared,
    ) -> Result<Encoded, EncodeError> {
        let start = out.len();
        let labels = shared.of_target(publisher, &scrape.target);
        let exposed = Exposed::new(scrape.time_ms, &labels, before, shared);
        let mut out = Output::new(out, std::mem::take(&mut self.timed), exposed.exemplars());
        let mut removals = Removals::default();
        let after = match &scrape.outcome {
            Outcome::Exposed { body, duration } => {
                let put = exposed.put(body, self, &mut out, &mut removals);
                if put.is_err() {
                    out.bytes.truncate(start);
                }
                let put = put?;
                let report = report_labels(before, &labels, shared);
                report.put(&mut out, &put.report(*duration, &labels), scrape.time_ms);
                After::State(TargetState {
                    last: put.last,
                    beside: put.beside,
                    is_alive: true,
                    report,
                })
            }
            Outcome::Failed {
                duration,
                reason,
                tally,
            } => {
                if let Some(state) = before {
                    state.put_stale(&mut out, scrape.time_ms, &labels, shared);
                }
                let report = report_labels(before, &labels, shared);
                let values = failed(*duration, (*reason, *tally), &labels);
                report.put(&mut out, &values, scrape.time_ms);
                After::State(TargetState {
                    last: before.map(|state| state.last.clone()).unwrap_or_default(),
                    beside: before.map(|state| state.beside.clone()).unwrap_or_default(),
                    is_alive: false,
                    report,
                })
            }
            Outcome::Gone => {
                if let Some(state) = before {
                    state.put_stale(&mut out, scrape.time_ms, &labels, shared);
                    let stale = [STALE; REPORT.len()];
                    state.report.put(&mut out, &stale, scrape.time_ms);
                }
                After::Gone
            }
            Outcome::Noted(note) => {
                let time_ms = scrape.time_ms;
                note_down(*note, time_ms, &mut out, before, (&labels, shared))
            }
        };
        out.bytes.extend_from_slice(&out.timed);
        let (series, timed_len) = (out.series, out.timed.len());
        self.timed = out.timed;
        Ok(Encoded {
            after,
            series,
            timed_len,
            removals,
        })
    }

    /// Returns what [`Self::put`] would of the target's state, in less time.
    pub(super) fn learn(
        &mut self,
        publisher: &str,
        scrape: &Scrape,
        before: Option<&TargetState>,
        shared: &Shared,
    ) -> Result<After, EncodeError> {
        if let Outcome::Exposed {
            body: Body::Columns(columns),
            ..
        } = &scrape.outcome
        {
            let labels = shared.of_target(publisher, &scrape.target);
            let exposed = Exposed::new(scrape.time_ms, &labels, before, shared);
            if let Some(known) = exposed.know(columns, self) {
                let labels_of = |series| known.series.labels_at(series);
                let beside = exposed.learn_beside(columns, labels_of);
                return Ok(After::State(TargetState {
                    last: Last::Columns(known.series, known.presence),
                    beside,
                    is_alive: true,
                    report: report_labels(before, &labels, shared),
                }));
            }
        }
        let mut unsent = Vec::new();
        let encoded = self.put(&mut unsent, publisher, scrape, before, shared)?;
        Ok(encoded.after)
    }
}

impl TargetState {
    /// Ends every living series.
    fn put_stale(
        &self,
        out: &mut Output<'_>,
        time_ms: i64,
        target: &TargetLabels<'_>,
        shared: &Shared,
    ) {
        if self.is_alive {
            self.last
                .end_all(|labels, end| out.end(labels, end, time_ms, target));
            self.beside.put_stale(out, time_ms, target, shared.besides);
        }
    }
}

impl ReportLabels {
    fn new(labels: &TargetLabels<'_>, shared: &Shared) -> Self {
        let wanted = match labels.extra() {
            Some(_) => REPORT.len(),
            None => REPORT_USUAL,
        };
        let names = REPORT.iter().take(wanted);
        let encoded = names.map(|name| {
            let mut encoded = Vec::new();
            shared.put_report_labels(&mut encoded, name, labels);
            encoded.into()
        });
        Self(encoded.collect())
    }

    fn put(&self, out: &mut Output<'_>, values: &[f64; REPORT.len()], time_ms: i64) {
        for (labels, value) in self.0.iter().zip(values) {
            out.put(labels, *value, time_ms);
        }
    }
}

/// Writes what the receiver says of its own.
fn note_down(
    note: Note,
    time_ms: i64,
    out: &mut Output<'_>,
    before: Option<&TargetState>,
    (labels, shared): (&TargetLabels<'_>, &Shared),
) -> After {
    match (note, before) {
        (Note::Expired, _) | (Note::Silent, None) => After::Same,
        (Note::Silent, Some(state)) => {
            state.put_stale(out, time_ms, labels, shared);
            state.report.put(out, &[STALE; REPORT.len()], time_ms);
            After::State(TargetState {
                is_alive: false,
                ..state.clone()
            })
        }
        (Note::Site { is_up }, _) => {
            let mut encoded = Vec::new();
            shared.put_report_labels(&mut encoded, SITE_UP, labels);
            out.put(&encoded, f64::from(u8::from(is_up)), time_ms);
            After::Same
        }
    }
}

/// Returns the values of the [`REPORT`] of a scrape that failed.
fn failed(
    duration: Duration,
    (reason, tally): (FailureReason, Tally),
    labels: &TargetLabels<'_>,
) -> [f64; REPORT.len()] {
    let body_size = match reason {
        FailureReason::BodyTooLarge => -1.0,
        _ => 0.0,
    };
    #[expect(clippy::cast_precision_loss, reason = "no body has so many samples")]
    let (scraped, kept) = (tally.scraped as f64, tally.kept as f64);
    report(
        [0.0, duration.as_secs_f64(), scraped, kept, 0.0],
        body_size,
        labels,
    )
}

/// Puts the extra values behind the usual ones, whether they are wanted or not.
fn report(
    usual: [f64; REPORT_USUAL],
    body_size: f64,
    labels: &TargetLabels<'_>,
) -> [f64; REPORT.len()] {
    let [up, duration, scraped, kept, added] = usual;
    let (timeout, sample_limit) = labels
        .extra()
        .map_or((0.0, 0.0), |extra| (extra.timeout, extra.sample_limit));
    [
        up,
        duration,
        scraped,
        kept,
        added,
        timeout,
        sample_limit,
        body_size,
    ]
}

fn report_labels(
    before: Option<&TargetState>,
    labels: &TargetLabels<'_>,
    shared: &Shared,
) -> Arc<ReportLabels> {
    match before {
        Some(state) => Arc::clone(&state.report),
        None => Arc::new(ReportLabels::new(labels, shared)),
    }
}

impl<'o> Output<'o> {
    /// Begins to write; `timed` is memory to use.
    fn new(bytes: &'o mut Vec<u8>, mut timed: Vec<u8>, exemplars: Exemplars<'o>) -> Self {
        timed.clear();
        Self {
            bytes,
            timed,
            series: 0,
            exemplars,
        }
    }

    fn put(&mut self, labels: &[u8], value: f64, time_ms: i64) {
        if !proto::is_hidden(labels) {
            proto::put_series(self.bytes, labels, value, time_ms);
            self.series += 1;
        }
    }

    fn put_timed(&mut self, labels: &[u8], value: f64, time_ms: i64) {
        if !proto::is_hidden(labels) {
            proto::put_series(&mut self.timed, labels, value, time_ms);
            self.series += 1;
        }
    }

    /// Ends a series.
    fn end(&mut self, labels: &[u8], end: End, time_ms: i64, target: &TargetLabels<'_>) {
        match end.marker(time_ms, target.tracks_timestamps()) {
            Some(Marker::Plain) => self.put(labels, STALE, time_ms),
            Some(Marker::Timed) => self.put_timed(labels, STALE, time_ms),
            None => {}
        }
    }
}

#[cfg(test)]
mod agree;
#[cfg(test)]
mod besides;
#[cfg(test)]
mod tests;
