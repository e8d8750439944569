//! The samples of an exposition, and which series it begins and ends.

use std::sync::Arc;
use std::time::Duration;

use super::beside::{Beside, PutBeside};
use super::{EncodeError, Encoder, Output, REPORT, TargetState, report};
use crate::exposition::{Entry, Parser};
use crate::model::{Format, Text};
use crate::sink::labels::TargetLabels;
use crate::sink::remote_write::columns::{Presence, ShapeSeries};
use crate::sink::remote_write::exemplars::{Exemplars, Owner};
use crate::sink::remote_write::last::Last;
use crate::sink::remote_write::proto;
use crate::sink::remote_write::series::{End, Walk};
use crate::sink::remote_write::shared::{Report, Reported, Shared};
use crate::sink::removed::{Removal, Removals};
use crate::wire::{Body, Columns, Page};

/// A scrape that brought an exposition.
pub(super) struct Exposed<'a> {
    pub(super) time_ms: i64,
    pub(super) labels: &'a TargetLabels<'a>,
    last: Option<&'a Last>,
    pub(super) beside: Option<&'a Beside>,
    /// Whether the last series live, so that those that are gone get a stale marker.
    pub(super) was_alive: bool,
    pub(super) shared: &'a Shared,
}

/// What was written of an exposition.
pub(super) struct Put {
    /// Its series.
    pub(super) last: Last,
    /// How many samples it has.
    pub(super) scraped: u64,
    /// How many of its series the last one did not have.
    pub(super) added: u64,
    /// What the poller says of it.
    pub(super) reported: Reported,
    /// Its native histograms and exemplars.
    pub(super) beside: Beside,
}

/// What is known of values before they are written.
pub(super) struct Known {
    pub(super) series: Arc<ShapeSeries>,
    pub(super) presence: Presence,
    pub(super) scraped: u64,
}

impl Put {
    /// Returns the values of the series about the scrape, in the order of [`REPORT`].
    pub(super) fn report(
        &self,
        duration: Duration,
        labels: &TargetLabels<'_>,
    ) -> [f64; REPORT.len()] {
        #[expect(clippy::cast_precision_loss, reason = "no scrape has 2^53 series")]
        let (kept, added) = (self.scraped as f64, self.added as f64);
        // The poller relabels before it publishes, so all that arrives has passed relabeling.
        let kept = self.reported.kept.unwrap_or(kept);
        let scraped = self.reported.samples.unwrap_or(kept);
        let usual = [1.0, duration.as_secs_f64(), scraped, kept, added];
        report(usual, self.reported.body_size.unwrap_or_default(), labels)
    }
}

impl<'a> Exposed<'a> {
    pub(super) fn new(
        time_ms: i64,
        labels: &'a TargetLabels<'a>,
        before: Option<&'a TargetState>,
        shared: &'a Shared,
    ) -> Self {
        Self {
            time_ms,
            labels,
            last: before.map(|state| &state.last),
            beside: before.map(|state| &state.beside),
            was_alive: before.is_some_and(|state| state.is_alive),
            shared,
        }
    }

    /// Begins to gather exemplars.
    pub(super) fn exemplars(&self) -> Exemplars<'a> {
        let last = self.beside.map(|beside| &beside.exemplars);
        Exemplars::new(last, self.shared.besides.exemplars, &self.shared.hasher)
    }

    /// Writes the samples and stale markers, native histograms, and exemplars.
    pub(super) fn put(
        &self,
        body: &Body,
        encoder: &mut Encoder,
        out: &mut Output<'_>,
        removals: &mut Removals,
    ) -> Result<Put, EncodeError> {
        let mut put = self.put_samples(body, encoder, out, removals)?;
        let histograms = match body {
            Body::Columns(columns) => columns.column.histograms(),
            Body::Text(_) => &[],
        };
        let PutBeside {
            beside,
            scraped,
            added,
        } = self.put_beside(histograms, out, removals);
        put.beside = beside;
        put.scraped += scraped;
        put.added += added;
        Ok(put)
    }

    fn put_samples(
        &self,
        body: &Body,
        encoder: &mut Encoder,
        out: &mut Output<'_>,
        removals: &mut Removals,
    ) -> Result<Put, EncodeError> {
        match body {
            Body::Text(text) => self.put_text(text, None, encoder, (out, removals)),
            Body::Columns(columns) => {
                if let Some(known) = self.know(columns, encoder) {
                    return Ok(self.put_columns(columns, known, encoder, (out, removals)));
                }
                let page = Some(columns.shape.page());
                self.put_text(&body.to_text(), page, encoder, (out, removals))
            }
        }
    }

    /// Looks at which series there are; `None` if the values must go the way of a text.
    pub(super) fn know(&self, columns: &Columns, encoder: &mut Encoder) -> Option<Known> {
        let page = columns.shape.page();
        let is_odd = columns.column.len() != page.len() || has_unwritable_time(columns);
        if is_odd || self.last.is_some_and(|last| last.collides(page)) {
            return None;
        }
        let last = self.last.and_then(|last| last.of_page(page));
        let series = match last {
            Some((series, _)) => Arc::clone(series),
            None => Arc::new(ShapeSeries::build(
                page,
                self.last.and_then(Last::encoded),
                &self.shared.hasher,
                |out, sample| self.shared.put_labels(out, sample, self.labels),
            )?),
        };
        let before = last.map(|(_, presence)| presence);
        let words = &mut encoder.words;
        let (presence, scraped) = Presence::of(&columns.column, &series, before, words);
        Some(Known {
            series,
            presence,
            scraped,
        })
    }

    fn put_columns(
        &self,
        columns: &Columns,
        known: Known,
        encoder: &mut Encoder,
        (out, removals): (&mut Output<'_>, &mut Removals),
    ) -> Put {
        let Known {
            series,
            presence,
            scraped,
        } = known;
        let Output { bytes, timed, .. } = &mut *out;
        let reported = series.reported(&columns.column);
        let hidden = series.put(&columns.column, self.time_ms, bytes, timed);
        let relabeled = hidden.saturating_sub(reported.count());
        removals.add_many(Removal::Relabeled, relabeled);
        out.series += usize::try_from(scraped).unwrap_or(usize::MAX) - relabeled;
        let labels_of = |series_at| series.labels_at(series_at);
        self.add_exemplars(columns, labels_of, &mut out.exemplars);
        let now = (&series, &presence, &columns.column);
        let scratch = &mut encoder.scratch;
        let added = match self.last {
            Some(last) => last.differ(now, &self.shared.hasher, scratch, |labels, end| {
                self.end(labels, end, out);
            }),
            None => scraped,
        };
        Put {
            last: Last::Columns(series, presence),
            scraped,
            added,
            reported,
            beside: Beside::default(),
        }
    }

    /// Writes a text; with a page it is that of values which cannot go their own way.
    fn put_text(
        &self,
        Text { text, format }: &Text,
        page: Option<&Arc<Page>>,
        encoder: &mut Encoder,
        (out, removals): (&mut Output<'_>, &mut Removals),
    ) -> Result<Put, EncodeError> {
        let hasher = &self.shared.hasher;
        let last = match self.last {
            Some(last) => last.to_set(hasher)?,
            None => Arc::default(),
        };
        let mut walk = Walk::new(&last, hasher, &mut encoder.scratch);
        let mut parser = Parser::new(text, *format);
        let mut scraped = 0;
        let mut reported = Reported::default();
        while let Some(entry) = parser.next() {
            let Entry::Sample(sample) = entry? else {
                continue;
            };
            if let Some(report) = Report::of(&sample) {
                reported.note(report, sample.value);
                continue;
            }
            scraped += 1;
            let encoded = walk.step(sample.text, sample.timestamp_ms, removals, |encoded| {
                self.shared.put_labels(encoded, &sample, self.labels);
            })?;
            let Some(encoded) = encoded else { continue };
            if proto::is_hidden(encoded) {
                removals.add(Removal::Relabeled);
                continue;
            }
            if let Some(exemplar) = &sample.exemplar {
                let owner = Owner {
                    labels: encoded,
                    time_ms: sample.timestamp_ms.unwrap_or(self.time_ms),
                    has_time: sample.timestamp_ms.is_some(),
                };
                out.exemplars.add(owner, exemplar);
            }
            match sample.timestamp_ms {
                Some(timestamp_ms) => out.put_timed(encoded, sample.value, timestamp_ms),
                None => out.put(encoded, sample.value, self.time_ms),
            }
        }
        let walked = walk.finish(|labels, end| self.end(labels, end, out));
        let (set, added) = (walked.series, walked.added);
        let last = match page {
            Some(page) => Last::Colliding(set, Arc::clone(page)),
            None => Last::Text(set),
        };
        Ok(Put {
            last,
            scraped,
            added,
            reported,
            beside: Beside::default(),
        })
    }

    /// Ends a series.
    fn end(&self, labels: &[u8], end: End, out: &mut Output<'_>) {
        if self.was_alive {
            out.end(labels, end, self.time_ms, self.labels);
        }
    }
}

/// Tells whether a sample has a time that the text format cannot spell, so that no target wrote it.
fn has_unwritable_time(columns: &Columns) -> bool {
    let page = columns.shape.page();
    if !page.has_times() || page.format() != Format::Text {
        return false;
    }
    let mut values = columns.column.iter().enumerate();
    values.any(|(at, value)| {
        let is_early = columns.column.time(at).is_some_and(|time_ms| time_ms < 0);
        is_early && page.has_time(at) && value.get().is_some()
    })
}
