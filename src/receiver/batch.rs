//! What goes to a sink in one piece.

use std::sync::Arc;
use std::time::Duration;

use crate::bus::{LaneId, Sequence};
use crate::guard::{AgeLimit, Verdict};
use crate::model::Outcome;
use crate::retry::Backoff;
use crate::sink::{Batching, DeliverError, Delivery, Sink, State};
use crate::wire::{Body, Scrape};

/// What a series of an exposition takes as text, about.
const SERIES_BYTES: usize = 100;

/// Where a delivery comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A message that was stored at this time, milliseconds since the Unix epoch.
    Message {
        /// The time.
        stored_ms: i64,
    },
    /// The guard made it: a target's end.
    Guard,
}

/// Deliveries of one or more lanes, which are under way until the batch is done.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) lanes: Vec<LaneId>,
    /// Messages to acknowledge at the end.
    pub(super) sequences: Vec<Sequence>,
    pub(super) deliveries: Vec<Delivery>,
    /// Where each delivery comes from, in step with `deliveries`.
    sources: Vec<Source>,
    pub(super) backoff: Backoff,
    pub(super) text_bytes: usize,
}

impl Batch {
    pub(super) fn new(batching: &Batching) -> Self {
        Self {
            lanes: Vec::new(),
            sequences: Vec::new(),
            deliveries: Vec::new(),
            sources: Vec::new(),
            backoff: Backoff::new(batching.min_backoff, batching.max_backoff),
            text_bytes: 0,
        }
    }

    pub(super) fn push(&mut self, publisher: &Arc<str>, scrape: Scrape, source: Source) {
        self.text_bytes += text_bytes(&scrape);
        let (publisher, scrape) = (Arc::clone(publisher), Arc::new(scrape));
        self.deliveries.push(Delivery {
            publisher,
            scrape,
            state: State::Pending,
        });
        self.sources.push(source);
    }

    /// Marks what has become too old since; returns the sites, to be counted.
    pub(super) fn drop_aged(&mut self, limit: AgeLimit, now_ms: i64) -> Vec<Arc<str>> {
        let mut dropped = Vec::new();
        for (delivery, source) in self.deliveries.iter_mut().zip(&self.sources) {
            // A target's end is never too old: the sink must hear of it.
            let Source::Message { stored_ms } = *source else {
                continue;
            };
            let verdict = limit.judge(delivery.scrape.time_ms, stored_ms, now_ms);
            if delivery.state == State::Pending && verdict != Verdict::Admit {
                delivery.state = State::Dropped;
                dropped.push(Arc::clone(&delivery.publisher));
            }
        }
        dropped
    }

    /// Tells whether something is still to be delivered.
    pub(super) fn is_pending(&self) -> bool {
        self.deliveries
            .iter()
            .any(|delivery| delivery.state == State::Pending)
    }

    /// Tries once.
    pub(super) async fn deliver(&mut self, sink: &Sink) -> Result<(), DeliverError> {
        sink.deliver(&mut self.deliveries).await
    }

    /// Iterates over what was received, each with its age at `now_ms`.
    pub(super) fn received(&self, now_ms: i64) -> impl Iterator<Item = (&Delivery, Duration)> {
        let all = self.deliveries.iter().zip(&self.sources);
        all.filter_map(move |(delivery, source)| match source {
            Source::Message { stored_ms } => {
                let age = crate::guard::age(delivery.scrape.time_ms, *stored_ms, now_ms);
                Some((delivery, age))
            }
            Source::Guard => None,
        })
    }

    /// Iterates over what the guard made and the sink refused.
    pub(super) fn refused_ends(&self) -> impl Iterator<Item = &Delivery> {
        let all = self.deliveries.iter().zip(&self.sources);
        all.filter(|(delivery, source)| {
            **source == Source::Guard && matches!(delivery.state, State::Rejected { .. })
        })
        .map(|(delivery, _)| delivery)
    }
}

fn text_bytes(scrape: &Scrape) -> usize {
    match &scrape.outcome {
        Outcome::Exposed { body, .. } => match body {
            Body::Text(text) => text.text.len(),
            Body::Columns(columns) => columns.column.len() * SERIES_BYTES,
        },
        // Stale markers for a whole exposition weigh about as much.
        _ => 1024,
    }
}
