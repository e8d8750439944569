//! Tests of whole lanes: what one side writes, the other reads, or refuses.

mod records;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{ColumnScrape, Entry, LaneDecoder, LaneEncoder, LaneFrame, Role};
use crate::model::{Format, Labels, Outcome, Record, Scrape, Text};
use crate::wire::{
    Column, DecodeError, Header, NativeHistogram, PARTS_MAX, Part, Shape, ShapeStore, Value,
    match_body,
};

const EPOCH: u64 = 1_700_000_000_000;
const TOOK: Duration = Duration::from_micros(1234);

/// A lane with both of its ends.
struct Lane {
    encoder: LaneEncoder,
    decoder: LaneDecoder,
    shapes: ShapeStore,
}

impl Lane {
    fn new() -> Self {
        Self {
            encoder: LaneEncoder::new(EPOCH),
            decoder: LaneDecoder::default(),
            shapes: ShapeStore::default(),
        }
    }

    fn shape(&mut self, body: &str) -> Arc<Shape> {
        self.shapes.insert(shape(body)).unwrap()
    }

    fn encode(&mut self, role: Role, scrapes: &[(u32, &Arc<Shape>, i64, &Column)]) -> Vec<u8> {
        let mut frame = self.encoder.begin(role);
        for (target, shape, time_ms, column) in scrapes {
            frame.columns(*target, shape, (*time_ms, TOOK), column);
        }
        frame.finish().1
    }

    fn decode(&mut self, payload: &[u8]) -> Result<LaneFrame, DecodeError> {
        self.decoder.decode(payload, &self.shapes)
    }

    /// Encodes, decodes and compares.
    #[track_caller]
    fn carry(&mut self, role: Role, scrapes: &[(u32, &Arc<Shape>, i64, &Column)]) -> usize {
        let payload = self.encode(role, scrapes);
        let frame = self.decode(&payload).unwrap();
        assert_eq!(frame.entries.len(), scrapes.len());
        for (entry, (target, shape, time_ms, column)) in frame.entries.iter().zip(scrapes) {
            let Entry::Columns(decoded) = entry else {
                panic!("{entry:?}");
            };
            assert_eq!(decoded.target, *target);
            assert_eq!(decoded.shape.id(), shape.id());
            assert_eq!((decoded.time_ms, decoded.duration), (*time_ms, TOOK));
            same(&decoded.column, column, shape);
        }
        payload.len()
    }
}

fn shape(body: &str) -> Shape {
    let target = Arc::new(Labels::of_target("node", "127.0.0.1:9100"));
    Shape::build(target, body.as_bytes(), Format::Text).unwrap()
}

#[track_caller]
fn same(decoded: &Column, column: &Column, shape: &Shape) {
    let bits = |column: &Column| -> Vec<_> {
        column
            .iter()
            .map(|value| value.get().map(f64::to_bits))
            .collect()
    };
    assert_eq!(bits(decoded), bits(column));
    for at in 0..column.len() {
        if shape.page().has_time(at) && column.get(at) != Value::NONE {
            assert_eq!(decoded.time(at), column.time(at), "series {at}");
        }
    }
}

fn column(values: &[Option<f64>]) -> Column {
    let mut column = Column::default();
    column.clear(values.len(), false);
    for (at, value) in values.iter().enumerate() {
        column.set(at, value.map_or(Value::NONE, Value::new));
    }
    column
}

fn matched(shape: &Shape, body: &str) -> Column {
    let mut column = Column::default();
    match_body(shape.page(), body.as_bytes(), &mut column).unwrap();
    column
}

fn body(values: &[f64]) -> String {
    let mut body = String::new();
    for (at, value) in values.iter().enumerate() {
        writeln!(body, "a{{n=\"{at}\"}} {value}").unwrap();
    }
    body
}

fn all(values: &[f64]) -> Column {
    column(&values.iter().copied().map(Some).collect::<Vec<_>>())
}

#[test]
fn a_chain_carries_values() {
    let mut lane = Lane::new();
    let shape = lane.shape(&body(&[1.0, 2.0, 3.0]));
    for step in 0..50_i32 {
        let step = f64::from(step);
        let values = all(&[step * 17.0, 0.1 * step, 1.0 / (step + 1.0)]);
        lane.carry(Role::Link, &[(0, &shape, 1000, &values)]);
    }
    assert_eq!(lane.decoder.at(), Some((EPOCH, 50)));
}

#[test]
fn every_bit_of_a_double_is_carried() {
    let odd = [
        0.0,
        -0.0,
        f64::NAN,
        f64::from_bits(0x7ff0_0000_0000_0002),
        f64::from_bits(0xffff_ffff_ffff_ffff),
        f64::INFINITY,
        f64::NEG_INFINITY,
        5e-324,
        -5e-324,
        f64::MAX,
        f64::MIN,
        9_007_199_254_740_992.0,
        -9_007_199_254_740_993.0,
        0.1 + 0.2,
        1e22,
        1e-22,
    ];
    for role in [Role::Link, Role::Leaf] {
        let mut lane = Lane::new();
        let shape = lane.shape(&body(&[1.0; 16]));
        for turn in 0..40 {
            let mut values = odd;
            values.rotate_left(turn % 16);
            lane.carry(role, &[(0, &shape, 0, &all(&values))]);
        }
    }
}

#[test]
fn what_does_not_change_costs_next_to_nothing() {
    let mut lane = Lane::new();
    let values: Vec<f64> = (0..10_000).map(f64::from).collect();
    let shape = lane.shape(&body(&values));
    let values = all(&values);
    lane.carry(Role::Key, &[(0, &shape, 0, &values)]);
    lane.carry(Role::Link, &[(0, &shape, 0, &values)]);
    let size = lane.carry(Role::Link, &[(0, &shape, 0, &values)]);
    assert!(size < 100, "{size}");
}

#[test]
fn a_lost_leaf_harms_no_other() {
    let mut lane = Lane::new();
    let shape = lane.shape(&body(&[1.0, 2.0]));
    lane.carry(Role::Key, &[(0, &shape, 0, &all(&[5.0, 6.0]))]);
    drop(lane.encode(Role::Leaf, &[(0, &shape, 0, &all(&[7.0, 8.0]))]));
    lane.carry(Role::Leaf, &[(0, &shape, 0, &all(&[9.0, 10.0]))]);
    assert_eq!(lane.decoder.at(), Some((EPOCH, 1)));
}

#[test]
fn a_lost_link_is_noticed_until_the_next_key_frame() {
    let mut lane = Lane::new();
    let shape = lane.shape(&body(&[1.0, 2.0]));
    lane.carry(Role::Key, &[(0, &shape, 0, &all(&[5.0, 6.0]))]);
    drop(lane.encode(Role::Link, &[(0, &shape, 0, &all(&[7.0, 8.0]))]));
    for role in [Role::Link, Role::Leaf] {
        let orphan = lane.encode(role, &[(0, &shape, 0, &all(&[7.5, 8.5]))]);
        let error = lane.decode(&orphan).unwrap_err();
        assert_eq!(error.reason(), "no_base", "{error}");
    }
    lane.encoder.require_key();
    lane.carry(Role::Link, &[(0, &shape, 0, &all(&[9.0, 10.0]))]);
    lane.carry(Role::Link, &[(0, &shape, 0, &all(&[9.0, 11.0]))]);
}

#[test]
fn a_frame_that_was_begun_and_not_finished_is_followed_by_a_key_frame() {
    let mut lane = Lane::new();
    let shape = lane.shape(&body(&[1.0]));
    lane.carry(Role::Key, &[(0, &shape, 0, &all(&[5.0]))]);
    let mut frame = lane.encoder.begin(Role::Link);
    frame.columns(0, &shape, (0, TOOK), &all(&[6.0]));
    drop(frame);
    assert_eq!(lane.encoder.begin(Role::Link).role(), Role::Key);
    lane.carry(Role::Link, &[(0, &shape, 0, &all(&[7.0]))]);
}

#[test]
fn a_frame_that_comes_again_is_not_decoded_again() {
    let mut lane = Lane::new();
    let shape = lane.shape(&body(&[1.0]));
    let key = lane.encode(Role::Key, &[(0, &shape, 0, &all(&[5.0]))]);
    let link = lane.encode(Role::Link, &[(0, &shape, 0, &all(&[6.0]))]);
    lane.decode(&key).unwrap();
    lane.decode(&link).unwrap();
    assert_eq!(lane.decode(&key).unwrap_err(), DecodeError::Behind(1));
    assert_eq!(lane.decode(&link).unwrap_err().reason(), "no_base");
    lane.carry(Role::Link, &[(0, &shape, 0, &all(&[7.0]))]);
}

#[test]
fn another_epoch_or_the_future_is_no_base() {
    let mut lane = Lane::new();
    let shape = lane.shape(&body(&[1.0]));
    lane.carry(Role::Key, &[(0, &shape, 0, &all(&[5.0]))]);
    let mut other = Lane::new();
    other.encoder = LaneEncoder::new(EPOCH + 1);
    drop(other.encode(Role::Key, &[(0, &shape, 0, &all(&[6.0]))]));
    let link = other.encode(Role::Link, &[(0, &shape, 0, &all(&[7.0]))]);
    assert_eq!(lane.decode(&link).unwrap_err().reason(), "no_base");
    let key = other.encode(Role::Key, &[(0, &shape, 0, &all(&[8.0]))]);
    lane.decode(&key).unwrap();
    assert_eq!(lane.decoder.at(), Some((EPOCH + 1, 3)));
}

#[test]
fn an_unknown_shape_is_said_and_leaves_the_state() {
    let mut lane = Lane::new();
    let known = lane.shape(&body(&[1.0]));
    let unknown = Arc::new(shape(&body(&[1.0, 2.0])));
    lane.carry(Role::Key, &[(0, &known, 0, &all(&[5.0]))]);
    let link = lane.encode(Role::Link, &[(1, &unknown, 0, &all(&[1.0, 2.0]))]);
    let expected = DecodeError::UnknownShape(unknown.id());
    assert_eq!(lane.decode(&link).unwrap_err(), expected);
    assert_eq!(lane.decoder.at(), Some((EPOCH, 1)));
    // As soon as it is there, the frame can be read.
    lane.shapes.insert(Shape::clone(&unknown)).unwrap();
    lane.decode(&link).unwrap();
}

#[test]
fn series_come_go_and_change_places() {
    for role in [Role::Link, Role::Leaf] {
        let mut lane = Lane::new();
        let bodies = [
            "a 1\nb 2\nc 3\n",
            "a 2\nc 4\n",
            "a 3\nb 4\nc 5\nd 6\n",
            "d 7\na 4\nb 5\n",
            "x 1\ny 2\nz 3\n",
            "a 1\nx 1\ny 2\nz 3\n",
        ];
        let mut current = lane.shape(bodies[0]);
        for body in bodies.into_iter().cycle().take(20) {
            let mut column = Column::default();
            if match_body(current.page(), body.as_bytes(), &mut column).is_err() {
                let next = current.extend(body.as_bytes()).unwrap();
                current = lane.shapes.insert(next).unwrap();
            }
            let column = matched(&current, body);
            lane.carry(role, &[(3, &current, 0, &column)]);
        }
    }
}

#[test]
fn explicit_timestamps_are_carried() {
    for role in [Role::Link, Role::Leaf] {
        let mut lane = Lane::new();
        let body = |turn: i64| -> String {
            let now = 1_700_000_000_000 + turn * 15_000;
            let times = [now, now, now - 17, i64::MAX - turn, 0, now];
            let lines = times.iter().enumerate();
            let lines = lines.filter(|(at, _)| (i64::try_from(*at).unwrap() + turn) % 4 != 0);
            let lines = lines.map(|(at, time)| format!("a{{n=\"{at}\"}} {turn} {time}\n"));
            lines.chain(["plain 1\n".to_owned()]).collect()
        };
        let mut current = lane.shape(&body(0));
        for turn in 0..30 {
            let mut column = Column::default();
            if match_body(current.page(), body(turn).as_bytes(), &mut column).is_err() {
                let next = current.extend(body(turn).as_bytes()).unwrap();
                current = lane.shapes.insert(next).unwrap();
                column = matched(&current, &body(turn));
            }
            lane.carry(role, &[(0, &current, turn * 15_000, &column)]);
        }
    }
}

#[test]
fn a_frame_of_events_needs_no_base() {
    let mut lane = Lane::new();
    let shape = lane.shape(&body(&[1.0]));
    drop(lane.encode(Role::Key, &[(0, &shape, 0, &all(&[5.0]))]));
    let events = lane.encode(Role::Link, &[]);
    lane.decode(&events).unwrap();
    assert_eq!(lane.decoder.at(), None);
}

#[test]
fn a_lane_has_room_for_so_many_series_and_no_more() {
    let mut lane = Lane::new();
    lane.decoder = LaneDecoder::new(3);
    let shape = lane.shape(&body(&[1.0, 2.0]));
    let two = all(&[1.0, 2.0]);
    let both = lane.encode(Role::Key, &[(0, &shape, 0, &two), (1, &shape, 0, &two)]);
    assert_eq!(lane.decode(&both).unwrap_err(), DecodeError::TooLarge);
    let one = lane.encode(Role::Key, &[(0, &shape, 0, &two)]);
    lane.decode(&one).unwrap();
    let another = lane.encode(Role::Link, &[(1, &shape, 0, &two)]);
    assert_eq!(lane.decode(&another).unwrap_err(), DecodeError::TooLarge);
    assert!(LaneEncoder::new(1).begin(Role::Key).has_room_for(&shape));
}

/// A lane in the middle of a group, and a frame that is to be damaged.
fn victim(role: Role) -> (Lane, Vec<u8>, Column) {
    let mut lane = Lane::new();
    let start: Vec<f64> = (0..40).map(|at| f64::from(at) * 1.5).collect();
    let shape = lane.shape(&body(&start));
    lane.carry(Role::Key, &[(0, &shape, 5, &all(&start))]);
    let next: Vec<f64> = start.iter().map(|value| value.mul_add(1.1, 3.0)).collect();
    let next = all(&next);
    let payload = lane.encode(role, &[(0, &shape, 7, &next)]);
    (lane, payload, next)
}

#[test]
fn every_truncation_is_an_error() {
    for role in [Role::Key, Role::Link, Role::Leaf] {
        let (mut lane, payload, _) = victim(role);
        for length in 0..payload.len() {
            lane.decode(&payload[..length]).unwrap_err();
        }
        lane.decode(&payload).unwrap();
    }
}

#[test]
fn no_flipped_bit_reads_as_other_values() {
    for role in [Role::Key, Role::Link, Role::Leaf] {
        let (_, payload, expected) = victim(role);
        for bit in 0..payload.len() * 8 {
            let (mut lane, mut damaged, _) = victim(role);
            damaged[bit / 8] ^= 1 << (bit % 8);
            // A few bits of a zstd header have no influence on what comes out.
            if let Ok(frame) = lane.decode(&damaged) {
                let [Entry::Columns(scrape)] = &*frame.entries else {
                    panic!("bit {bit}: {frame:?}");
                };
                same(&scrape.column, &expected, &scrape.shape);
                assert_eq!(scrape.time_ms, 7, "bit {bit}");
            }
        }
    }
}

/// Puts the container's check right, so that only the values' own is left.
fn resealed(mut payload: Vec<u8>, coded: usize) -> Vec<u8> {
    // The fixture's records are too short to be compressed, so sections are as they are written.
    let (place, sections) = crate::wire::frame::open(&payload).unwrap();
    let mut parts = crate::wire::frame::Parts {
        records: sections.records,
        texts: sections.texts.to_vec(),
        coded: sections.coded,
        raw: sections.raw,
    };
    let length = parts.coded.len();
    match parts.coded.get_mut(coded) {
        Some(byte) => *byte ^= 0x55,
        None => parts.raw[coded - length] ^= 0x55,
    }
    payload.clear();
    payload.extend_from_slice(&crate::wire::frame::seal(&place, &parts));
    payload
}

#[test]
fn values_that_went_astray_are_noticed() {
    let (_, payload, _) = victim(Role::Link);
    let (_, sections) = crate::wire::frame::open(&payload).unwrap();
    for at in 0..sections.coded.len() + sections.raw.len() {
        let (mut lane, payload, _) = victim(Role::Link);
        let damaged = resealed(payload.clone(), at);
        let error = lane.decode(&damaged).unwrap_err();
        assert!(
            matches!(error, DecodeError::Values | DecodeError::Truncated),
            "{error}"
        );
        // It left the state as it was.
        lane.decode(&payload).unwrap();
    }
}

#[test]
fn a_reader_with_another_base_notices() {
    let mut lane = Lane::new();
    let shape = lane.shape(&body(&[1.0, 2.0]));
    let key = lane.encode(Role::Key, &[(0, &shape, 0, &all(&[5.0, 6.0]))]);
    let mut twin = Lane::new();
    let other = twin.encode(Role::Key, &[(0, &shape, 0, &all(&[5.0, 7.0]))]);
    let link = lane.encode(Role::Link, &[(0, &shape, 0, &all(&[8.0, 9.0]))]);
    lane.decode(&other).unwrap();
    assert_eq!(lane.decode(&link).unwrap_err(), DecodeError::Values);
    drop(key);
}

fn any_value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        4 => (0..1000_i32).prop_map(|value| Some(f64::from(value))),
        2 => (any::<i32>(), 0..9_i32).prop_map(|(value, scale)| {
            Some(f64::from(value) / 10_f64.powi(scale))
        }),
        2 => any::<u64>().prop_map(|bits| Some(f64::from_bits(bits))),
        1 => (-1_000_000_i32..1_000_000).prop_map(|value| Some(f64::from(value) * 1e9)),
        1 => Just(None),
    ]
}

/// Series with histograms, summaries and plain ones.
fn any_page() -> impl Strategy<Value = String> {
    let part = (0..4_u8, 1..6_usize);
    proptest::collection::vec(part, 1..8).prop_map(|parts| {
        let mut body = String::new();
        for (at, (kind, count)) in parts.into_iter().enumerate() {
            if kind == 0 {
                writeln!(body, "# TYPE h{at} histogram").unwrap();
                for le in 0..count {
                    writeln!(body, "h{at}_bucket{{le=\"{le}\"}} 1").unwrap();
                }
                writeln!(body, "h{at}_bucket{{le=\"+Inf\"}} 1").unwrap();
                writeln!(body, "h{at}_sum 1\nh{at}_count 1").unwrap();
            } else {
                for n in 0..count {
                    let time = if kind == 1 { " 1700000000000" } else { "" };
                    writeln!(body, "g{at}{{n=\"{n}\"}} 1{time}").unwrap();
                }
            }
        }
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn reads_what_it_writes(
        body in any_page(),
        turns in proptest::collection::vec(
            (0..8_u8, proptest::collection::vec((any_value(), any::<i32>()), 50)),
            1..12,
        ),
    ) {
        let mut lane = Lane::new();
        let shape = lane.shape(&body);
        let mut previous: Option<Column> = None;
        for (kind, values) in turns {
            let mut column = Column::default();
            column.clear(shape.page().len(), shape.page().has_times());
            for at in 0..column.len() {
                let (value, time) = values[at % values.len()];
                // Half of the values stay what they were.
                let kept = previous.as_ref().filter(|_| time % 2 == 0);
                let value = value.map_or(Value::NONE, Value::new);
                column.set(at, kept.map_or(value, |previous| previous.get(at)));
                column.set_time(at, i64::from(time / 1000) * 15_000);
            }
            let role = match kind {
                0 => Role::Key,
                1..=3 => Role::Leaf,
                _ => Role::Link,
            };
            lane.carry(role, &[(0, &shape, 1, &column), (1, &shape, 2, &column)]);
            previous = Some(column);
        }
    }

    #[test]
    fn takes_any_bytes_without_panic(
        coded in proptest::collection::vec(any::<u8>(), 0..200),
        raw in proptest::collection::vec(any::<u8>(), 0..50),
        records in proptest::collection::vec(any::<u8>(), 0..60),
        mode in 0..4_u8,
        is_random: bool,
    ) {
        let (mut lane, payload, _) = victim(Role::Link);
        let (place, sections) = crate::wire::frame::open(&payload).unwrap();
        let mut own = sections.records;
        // Count, kind and time come before the record's flags.
        own[3] = mode;
        let parts = crate::wire::frame::Parts {
            records: if is_random { records } else { own },
            texts: Vec::new(),
            coded,
            raw,
        };
        prop_assert!(lane.decode(&crate::wire::frame::seal(&place, &parts)).is_err());
        lane.decode(&payload).unwrap();
    }
}
