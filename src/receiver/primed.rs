//! What is learned at the start from messages that were dealt with in an earlier life.

use std::collections::HashMap;
use std::sync::Arc;

use crate::sink::{Sink, TargetKey};
use crate::wire::Scrape;

/// The last scrape of each target; that is all that a sink needs to hear of.
#[derive(Debug, Default)]
pub(super) struct Primed(HashMap<TargetKey, Scrape>);

impl Primed {
    pub(super) fn note(&mut self, publisher: &Arc<str>, scrape: Scrape) {
        let key = TargetKey {
            publisher: Arc::clone(publisher),
            target: Arc::clone(&scrape.target),
        };
        self.0.insert(key, scrape);
    }

    /// Tells the sink, before anything is delivered to it.
    pub(super) fn hand_to(&mut self, sink: &Sink) {
        for (key, scrape) in self.0.drain() {
            sink.prime(&key.publisher, &scrape);
        }
        self.0.shrink_to_fit();
    }
}
