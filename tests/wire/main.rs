//! The wire format over recorded pages of real exporters.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step fails the test"
)]

mod agree;
mod pages;
mod stored;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_streams::exposition::{Entry, Parser};
use prometheus_streams::model::{Format, Labels};
use prometheus_streams::wire::{
    self, Column, LaneDecoder, LaneEncoder, Misfit, Role, Shape, ShapeStore, ShapeWriter,
    match_body,
};

/// The bits and time of each series, as the exposition parser reads a body.
type Samples = HashMap<String, (u64, Option<i64>)>;

fn parsed(body: &[u8]) -> Samples {
    let mut samples = Samples::new();
    let mut parser = Parser::new(body, Format::Text);
    while let Some(entry) = parser.next() {
        if let Entry::Sample(sample) = entry.unwrap() {
            let value = (sample.value.to_bits(), sample.timestamp_ms);
            assert_eq!(samples.insert(sample.text.to_owned(), value), None);
        }
    }
    samples
}

/// A site's end of a lane with one target per exporter, and the centre's.
struct Lane {
    encoder: LaneEncoder,
    sent: HashMap<String, Arc<Shape>>,
    decoder: LaneDecoder,
    shapes: ShapeStore,
    /// The shape messages that were sent.
    messages: Vec<Vec<u8>>,
}

impl Lane {
    fn new() -> Self {
        Self {
            encoder: LaneEncoder::new(1_700_000_000_000),
            sent: HashMap::new(),
            decoder: LaneDecoder::default(),
            shapes: ShapeStore::default(),
            messages: Vec::new(),
        }
    }

    /// Matches a body; a shape that is new goes to the centre as a message.
    fn matched(&mut self, set: &str, body: &[u8]) -> (Arc<Shape>, Column) {
        let mut column = Column::default();
        let known = self.sent.get(set);
        let shape = match known.map(|known| match_body(known.page(), body, &mut column)) {
            Some(Ok(_)) => return (Arc::clone(known.unwrap()), column),
            Some(Err(Misfit::Changed(_))) => known.unwrap().extend(body).unwrap(),
            Some(Err(misfit)) => panic!("{set}: {misfit}"),
            None => {
                let target = Arc::new(Labels::of_target(set, "127.0.0.1:9100"));
                Shape::build(target, body, Format::Text).unwrap()
            }
        };
        let mut message = ShapeWriter::new();
        match known {
            Some(known) => {
                message.patch(&shape, known);
            }
            None => message.whole(&shape),
        }
        let message = message.finish();
        assert_eq!(self.shapes.read(&message).unwrap(), [shape.id()]);
        self.messages.push(message);
        match_body(shape.page(), body, &mut column).unwrap();
        let shape = Arc::new(shape);
        self.sent.insert(set.to_owned(), Arc::clone(&shape));
        (shape, column)
    }
}

/// Sends all pages and compares what comes out with what the parser reads from the pages.
#[track_caller]
fn check(role: Role) {
    let pages = pages::pages();
    let ticks = pages.values().map(Vec::len).min().unwrap();
    let mut lane = Lane::new();
    let mut samples = 0;
    for tick in 0..ticks {
        let role = if tick % 20 == 0 { Role::Key } else { role };
        let scrapes: Vec<_> = pages
            .iter()
            .map(|(set, pages)| (lane.matched(set, &pages[tick].body), &pages[tick]))
            .collect();
        let mut frame = lane.encoder.begin(role);
        for (target, ((shape, column), page)) in (0..).zip(&scrapes) {
            frame.columns(
                target,
                shape,
                (page.time_ms, Duration::from_millis(7)),
                column,
            );
        }
        let (_, payload) = frame.finish();
        let frame = lane.decoder.decode(&payload, &lane.shapes).unwrap();
        assert_eq!(frame.entries.len(), scrapes.len());
        for (entry, (_, page)) in frame.entries.iter().zip(&scrapes) {
            let wire::Entry::Columns(scrape) = entry else {
                panic!("{entry:?}");
            };
            assert_eq!(scrape.time_ms, page.time_ms);
            let expected = parsed(&page.body);
            let mut decoded = Samples::new();
            let keys = scrape.shape.page().keys();
            for (at, (key, value)) in keys.zip(scrape.column.iter()).enumerate() {
                if let Some(value) = value.get() {
                    let page = scrape.shape.page();
                    let time = scrape.column.time(at).filter(|_| page.has_time(at));
                    decoded.insert(key.to_owned(), (value.to_bits(), time));
                }
            }
            assert_eq!(decoded, expected);
            samples += decoded.len();
            // As text it is the same scrape.
            let mut text = Vec::new();
            scrape.shape.write_text(&scrape.column, &mut text);
            assert_eq!(parsed(&text), expected);
        }
    }
    assert!(samples > 200_000, "{samples}");
}

#[test]
fn every_sample_of_real_pages_arrives_to_the_bit_in_a_chain() {
    check(Role::Link);
}

#[test]
fn every_sample_of_real_pages_arrives_to_the_bit_without_a_chain() {
    check(Role::Leaf);
}
