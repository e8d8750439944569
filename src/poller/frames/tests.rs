//! What a lane puts out for given records, read as a receiver does.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::{Frames, Limits, Settings};
use crate::model::{FailureReason, Format, Labels, Outcome, Text};
use crate::scrape::{self, Shapes};
use crate::spool::{Entry, Kind};
use crate::wire::{
    self, Body, Column, Columns, LaneDecoder, Misfit, Record, Scrape, Shape, ShapeStore, match_body,
};

const MAX_AGE: Duration = Duration::from_mins(10);

/// A lane and the targets before it.
pub(super) struct Lab {
    frames: Frames,
    limits: Limits,
    pub(super) shapes: Shapes,
    pub(super) known: HashMap<String, Arc<Shape>>,
}

/// A scrape as it arrives: target, time, and its text or why it failed.
type Arrived = (String, i64, Result<String, FailureReason>);

/// A receiver of the lane.
#[derive(Default)]
struct Reader {
    store: ShapeStore,
    decoder: LaneDecoder,
    number: Option<u64>,
    /// Parts of a scrape that is not whole yet.
    parts: Vec<Arrived>,
}

impl Lab {
    pub(super) fn new(is_chained: bool) -> Self {
        let shapes = Shapes::new(scrape::Metrics::default());
        let settings = Settings {
            lane: 3,
            epoch: 1,
            stagger: 255,
            is_chained,
            shapes: shapes.clone(),
        };
        let limits = Limits {
            payload_max: 1 << 20,
            max_age: MAX_AGE,
            now_ms: 0,
        };
        Self {
            frames: Frames::new(settings, limits),
            limits,
            shapes,
            known: HashMap::new(),
        }
    }

    /// Takes a scrape of values.
    pub(super) fn scrape(&mut self, instance: &str, body: &str) -> Record {
        self.scrape_as(instance, body, Format::Text)
    }

    fn scrape_as(&mut self, instance: &str, body: &str, format: Format) -> Record {
        let target = Arc::new(Labels::of_target("node", instance));
        let mut column = Column::default();
        let known = self.known.get(instance);
        let shape = match known.map(|known| match_body(known.page(), body.as_bytes(), &mut column))
        {
            Some(Ok(_)) => Arc::clone(&self.known[instance]),
            Some(Err(Misfit::Changed(_))) => {
                let extended = self.known[instance].extend(body.as_bytes()).unwrap();
                self.shapes.keep(extended).unwrap()
            }
            _ => {
                let built = Shape::build(Arc::clone(&target), body.as_bytes(), format);
                self.shapes.keep(built.unwrap()).unwrap()
            }
        };
        match_body(shape.page(), body.as_bytes(), &mut column).unwrap();
        self.known.insert(instance.to_owned(), Arc::clone(&shape));
        record(target, Body::Columns(Columns { shape, column }))
    }

    pub(super) fn write(&mut self, records: Vec<Record>) -> Vec<Entry> {
        let entries = self.frames.write(records, self.limits);
        for entry in &entries {
            assert!(entry.payload.len() <= self.limits.payload_max);
        }
        entries
    }

    /// Writes one frame with a scrape of each target.
    fn round(&mut self, targets: usize, value: usize) -> Vec<Entry> {
        let scrapes = (0..targets).map(|n| {
            let body = format!("# TYPE a counter\na {value}\nb{{x=\"{n}\"}} 7\n");
            self.scrape(&format!("host{n}"), &body)
        });
        let records = scrapes.collect();
        self.write(records)
    }
}

fn record(target: Arc<Labels>, body: Body) -> Record {
    let duration = Duration::from_millis(5);
    Record::Scrape(Scrape {
        target,
        time_ms: 1_000,
        outcome: Outcome::Exposed { body, duration },
    })
}

fn text(instance: &str, text: &str) -> Record {
    let body = Text {
        text: text.to_owned().into(),
        format: Format::Text,
    };
    record(
        Arc::new(Labels::of_target("node", instance)),
        Body::Text(body),
    )
}

impl Reader {
    /// Reads messages and checks that their places are without a gap.
    #[track_caller]
    fn read(&mut self, entries: &[Entry]) -> Vec<Arrived> {
        self.try_read(entries).unwrap()
    }

    #[track_caller]
    fn try_read(&mut self, entries: &[Entry]) -> Result<Vec<Arrived>, wire::DecodeError> {
        let mut arrived = Vec::new();
        for entry in entries {
            if let Kind::Shape { .. } = entry.kind {
                self.store.read(&entry.payload).unwrap();
                continue;
            }
            let frame = self.decoder.decode(&entry.payload, &self.store)?;
            assert_eq!(frame.header.is_key(), entry.kind == Kind::Key);
            assert_eq!(frame.header.number, entry.number);
            assert!(self.number.is_none_or(|number| entry.number == number + 1));
            self.number = Some(entry.number);
            let before = arrived.len();
            self.take(frame.entries, &mut arrived);
            assert_eq!((arrived.len() - before) as u64, entry.scrapes);
        }
        Ok(arrived)
    }

    fn take(&mut self, entries: Vec<wire::Entry>, arrived: &mut Vec<Arrived>) {
        let mut part = None;
        for entry in entries {
            let scrape = match entry {
                wire::Entry::Part(next) => {
                    part = Some(next);
                    continue;
                }
                wire::Entry::Record(record) => match record {
                    crate::model::Record::Scrape(scrape) => {
                        let outcome = match scrape.outcome {
                            Outcome::Exposed { body, .. } => {
                                Ok(String::from_utf8(body.text.to_vec()).unwrap())
                            }
                            Outcome::Failed { reason, .. } => Err(reason),
                            Outcome::Gone | Outcome::Noted(_) => Ok("gone".to_owned()),
                        };
                        (scrape.target.instance().to_owned(), scrape.time_ms, outcome)
                    }
                    crate::model::Record::Heartbeat(_) => continue,
                },
                wire::Entry::Columns(scrape) => {
                    let mut text = Vec::new();
                    scrape.shape.write_text(&scrape.column, &mut text);
                    let instance = scrape.shape.target().instance().to_owned();
                    (
                        instance,
                        scrape.time_ms,
                        Ok(String::from_utf8(text).unwrap()),
                    )
                }
            };
            let Some(part) = part.take() else {
                self.parts.clear();
                arrived.push(scrape);
                continue;
            };
            if part.index == 0 {
                self.parts.clear();
            }
            assert_eq!(self.parts.len(), part.index as usize);
            self.parts.push(scrape);
            if part.index + 1 == part.count {
                let texts = self.parts.drain(..).map(|part| part.2.unwrap());
                let (instance, time_ms) = (String::from("parts"), 0);
                arrived.push((instance, time_ms, Ok(texts.collect())));
            }
        }
    }
}

pub(super) fn kinds(entries: &[Entry]) -> String {
    let kind = |entry: &Entry| match entry.kind {
        Kind::Shape { .. } => 's',
        Kind::Key => 'k',
        Kind::Delta => 'd',
    };
    entries.iter().map(kind).collect()
}

#[track_caller]
fn check_values(arrived: &[Arrived], targets: usize, value: usize) {
    assert_eq!(arrived.len(), targets);
    for (n, (instance, time_ms, text)) in arrived.iter().enumerate() {
        let expected = format!("# TYPE a counter\na {value}\nb{{x=\"{n}\"}} 7\n");
        assert_eq!((&**instance, *time_ms), (&*format!("host{n}"), 1_000));
        assert_eq!(text.as_ref().unwrap(), &expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_ends_after_its_scrapes_or_its_time() {
    let mut lab = Lab::new(true);
    let mut reader = Reader::default();
    let mut sequence = String::new();
    for value in 0..41 {
        let entries = lab.round(3, value);
        check_values(&reader.read(&entries), 3, value);
        sequence.push_str(&kinds(&entries));
    }
    let group = format!("k{}", "d".repeat(19));
    assert_eq!(sequence, format!("s{group}{group}k"));
    tokio::time::advance(Duration::from_secs(299)).await;
    assert_eq!(kinds(&lab.round(3, 50)), "d");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(kinds(&lab.round(3, 51)), "k");
}

#[tokio::test(start_paused = true)]
async fn the_first_groups_of_lanes_end_at_different_times() {
    let mut lab = Lab::new(true);
    let settings = Settings {
        lane: 4,
        epoch: 1,
        stagger: 60,
        is_chained: true,
        shapes: lab.shapes.clone(),
    };
    lab.frames = Frames::new(settings, lab.limits);
    let sequence: String = (0..27).map(|value| kinds(&lab.round(1, value))).collect();
    assert_eq!(sequence, format!("skddddk{}kd", "d".repeat(19)));
}

#[tokio::test(start_paused = true)]
async fn without_a_chain_a_lost_frame_takes_no_other_with_it() {
    let mut lab = Lab::new(false);
    let mut reader = Reader::default();
    reader.read(&lab.round(3, 0));
    for value in 1..20 {
        let entries = lab.round(3, value);
        assert_eq!(kinds(&entries), "d");
        if value % 3 == 0 {
            reader.number = None;
            check_values(&reader.read(&entries), 3, value);
        }
    }
    // A target that comes later is a base for its own frames.
    let mut lab = Lab::new(false);
    let mut reader = Reader::default();
    reader.read(&lab.round(3, 0));
    reader.read(&lab.round(4, 1));
    drop(lab.round(4, 2));
    reader.number = None;
    check_values(&reader.read(&lab.round(4, 3)), 4, 3);
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_all_that_is_needed_comes_again() {
    let mut lab = Lab::new(true);
    lab.round(3, 0);
    lab.round(3, 1);
    let mut entries = lab.frames.start_anew(lab.limits);
    entries.extend(lab.round(3, 2));
    assert_eq!(kinds(&entries), "sk");
    check_values(&Reader::default().read(&entries), 3, 2);
    let entries = lab.round(3, 3);
    assert_eq!(kinds(&entries), "d");
}

#[tokio::test(start_paused = true)]
async fn a_shape_is_announced_once_and_before_the_frame_that_needs_it() {
    let mut lab = Lab::new(true);
    let mut reader = Reader::default();
    let first = lab.scrape("one", "a 1\nb 2\n");
    reader.read(&lab.write(vec![first]));
    let changed = lab.scrape("one", "a 1\nb 2\nc 3\n");
    let other = lab.scrape("two", "a 1\nb 2\nc 4\n");
    let entries = lab.write(vec![changed, other]);
    assert_eq!(kinds(&entries), "sd");
    let arrived = reader.read(&entries);
    assert_eq!(arrived[0].2.as_deref(), Ok("a 1\nb 2\nc 3\n"));
    assert_eq!(arrived[1].2.as_deref(), Ok("a 1\nb 2\nc 4\n"));
    let again = lab.scrape("one", "a 1\nc 5\n");
    let entries = lab.write(vec![again]);
    assert_eq!(kinds(&entries), "d");
    assert_eq!(reader.read(&entries)[0].2.as_deref(), Ok("a 1\nc 5\n"));
    let nothing = lab.scrape("three", "");
    assert_eq!(
        reader.read(&lab.write(vec![nothing]))[0].2.as_deref(),
        Ok("")
    );
}

#[tokio::test(start_paused = true)]
async fn all_shapes_in_use_are_in_the_stream_at_any_moment() {
    let mut lab = Lab::new(true);
    let mut stream: Vec<(usize, Entry)> = Vec::new();
    let mut bytes = Vec::new();
    for second in 0..3000_usize {
        let mut entries = lab.frames.repeat(lab.limits);
        if second.is_multiple_of(15) {
            entries.extend(lab.round(40, second));
        }
        let shapes = entries
            .iter()
            .filter(|entry| kinds(&[(*entry).clone()]) == "s");
        bytes.extend(shapes.map(|entry| entry.payload.len()));
        stream.extend(entries.into_iter().map(|entry| (second, entry)));
        stream.retain(|(stored, _)| stored + 600 > second);
        if second % 100 == 99 {
            let mut store = ShapeStore::default();
            for (_, entry) in &stream {
                if let Kind::Shape { .. } = entry.kind {
                    // Patches of what the stream has no more are no use to anybody.
                    drop(store.read(&entry.payload));
                }
            }
            for shape in lab.known.values() {
                assert!(store.get(shape.id()).is_some(), "second {second}");
            }
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let rounds = bytes.len();
    assert!(
        // In each round 40 shapes in slices of 3, and one message before the first.
        (3000 / 570 * 14..=(3000 / 552 + 1) * 14 + 1).contains(&rounds),
        "{rounds} messages"
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_away_is_not_announced_again() {
    let mut lab = Lab::new(true);
    lab.round(2, 0);
    let mut messages = 0;
    for _second in 0..3000 {
        messages += lab.frames.repeat(lab.limits).len();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!((1..=6).contains(&messages), "{messages}");
    assert_eq!(kinds(&lab.round(2, 1)), "sk");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_large_is_written_as_several() {
    let mut lab = Lab::new(true);
    lab.limits.payload_max = 2000;
    let mut reader = Reader::default();
    let body = |n: u64| {
        let line = |k: u64| {
            format!(
                "a{{k=\"{k}\"}} {}\n",
                (n * 31 + k).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12
            )
        };
        (0..20).map(line).collect::<String>()
    };
    for round in 0..3 {
        let scrapes: Vec<_> = (0..60)
            .map(|n| lab.scrape(&format!("host{n}"), &body(round * 100 + n)))
            .collect();
        let entries = lab.write(scrapes);
        let frames = entries.iter().filter(|entry| entry.scrapes > 0).count();
        // The first values are those of the shapes.
        let expected = if round == 0 { 1..10 } else { 3..40 };
        assert!(expected.contains(&frames), "{frames} frames");
        let arrived = reader.read(&entries);
        assert_eq!(arrived.len(), 60);
        for (n, (_, _, text)) in arrived.iter().enumerate() {
            assert_eq!(text.as_ref().unwrap(), &body(round * 100 + n as u64));
        }
    }
}

/// A page that does not fit into a small message, in families of some series.
fn large(families: usize, seed: u64) -> String {
    let mut page = String::new();
    for family in 0..families {
        writeln!(page, "# TYPE m{family}_{:x} histogram", family * 7919).unwrap();
        for le in 0..10 {
            let random = (seed + 1) * (family * 10 + le) as u64;
            let value = random.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let name = format!("m{family}_{:x}_bucket", family * 7919);
            writeln!(page, "{name}{{le=\"{le}\"}} {value}").unwrap();
        }
    }
    page
}

#[track_caller]
fn check_split(lab: &mut Lab, make: impl Fn(&mut Lab, &str) -> Record) {
    let mut reader = Reader::default();
    for seed in 0..4 {
        let page = large(300, seed);
        let big = make(lab, &page);
        let small = lab.scrape("small", "a 1\n");
        let entries = lab.write(vec![small, big]);
        let parts = entries.iter().filter(|entry| entry.payload.len() > 1000);
        assert!(parts.count() >= 2);
        // The first values are those of the shapes, so the second ones may be split further.
        if seed > 1 {
            assert!(!kinds(&entries).contains(['k', 's']), "{}", kinds(&entries));
        }
        let arrived = reader.read(&entries);
        assert_eq!(arrived.len(), 2);
        assert_eq!(arrived[0].2.as_deref(), Ok("a 1\n"));
        assert!(arrived[1].2.as_deref() == Ok(&page), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scrape_of_values_that_is_too_large_is_split() {
    let mut lab = Lab::new(true);
    lab.limits.payload_max = 4000;
    check_split(&mut lab, |lab, page| lab.scrape("big", page));
    // A raised limit is tried at once.
    lab.limits.payload_max = 1 << 20;
    let big = lab.scrape("big", &large(300, 9));
    let entries = lab.write(vec![big]);
    assert_eq!(kinds(&entries), "sd");
}

#[tokio::test(start_paused = true)]
async fn a_scrape_of_text_that_is_too_large_is_split() {
    let mut lab = Lab::new(true);
    lab.limits.payload_max = 8000;
    check_split(&mut lab, |_, page| text("big", page));
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_openmetrics_are_whole() {
    let mut lab = Lab::new(true);
    lab.limits.payload_max = 4000;
    let page = large(300, 1) + "# EOF\n";
    let big = lab.scrape_as("big", &page, Format::OpenMetrics);
    let entries = lab.write(vec![big]);
    let arrived = Reader::default().read(&entries);
    let text = arrived[0].2.as_ref().unwrap();
    assert!(text.matches("# EOF\n").count() > 2);
    assert_eq!(text.replace("# EOF\n", "") + "# EOF\n", page);
}

#[tokio::test(start_paused = true)]
async fn a_split_target_may_change_and_shrink() {
    let mut lab = Lab::new(true);
    lab.limits.payload_max = 4000;
    let mut reader = Reader::default();
    let series = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    for families in [300, 310, 200, 0, 300] {
        let page = large(families, 3) + "x 1\n";
        let big = lab.scrape("big", &page);
        let arrived = reader.read(&lab.write(vec![big]));
        assert_eq!(arrived.len(), 1);
        let read = series(arrived[0].2.as_ref().unwrap());
        assert_eq!(read, series(&page), "{families} families");
    }
    // A page without most of it is a shape of its own, which fits.
    let little = lab.scrape("big", "y 1\n");
    let arrived = reader.read(&lab.write(vec![little]));
    assert_eq!(
        (&*arrived[0].0, arrived[0].2.as_deref()),
        ("big", Ok("y 1\n"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_family_that_is_too_large_alone_arrives_in_parts() {
    let mut lab = Lab::new(true);
    lab.limits.payload_max = 4000;
    let mut reader = Reader::default();
    let page = format!("# TYPE a gauge\n{}b 1\n", one_family("a"));
    for is_text in [false, true, false] {
        let big = if is_text {
            text("big", &page)
        } else {
            lab.scrape("big", &page)
        };
        let arrived = reader.read(&lab.write(vec![big]));
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].2.as_deref(), Ok(&*page));
    }
}

/// A family of 4,000 series with labels that pack badly.
fn one_family(name: &str) -> String {
    let random = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    let mut page = String::new();
    for n in 0..4000 {
        let label = random(n).wrapping_mul(random(n + 7));
        writeln!(page, "{name}{{n=\"{label:x}\"}} {n}").unwrap();
    }
    page
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_parted_and_is_too_large_fails_without_harm_to_others() {
    let mut lab = Lab::new(true);
    lab.limits.payload_max = 4000;
    let mut reader = Reader::default();
    // Where one histogram ends and the next begins, no name tells.
    let page = one_family("a_bucket");
    for round in 0..3 {
        for is_text in [false, true] {
            let big = if is_text {
                text("big", &page)
            } else {
                lab.scrape("big", &page)
            };
            let small = lab.scrape("small", "a 1\n");
            let entries = lab.write(vec![big, small]);
            let arrived = reader.read(&entries);
            assert_eq!(arrived.len(), 2);
            assert_eq!(arrived[0].2, Err(FailureReason::PayloadTooLarge));
            assert_eq!(arrived[1].2.as_deref(), Ok("a 1\n"));
            let is_known = round > 0 || is_text;
            assert_eq!(kinds(&entries) == "d", is_known, "{}", kinds(&entries));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_is_forgotten() {
    let mut lab = Lab::new(true);
    let mut reader = Reader::default();
    reader.read(&lab.round(2, 0));
    let gone = Record::Scrape(Scrape {
        target: Arc::new(Labels::of_target("node", "host1")),
        time_ms: 2_000,
        outcome: Outcome::Gone,
    });
    assert_eq!(reader.read(&lab.write(vec![gone])).len(), 1);
    check_values(&reader.read(&lab.round(2, 1)), 2, 1);
}

#[tokio::test(start_paused = true)]
async fn large_texts_make_no_key_frames() {
    let mut lab = Lab::new(true);
    lab.limits.payload_max = 40_000;
    let mut reader = Reader::default();
    for seed in 0..6 {
        let mut records: Vec<Record> = (0..6)
            .map(|n| text(&format!("big{n}"), &large(200, seed * 10 + n)))
            .collect();
        records.push(lab.scrape("small", "a 1\n"));
        let entries = lab.write(records);
        assert_eq!(kinds(&entries).contains('k'), seed == 0);
        assert_eq!(reader.read(&entries).len(), 7);
    }
}
