//! The records of a frame to be, and what they weigh.

use std::sync::Arc;
use std::time::Duration;

use super::parts::Parted;
use crate::model::{Outcome, Record as TextRecord};
use crate::wire::{Body, Columns, Part, Record, Scrape};

/// A frame is closed when it has this many series: at their worst they fill some megabytes.
const SERIES_MAX: usize = 200_000;

/// A frame is closed when the texts in it reach this size: a sixteenth of what a reader takes.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// A frame is closed when it has this many records, so that events alone do not pile up.
pub(super) const RECORDS_MAX: usize = 1000;

/// A record of a frame to be.
pub(super) struct Item {
    pub(super) record: Record,
    /// Its target's number, if it has columns.
    pub(super) number: u32,
    /// Of which scrape it is a part.
    pub(super) part: Option<PartOf>,
}

pub(super) struct PartOf {
    pub(super) part: Part,
    pub(super) is_indivisible: bool,
    pub(super) origin: Arc<Scrape>,
}

impl Parted {
    /// Makes a record of it.
    pub(super) fn item(self, part: Part, origin: &Arc<Scrape>) -> Item {
        let outcome = Outcome::Exposed {
            body: self.body,
            duration: duration_of(origin),
        };
        Item {
            record: Record::Scrape(Scrape {
                target: Arc::clone(&origin.target),
                time_ms: origin.time_ms,
                outcome,
            }),
            number: self.number,
            part: Some(PartOf {
                part,
                is_indivisible: self.is_indivisible,
                origin: Arc::clone(origin),
            }),
        }
    }
}

/// What is in a frame so far.
#[derive(Default)]
pub(in crate::poller) struct Load {
    pub(super) records: usize,
    pub(super) scrapes: u64,
    series: usize,
    pub(super) texts: usize,
}

impl Load {
    /// Tells whether another record should stand in the next frame.
    pub(in crate::poller) fn is_full_with(&self, record: &Record) -> bool {
        let (series, texts) = weight(record);
        self.records >= RECORDS_MAX
            || self.series + series > SERIES_MAX
            || self.texts + texts > TEXT_BYTES_MAX
    }

    /// Returns the bytes of text with another record.
    pub(super) fn texts_with(&self, record: &Record) -> usize {
        self.texts + weight(record).1
    }

    /// Counts a record.
    pub(in crate::poller) fn count(&mut self, record: &Record) {
        let (series, texts) = weight(record);
        self.records += 1;
        self.series += series;
        self.texts += texts;
    }

    /// Counts a record of a frame; a scrape in parts counts with its last.
    pub(super) fn add(&mut self, item: &Item) {
        self.count(&item.record);
        let is_last = |part: &PartOf| part.part.index + 1 == part.part.count;
        if matches!(item.record, Record::Scrape(_)) && item.part.as_ref().is_none_or(is_last) {
            self.scrapes += 1;
        }
    }
}

/// Returns the series and the bytes of text of a record.
fn weight(record: &Record) -> (usize, usize) {
    match record {
        Record::Scrape(Scrape { outcome, .. }) => match outcome {
            Outcome::Exposed {
                body: Body::Columns(columns),
                ..
            } => (columns.shape.page().len(), 0),
            Outcome::Exposed {
                body: Body::Text(text),
                ..
            } => (0, text.text.len()),
            Outcome::Failed { .. } | Outcome::Gone | Outcome::Noted(_) => (0, 0),
        },
        Record::Heartbeat(heartbeat) => (0, heartbeat.live.len() * size_of::<u64>()),
    }
}

/// Makes an item of a record that is no part.
pub(super) fn whole(record: Record, number: u32) -> Item {
    Item {
        record,
        number,
        part: None,
    }
}

/// Returns a record's values.
pub(super) fn columns_of(record: &Record) -> Option<&Columns> {
    match record {
        Record::Scrape(Scrape {
            outcome:
                Outcome::Exposed {
                    body: Body::Columns(columns),
                    ..
                },
            ..
        }) => Some(columns),
        _ => None,
    }
}

/// Returns how long a scrape took.
pub(super) fn duration_of(scrape: &Scrape) -> Duration {
    match &scrape.outcome {
        Outcome::Exposed { duration, .. } | Outcome::Failed { duration, .. } => *duration,
        Outcome::Gone | Outcome::Noted(_) => Duration::ZERO,
    }
}

/// Copies a record that has no columns; its text is shared.
pub(super) fn as_text(record: &Record) -> TextRecord {
    record.clone().map(|body| body.to_text())
}
