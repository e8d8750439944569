//! Stored messages, which must read the same for ever.
//!
//! Each `tests/data/wire/v1/*.bin` is a lane's messages in their order, each after its kind (`s` a
//! shape message, `f` a frame) and its length (4 bytes, little-endian); the `.expected` beside it
//! has for each frame the first half of the SHA-256 of what it says. Both were written once, by
//! this test with `WIRE_STORE` set to the name, and are never written again: another version gets
//! its own folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_streams::model::{FailureReason, Format, Labels, Outcome, Record, Scrape, Text};
use prometheus_streams::wire::{
    Column, Entry, LaneDecoder, LaneEncoder, LaneFrame, NativeHistogram, Part, Role, Shape,
    ShapeId, ShapeStore, ShapeWriter, match_body,
};

use crate::{Lane, pages};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wire/v1")
}

/// Every file there is.
const STORED: [&str; 3] = ["lane", "attached", "siblings"];

/// Writes a message behind others.
fn put(stored: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    stored.push(kind);
    stored.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    stored.extend_from_slice(payload);
}

/// Writes a lane with every kind of frame, raw texts, events and columns.
fn lane() -> Vec<u8> {
    let pages = pages::pages();
    let mut lane = Lane::new();
    let mut stored = Vec::new();
    let roles = [
        Role::Key,
        Role::Link,
        Role::Link,
        Role::Leaf,
        Role::Leaf,
        Role::Leaf,
        Role::Leaf,
        Role::Leaf,
        Role::Link,
        Role::Key,
        Role::Link,
    ];
    for (tick, role) in roles.into_iter().enumerate() {
        let mut scrapes: Vec<_> = pages
            .iter()
            .map(|(set, pages)| (pages[tick].time_ms, lane.matched(set, &pages[tick].body)))
            .collect();
        let now = 1_700_000_000_000 + i64::try_from(tick).unwrap() * 15_000;
        scrapes.push((now, lane.matched("odd", odd(tick, now).as_bytes())));
        for message in lane.messages.drain(..) {
            put(&mut stored, b's', &message);
        }
        let mut frame = lane.encoder.begin(role);
        for (target, (time_ms, (shape, column))) in (0..).zip(&scrapes) {
            frame.columns(target, shape, (*time_ms, Duration::from_millis(7)), column);
        }
        for outcome in events() {
            let target = Labels::of_target("job", "instance:1").into();
            frame.record(&Record::Scrape(Scrape {
                target,
                time_ms: now,
                outcome,
            }));
        }
        put(&mut stored, b'f', &frame.finish().1);
    }
    stored
}

/// Writes a lane with what stands beside values: parts, exemplars, native histograms.
fn attached() -> Vec<u8> {
    let mut lane = LaneEncoder::new(1_700_000_000_000);
    let mut stored = Vec::new();
    let target = Arc::new(Labels::of_target("job", "instance:1"));
    let shapes = ["a", "b"].map(|name| {
        let body = format!("{name}_total 1\n{name}_other 2 1.5\n{name}_third 3\n# EOF\n");
        let target = Arc::clone(&target);
        Arc::new(Shape::build(target, body.as_bytes(), Format::OpenMetrics).unwrap())
    });
    let mut message = ShapeWriter::new();
    message.whole(&shapes[0]);
    message.patch(&shapes[1], &shapes[0]);
    put(&mut stored, b's', &message.finish());
    for tick in 0..4_u32 {
        let mut frame = lane.begin(Role::Link);
        for (index, (name, shape)) in (0..).zip(["a", "b"].iter().zip(&shapes)) {
            let body = format!(
                "{name}_total {tick} # {{trace=\"{tick} # {{\"}} {tick}.5 {tick}.25\n{name}_other 2 {tick}\n\
                 {name}_third 3 # {{}} 1\n# EOF\n"
            );
            let mut column = Column::default();
            match_body(shape.page(), body.as_bytes(), &mut column).unwrap();
            column.add_histogram(NativeHistogram {
                series: format!("{name}_seconds{{x=\"1\"}}").into(),
                message: vec![8, 3 + u8::try_from(tick).unwrap()].into(),
            });
            let scrape = (
                1_700_000_000_000 + i64::from(tick) * 15_000,
                Duration::from_millis(3),
            );
            frame.part(Part { index, count: 2 });
            frame.columns(index, shape, scrape, &column);
        }
        put(&mut stored, b'f', &frame.finish().1);
    }
    stored
}

/// Writes a lane with targets of one kind, whose shapes are siblings.
fn siblings() -> Vec<u8> {
    let mut lane = LaneEncoder::new(1_700_000_000_000);
    let mut stored = Vec::new();
    let now = 1_700_000_000_000;
    let pages = &pages::pages()["node"];
    let bodies = (0..6).map(|number| {
        let mut body = pages[number * 5].body.clone();
        body.extend_from_slice(odd(number, now).as_bytes());
        if number % 3 == 2 {
            body.extend_from_slice(format!("own_{number} 1.5\n").as_bytes());
        }
        body
    });
    let bodies: Vec<Vec<u8>> = bodies.collect();
    let shapes = bodies.iter().zip(0..).map(|(body, number)| {
        let target = Labels::of_target("node", &format!("10.0.0.{number}:9100"));
        Arc::new(Shape::build(Arc::new(target), body, Format::Text).unwrap())
    });
    let shapes: Vec<Arc<Shape>> = shapes.collect();
    let mut message = ShapeWriter::thorough();
    message.whole(&shapes[0]);
    assert!(message.sibling(&shapes[1], &shapes[0], None));
    for shape in &shapes[2..] {
        assert!(message.sibling(shape, &shapes[0], Some(&shapes[1])));
    }
    put(&mut stored, b's', &message.finish());
    for (role, skip) in [(Role::Key, 0), (Role::Link, 1), (Role::Leaf, 2)] {
        let mut frame = lane.begin(role);
        for (target, shape) in (0..).zip(&shapes) {
            let body = &bodies[(target as usize + skip) % bodies.len()];
            let mut column = Column::default();
            if match_body(shape.page(), body, &mut column).is_err() {
                match_body(shape.page(), &bodies[target as usize], &mut column).unwrap();
            }
            frame.columns(target, shape, (now, Duration::from_millis(9)), &column);
        }
        put(&mut stored, b'f', &frame.finish().1);
    }
    stored
}

/// A body with every oddity of values, and with timestamps.
fn odd(tick: usize, now: i64) -> String {
    let values = [
        "NaN",
        "+Inf",
        "-Inf",
        "-0",
        "1e-320",
        "0.1",
        "0.25",
        "1e300",
        "12345678901234567890",
        "0.30000000000000004",
        "7",
    ];
    let mut body = String::from("# HELP odd Oddities.\n");
    for n in 0..values.len() {
        let value = values[(n + tick) % values.len()];
        if !(n + tick).is_multiple_of(5) {
            writeln!(body, "odd{{n=\"{n}\"}} {value}").unwrap();
        }
        if !(n + tick).is_multiple_of(4) {
            writeln!(
                body,
                "late{{n=\"{n}\"}} {n} {}",
                now - 1000 * (i64::try_from(n % 3).unwrap())
            )
            .unwrap();
        }
    }
    body
}

fn events() -> [Outcome; 3] {
    let duration = Duration::from_secs(1);
    [
        Outcome::Gone,
        Outcome::Failed {
            reason: FailureReason::Timeout,
            duration,
        },
        Outcome::Exposed {
            body: Text {
                text: "up 1\n".into(),
                format: Format::Text,
            },
            duration,
        },
    ]
}

/// Returns all that a frame says, a line each.
fn said(frame: &LaneFrame) -> String {
    let header = &frame.header;
    let mut said = format!("frame {} {} {}\n", header.epoch, header.number, header.base);
    for entry in &frame.entries {
        let scrape = match entry {
            Entry::Record(record) => {
                writeln!(said, "record {}", record.time_ms()).unwrap();
                continue;
            }
            Entry::Part(Part { index, count }) => {
                writeln!(said, "part {index} {count}").unwrap();
                continue;
            }
            Entry::Columns(scrape) => scrape,
        };
        let micros = scrape.duration.as_micros();
        writeln!(said, "scrape {} {} {micros}", scrape.target, scrape.time_ms).unwrap();
        let page = scrape.shape.page();
        for (at, (key, value)) in page.keys().zip(scrape.column.iter()).enumerate() {
            if let Some(value) = value.get() {
                write!(said, "{key} {:016x}", value.to_bits()).unwrap();
                if page.has_time(at) {
                    write!(said, " {}", scrape.column.time(at).unwrap()).unwrap();
                }
                said.push('\n');
            }
        }
        for exemplar in scrape.column.exemplars() {
            writeln!(said, "exemplar {} {}", exemplar.series, exemplar.text).unwrap();
        }
        for NativeHistogram { series, message } in scrape.column.histograms() {
            writeln!(said, "histogram {series} {message:02x}").unwrap();
        }
    }
    said
}

/// Returns a file's messages.
fn stored(name: &str) -> Vec<u8> {
    let path = folder().join(name).with_extension("bin");
    if std::env::var("WIRE_STORE").is_ok_and(|wanted| wanted == name) {
        let messages = match name {
            "lane" => lane(),
            "attached" => attached(),
            _ => siblings(),
        };
        std::fs::write(&path, messages).unwrap();
    }
    std::fs::read(path).unwrap()
}

#[track_caller]
fn check(name: &str) {
    let stored = stored(name);
    let mut rest = &*stored;
    let (mut decoder, mut shapes) = (LaneDecoder::default(), ShapeStore::default());
    let mut digests = String::new();
    while let Some((kind, behind)) = rest.split_first() {
        let (length, behind) = behind.split_first_chunk().unwrap();
        let (payload, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        rest = behind;
        if *kind == b's' {
            shapes.read(payload).unwrap();
        } else {
            let frame = decoder.decode(payload, &shapes).unwrap();
            writeln!(digests, "{}", ShapeId::of(said(&frame).as_bytes())).unwrap();
        }
    }
    let expected = folder().join(name).with_extension("expected");
    if std::env::var("WIRE_STORE").is_ok_and(|wanted| wanted == name) {
        std::fs::write(&expected, &digests).unwrap();
    }
    assert_eq!(
        digests,
        std::fs::read_to_string(expected).unwrap(),
        "{name}"
    );
}

#[test]
fn stored_messages_read_as_they_were_written() {
    for name in STORED {
        check(name);
    }
}

#[test]
fn a_second_reader_written_from_the_description_reads_the_same() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/decode.py");
    for name in STORED {
        let file = folder().join(name);
        let mut python = std::process::Command::new("python3");
        let output = python.arg(&script).arg(file.with_extension("bin")).output();
        let output = output.expect("python3 runs; `make deps` installs it, and the zstd it needs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {errors}");
        let expected = std::fs::read_to_string(file.with_extension("expected")).unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            expected,
            "{name}"
        );
    }
}
