//! From bodies to frames and back: bit for bit, whatever the values, roles and losses.
#![no_main]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;

use prometheus_streams::model::Format;
use prometheus_streams::wire::{
    Column, Entry, LaneDecoder, LaneEncoder, Role, Shape, ShapeStore, ShapeWriter, match_body,
};
use prometheus_streams_fuzz::{BODIES, Input, format, target};

/// Frames of one run.
const FRAMES_MAX: usize = 40;

/// Targets of one lane.
const TARGETS: u8 = 3;

/// A target as the poller keeps it.
struct Sending {
    shape: Arc<Shape>,
    values: HashMap<String, String>,
    time_ms: i64,
}

fn first_shape(input: &mut Input<'_>, number: usize) -> Shape {
    let kind = input.byte();
    let own = match kind {
        0x80.. => Shape::build(target(number), input.part(), format(kind)).ok(),
        _ => None,
    };
    own.unwrap_or_else(|| {
        let (format, body) = BODIES[usize::from(kind) % BODIES.len()];
        Shape::build(target(number), body.as_bytes(), format).expect("a body of ours")
    })
}

/// Writes the value that a series has next.
fn next_value(input: &mut Input<'_>, old: &str) -> Option<String> {
    let kind = input.byte();
    let number: f64 = old.parse().unwrap_or(0.0);
    Some(match kind & 15 {
        0..=3 => old.to_owned(),
        4 => return None,
        5 => format!("{}", number + f64::from(input.byte())),
        6 => format!("{}", number - f64::from(input.byte()) / 8.0),
        7 => format!("{}", f64::from_bits(u64::from_le_bytes(input.array()))),
        8 => format!("{}", i64::from_le_bytes(input.array()) >> (kind >> 4)),
        9 => format!("{}e-{}", u64::from_le_bytes(input.array()) >> 11, kind >> 3),
        10 => format!("{}e{}", u16::from_le_bytes(input.array()), kind >> 4),
        11 => "-0".to_owned(),
        12 => "NaN".to_owned(),
        13 => ["+Inf", "-Inf"][usize::from(kind >> 7)].to_owned(),
        14 => format!("{}.{:03}", input.byte(), input.byte()),
        _ => format!("{}", kind >> 4),
    })
}

/// Writes the body of a target's next scrape.
fn next_body(input: &mut Input<'_>, sending: &mut Sending) -> String {
    let page = sending.shape.page();
    let mut body = String::new();
    for (at, key) in page.keys().enumerate() {
        if input.is_empty() {
            break;
        }
        let old = sending.values.get(key).map_or("0", String::as_str);
        let Some(value) = next_value(input, old) else {
            continue;
        };
        write!(body, "{key} {value}").expect("a string takes all");
        if page.has_time(at) {
            let time = sending.time_ms + i64::from(input.byte() % 4) * 1000;
            match page.format() {
                Format::Text => write!(body, " {time}"),
                Format::OpenMetrics => write!(body, " {}", time / 1000),
            }
            .expect("a string takes all");
        }
        body.push('\n');
        sending.values.insert(key.to_owned(), value);
    }
    if page.format() == Format::OpenMetrics {
        body.push_str("# EOF\n");
    }
    sending.time_ms += 15_000;
    body
}

fn bits(shape: &Shape, column: &Column) -> Vec<Option<(u64, Option<i64>)>> {
    let values = column.iter().enumerate();
    values
        .map(|(at, value)| {
            let time = column.time(at).filter(|_| shape.page().has_time(at));
            Some((value.get()?.to_bits(), time))
        })
        .collect()
}

fn publish(shape: Shape, base: Option<&Shape>, shapes: &mut ShapeStore) -> Arc<Shape> {
    let mut writer = ShapeWriter::hurried();
    match base {
        None => writer.whole(&shape),
        Some(base) => drop(writer.patch(&shape, base)),
    }
    shapes.read(&writer.finish()).expect("a reader takes it");
    Arc::new(shape)
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let mut shapes = ShapeStore::default();
    let mut targets: Vec<Sending> = (0..usize::from(TARGETS))
        .map(|number| Sending {
            shape: publish(first_shape(&mut input, number), None, &mut shapes),
            values: HashMap::new(),
            time_ms: 1_700_000_000_000,
        })
        .collect();
    let (mut encoder, mut decoder) = (LaneEncoder::new(1), LaneDecoder::default());
    for _ in 0..FRAMES_MAX {
        if input.is_empty() {
            break;
        }
        let kind = input.byte();
        let role = [Role::Link, Role::Leaf, Role::Link, Role::Key][usize::from(kind & 3)];
        match kind >> 5 {
            7 => encoder.require_key(),
            6 => encoder.forget(u32::from(kind & 1)),
            _ => {}
        }
        let mut frame = encoder.begin(role);
        let mut sent = Vec::new();
        for _ in 0..=(kind >> 2) & 3 {
            let number = input.byte() % TARGETS;
            let sending = &mut targets[usize::from(number)];
            let mut body = next_body(&mut input, sending);
            if input.byte() == 1 && sending.shape.page().format() == Format::Text {
                writeln!(body, "fresh{{n=\"{}\"}} 1", input.byte() % 3).expect("as above");
            }
            let mut column = Column::default();
            if match_body(sending.shape.page(), body.as_bytes(), &mut column).is_err() {
                let Ok(next) = sending.shape.extend(body.as_bytes()) else {
                    continue;
                };
                sending.shape = publish(next, Some(&sending.shape), &mut shapes);
                match_body(sending.shape.page(), body.as_bytes(), &mut column)
                    .expect("it is made for it");
            }
            assert!(frame.has_room_for(&sending.shape));
            let duration = Duration::from_micros(u64::from(kind));
            let target = u32::from(number);
            frame.columns(target, &sending.shape, (sending.time_ms, duration), &column);
            sent.push((target, sending.time_ms, bits(&sending.shape, &column)));
        }
        let is_leaf = frame.role() == Role::Leaf;
        let (_, payload) = frame.finish();
        // A leaf may be lost, and harms no other.
        if is_leaf && kind & 16 != 0 {
            continue;
        }
        let read = decoder.decode(&payload, &shapes).expect("it was encoded");
        let read = read.entries.iter().map(|entry| match entry {
            Entry::Record(_) | Entry::Part(_) => panic!("{entry:?}"),
            Entry::Columns(scrape) => (
                scrape.target,
                scrape.time_ms,
                bits(&scrape.shape, &scrape.column),
            ),
        });
        let read: Vec<_> = read.collect();
        assert_eq!(read, sent);
    }
});
