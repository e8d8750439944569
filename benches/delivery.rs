//! From a lane's message to the body of a remote-write request, by exporter; nanoseconds per
//! sample are the inverse of the throughput.
//!
//! Beside it what a receiver of plain remote write does with the same samples before it can look
//! at them, and what the same scrapes cost as texts.

#![expect(clippy::unwrap_used, reason = "a failure ends the bench")]

#[path = "../tests/wire/pages.rs"]
mod pages;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use prometheus_streams::exposition::{Families, Names, Timestamps, WriteOptions, write_text};
use prometheus_streams::http;
use prometheus_streams::model::{Format, Labels, Outcome, Text};
use prometheus_streams::relabel::Rules;
use prometheus_streams::sink::remote_write::{Besides, RemoteWrite, Settings};
use prometheus_streams::sink::{Delivery, State};
use prometheus_streams::wire::{
    Body, Column, Columns, Entry, LaneDecoder, LaneEncoder, Role, Scrape, Shape, ShapeStore,
    match_body,
};

/// Targets in one frame, each with another time of the same exporter.
const TARGETS: u32 = 8;

/// When the scrapes are from: nowadays.
const TIME_MS: i64 = 1_700_000_000_000;

/// A lane's frames.
struct Set {
    shapes: ShapeStore,
    key: Vec<u8>,
    /// Each has the changes of one interval.
    links: [Vec<u8>; 2],
    /// In one frame.
    samples: u64,
}

fn prepare(name: &str, pages: &[pages::Page]) -> Set {
    let target = |number: u32| {
        let labels = Labels::of_target(name, &format!("10.17.34.{number}:9100"));
        Arc::new(labels)
    };
    let first = pages.first().unwrap();
    let mut shape = Shape::build(target(0), &first.body, Format::Text).unwrap();
    let mut column = Column::default();
    let times = pages.iter().map(|page| page.time_ms);
    assert!(times.is_sorted(), "pages are in the order of their scrapes");
    // One shape that fits all pages.
    for page in pages {
        if match_body(shape.page(), &page.body, &mut column).is_err() {
            shape = shape.extend(&page.body).unwrap();
        }
    }
    let columns = pages.iter().filter_map(|page| {
        let mut column = Column::default();
        match_body(shape.page(), &page.body, &mut column).ok()?;
        Some(column)
    });
    let columns: Vec<_> = columns.take(TARGETS as usize + 1).collect();
    let mut text = Vec::new();
    shape.write_text(shape.template(), &mut text);
    let mut shapes = ShapeStore::default();
    let siblings = (0..TARGETS).map(|number| {
        let mut sibling = Shape::build(target(number), &text, Format::Text).unwrap();
        sibling.share(shape.page());
        shapes.insert(sibling).unwrap()
    });
    let siblings: Vec<_> = siblings.collect();
    let mut lane = LaneEncoder::new(1);
    let mut frame = |skip: usize| {
        let mut frame = lane.begin(Role::Link);
        for ((number, shape), column) in (0..).zip(&siblings).zip(columns.iter().skip(skip)) {
            frame.columns(number, shape, (TIME_MS, Duration::ZERO), column);
        }
        frame.finish().1
    };
    Set {
        key: frame(0),
        links: [frame(1), frame(0)],
        shapes,
        samples: columns
            .iter()
            .skip(1)
            .map(|column| column.samples() as u64)
            .sum(),
    }
}

fn endpoint() -> RemoteWrite {
    let settings = Settings {
        name: "endpoint".to_owned(),
        url: "http://127.0.0.1:9/".parse().unwrap(),
        timeout: Duration::from_secs(1),
        publisher_label: true,
        external_labels: Labels::default(),
        write_relabel: Rules::default(),
        besides: Besides::default(),
        concurrency: 1,
        // A frame goes in one request.
        max_samples_per_send: 1 << 20,
        batch_send_deadline: Duration::ZERO,
        min_backoff: Duration::ZERO,
        max_backoff: Duration::ZERO,
        retry_on_http_429: true,
        http: http::Settings::default(),
    };
    RemoteWrite::build(settings).unwrap()
}

/// Decodes a frame and makes deliveries of it, as the receiver does.
fn deliveries(set: &Set, lane: &mut LaneDecoder, frame: &[u8]) -> Vec<Delivery> {
    let publisher: Arc<str> = Arc::from("USDC1");
    let entries = lane.decode(frame, &set.shapes).unwrap().entries.into_iter();
    let scrapes = entries.filter_map(|entry| match entry {
        Entry::Columns(scrape) => Some(scrape),
        _ => None,
    });
    let deliveries = scrapes.map(|scrape| Delivery {
        publisher: Arc::clone(&publisher),
        scrape: Arc::new(Scrape {
            target: Arc::clone(scrape.shape.target()),
            time_ms: scrape.time_ms,
            outcome: Outcome::Exposed {
                body: Body::Columns(Columns {
                    shape: scrape.shape,
                    column: scrape.column,
                }),
                duration: scrape.duration,
            },
        }),
        state: State::Pending,
    });
    deliveries.collect()
}

fn as_texts(batch: &[Delivery]) -> Vec<Delivery> {
    let mut batch = batch.to_vec();
    for delivery in &mut batch {
        let scrape = Scrape::clone(&delivery.scrape);
        let text = scrape.map(|body| Body::Text(body.to_text()));
        delivery.scrape = Arc::new(text);
    }
    batch
}

/// A lane that has read the key frame.
fn lane_at_key(set: &Set) -> LaneDecoder {
    let mut lane = LaneDecoder::default();
    lane.decode(&set.key, &set.shapes).unwrap();
    lane
}

/// An endpoint that knows the targets.
fn endpoint_at_key(set: &Set) -> RemoteWrite {
    let endpoint = endpoint();
    for delivery in deliveries(set, &mut LaneDecoder::default(), &set.key) {
        endpoint.prime(&delivery.publisher, &delivery.scrape);
    }
    endpoint
}

fn from_messages(set: &Set, group: &mut BenchmarkGroup<'_, WallTime>) {
    group.throughput(Throughput::Elements(set.samples * 2));
    group.bench_function("decode", |b| {
        b.iter_batched_ref(
            || lane_at_key(set),
            |lane| {
                for link in &set.links {
                    black_box(deliveries(set, lane, link));
                }
            },
            BatchSize::LargeInput,
        );
    });
    let endpoint = endpoint_at_key(set);
    group.bench_function("decode+request", |b| {
        b.iter_batched_ref(
            || lane_at_key(set),
            |lane| {
                for link in &set.links {
                    let batch = deliveries(set, lane, link);
                    black_box(endpoint.preview(&batch));
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("decode+request+snappy", |b| {
        let mut snappy = snap::raw::Encoder::new();
        b.iter_batched_ref(
            || lane_at_key(set),
            |lane| {
                for link in &set.links {
                    let batch = deliveries(set, lane, link);
                    let request = endpoint.preview(&batch);
                    black_box(snappy.compress_vec(&request).unwrap());
                }
            },
            BatchSize::LargeInput,
        );
    });
}

fn from_values(set: &Set, group: &mut BenchmarkGroup<'_, WallTime>) {
    group.throughput(Throughput::Elements(set.samples));
    let endpoint = endpoint_at_key(set);
    let batch = deliveries(set, &mut lane_at_key(set), &set.links[0]);
    let request = endpoint.preview(&batch);
    let texts = as_texts(&batch);
    assert_eq!(request, endpoint.preview(&texts), "the same either way");
    group.bench_function("request", |b| {
        b.iter(|| black_box(endpoint.preview(black_box(&batch))));
    });
    let from_texts = self::endpoint();
    for delivery in &texts {
        from_texts.prime(&delivery.publisher, &delivery.scrape);
    }
    group.bench_function("request from text", |b| {
        b.iter(|| black_box(from_texts.preview(black_box(&texts))));
    });
    let compressed = snap::raw::Encoder::new().compress_vec(&request).unwrap();
    group.bench_function("snappy decompression", |b| {
        let mut snappy = snap::raw::Decoder::new();
        b.iter(|| black_box(snappy.decompress_vec(black_box(&compressed)).unwrap()));
    });
    gateway(group, &batch, &texts);
}

/// What a push costs: the text of the values, and what a text costs anyway.
fn gateway(group: &mut BenchmarkGroup<'_, WallTime>, batch: &[Delivery], texts: &[Delivery]) {
    const OPTIONS: WriteOptions = WriteOptions {
        timestamps: Timestamps::Omit,
        names: Names::LeaveOut,
    };
    fn bodies(batch: &[Delivery]) -> impl Iterator<Item = &Body> {
        let outcomes = batch.iter().map(|delivery| &delivery.scrape.outcome);
        outcomes.filter_map(|outcome| match outcome {
            Outcome::Exposed { body, .. } => Some(body),
            _ => None,
        })
    }
    group.bench_function("values to text", |b| {
        b.iter(|| {
            for body in bodies(batch) {
                black_box(body.to_text());
            }
        });
    });
    group.bench_function("text to push", |b| {
        b.iter(|| {
            for body in bodies(texts) {
                let Text { text, format } = body.to_text();
                let families = Families::parse(&text, format).unwrap();
                let mut out = String::with_capacity(text.len());
                write_text(&families, OPTIONS, &mut out);
                black_box(out);
            }
        });
    });
}

fn delivery(c: &mut Criterion) {
    for (name, pages) in pages::pages() {
        let set = prepare(&name, &pages);
        let mut group = c.benchmark_group(format!("delivery/{name}"));
        from_messages(&set, &mut group);
        from_values(&set, &mut group);
        group.finish();
    }
}

criterion_group!(benches, delivery);
criterion_main!(benches);
