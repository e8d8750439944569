//! What a change of a shape takes, by exporter: the least of many rounds, in microseconds, for each
//! change in the recorded pages.

#![expect(clippy::unwrap_used, reason = "a failure ends the bench")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]
#![expect(clippy::print_stdout, reason = "the table is the result")]

#[path = "../tests/wire/pages.rs"]
mod pages;

use std::sync::Arc;
use std::time::Duration;

use prometheus_streams::model::{Format, Labels};
use prometheus_streams::wire::{Column, Misfit, Shape, ShapeStore, ShapeWriter, match_body};
use tokio::time::Instant;

/// Rounds of which the fastest counts.
const ROUNDS: usize = 40;

/// A body that its target's last shape does not fit.
struct Change {
    old: Arc<Shape>,
    body: Vec<u8>,
}

fn changes(name: &str, pages: Vec<pages::Page>) -> Vec<Change> {
    let times = pages.iter().map(|page| page.time_ms);
    assert!(times.is_sorted(), "pages are in the order of their scrapes");
    let target = Arc::new(Labels::of_target(name, "127.0.0.1:9100"));
    let mut changes = Vec::new();
    let mut column = Column::default();
    let mut last: Option<Arc<Shape>> = None;
    for page in pages {
        let next = match &last {
            None => Shape::build(Arc::clone(&target), &page.body, Format::Text).unwrap(),
            Some(old) => match match_body(old.page(), &page.body, &mut column) {
                Err(Misfit::Changed(_)) => {
                    let next = old.extend(&page.body).unwrap();
                    changes.push(Change {
                        old: Arc::clone(old),
                        body: page.body,
                    });
                    next
                }
                fits => {
                    fits.unwrap();
                    continue;
                }
            },
        };
        last = Some(Arc::new(next));
    }
    changes
}

/// Times of one change: extending, keeping, writing, reading; and the bytes of the message.
fn run(change: &Change) -> ([Duration; 4], usize) {
    let Change { old, body } = change;
    // As in a running program: what is looked up in the old page was looked up before.
    let mut stores = [ShapeStore::default(), ShapeStore::default()];
    for store in &mut stores {
        store.insert((**old).clone()).unwrap();
    }
    let mut times = [Duration::ZERO; 4];
    let mut at = Instant::now();
    let mut lap = |time: &mut Duration| {
        let now = Instant::now();
        *time = now - std::mem::replace(&mut at, now);
    };
    let next = old.extend(body).unwrap();
    lap(&mut times[0]);
    let next = stores[0].insert(next).unwrap();
    lap(&mut times[1]);
    let mut writer = ShapeWriter::new();
    writer.patch(&next, old);
    let message = writer.finish();
    lap(&mut times[2]);
    let read = stores[1].read(&message).unwrap();
    lap(&mut times[3]);
    assert_eq!(read, [next.id()]);
    (times, message.len())
}

fn main() {
    println!("| | series | changes | extend | keep | write | read | bytes |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, pages) in pages::pages() {
        let changes = changes(&name, pages);
        if changes.is_empty() {
            continue;
        }
        let mut sums = [0.0; 4];
        let (mut bytes, mut series) = (0, 0);
        for change in &changes {
            let mut least = [Duration::MAX; 4];
            for _ in 0..ROUNDS {
                let (times, length) = run(change);
                for (least, time) in least.iter_mut().zip(times) {
                    *least = time.min(*least);
                }
                bytes += length;
            }
            series += change.old.page().len();
            for (sum, least) in sums.iter_mut().zip(least) {
                *sum += least.as_secs_f64() * 1e6;
            }
        }
        let count = changes.len();
        let [extend, keep, write, read] = sums.map(|sum| sum / count as f64);
        let (series, bytes) = (series / count, bytes / count / ROUNDS);
        println!(
            "| {name} | {series} | {count} | {extend:.0} | {keep:.0} | {write:.0} | {read:.0} | {bytes} |"
        );
    }
}
