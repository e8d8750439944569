//! From a page to a frame and back, by exporter; nanoseconds per sample are the inverse of the
//! throughput.

#![expect(clippy::unwrap_used, reason = "a failure ends the bench")]

#[path = "../tests/wire/pages.rs"]
mod pages;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use prometheus_streams::model::{Format, Labels};
use prometheus_streams::wire::{
    Column, LaneDecoder, LaneEncoder, Role, Shape, ShapeStore, match_body,
};

/// Targets in one frame, each with another time of the same exporter.
const TARGETS: u32 = 8;

/// Frames in a chain, behind its key frame: as many as a poller chains at most.
const LINKS: usize = 19;

/// A lane's frames, taken apart into what is measured.
struct Set {
    bodies: Vec<Vec<u8>>,
    shape: Arc<Shape>,
    shapes: ShapeStore,
    columns: Vec<Column>,
    samples: u64,
}

fn prepare(name: &str, pages: &[pages::Page]) -> Set {
    let target = Arc::new(Labels::of_target(name, "127.0.0.1:9100"));
    let mut shape = Shape::build(target, &pages.first().unwrap().body, Format::Text).unwrap();
    let mut column = Column::default();
    // One shape that fits all pages.
    for page in pages {
        if match_body(shape.page(), &page.body, &mut column).is_err() {
            shape = shape.extend(&page.body).unwrap();
        }
    }
    let mut shapes = ShapeStore::default();
    let shape = shapes.insert(shape).unwrap();
    let matched = pages.iter().filter_map(|page| {
        let mut column = Column::default();
        match_body(shape.page(), &page.body, &mut column).ok()?;
        Some((page.body.clone(), column))
    });
    let (bodies, columns): (Vec<_>, Vec<_>) = matched.take(TARGETS as usize + 1).unzip();
    let times = pages.iter().map(|page| page.time_ms);
    assert!(times.is_sorted(), "pages are in the order of their scrapes");
    let samples = columns
        .iter()
        .skip(1)
        .map(|column| column.samples() as u64)
        .sum();
    Set {
        bodies,
        shape,
        shapes,
        columns,
        samples,
    }
}

fn encode(set: &Set, lane: &mut LaneEncoder, skip: usize) -> Vec<u8> {
    let mut frame = lane.begin(Role::Link);
    for (target, column) in (0..TARGETS).zip(set.columns.iter().skip(skip)) {
        frame.columns(target, &set.shape, (0, Duration::ZERO), column);
    }
    frame.finish().1
}

fn wire(c: &mut Criterion) {
    for (name, pages) in pages::pages() {
        let set = prepare(&name, &pages);
        let mut group = c.benchmark_group(format!("wire/{name}"));
        group.throughput(Throughput::Elements(set.samples));
        group.bench_function("match", |b| {
            let mut column = Column::default();
            b.iter(|| {
                for body in set.bodies.iter().skip(1) {
                    match_body(set.shape.page(), black_box(body), &mut column).unwrap();
                }
            });
        });
        group.bench_function("encode", |b| {
            let mut lane = LaneEncoder::new(1);
            let mut turn = 0;
            b.iter(|| {
                turn += 1;
                // To and fro, so that each frame has the changes of one interval.
                black_box(encode(&set, &mut lane, turn % 2))
            });
        });
        let mut lane = LaneEncoder::new(1);
        let key = encode(&set, &mut lane, 0);
        // To and fro, as above.
        let links = (1..=LINKS).map(|turn| encode(&set, &mut lane, turn % 2));
        let links: Vec<Vec<u8>> = links.collect();
        group.throughput(Throughput::Elements(set.samples * LINKS as u64));
        group.bench_function("decode", |b| {
            b.iter_batched(
                || {
                    let mut lane = LaneDecoder::default();
                    lane.decode(&key, &set.shapes).unwrap();
                    lane
                },
                |mut lane| {
                    for link in &links {
                        black_box(lane.decode(link, &set.shapes).unwrap());
                    }
                    lane
                },
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, wire);
criterion_main!(benches);
