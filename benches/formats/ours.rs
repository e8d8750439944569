//! What we send: values by their shapes, many targets in a frame, and the shapes themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_streams::exposition::{Entry as Line, Parser};
use prometheus_streams::model::{Format as Text, Labels};
use prometheus_streams::wire::{
    Column, ColumnScrape, Entry, LaneDecoder, LaneEncoder, Misfit, Role, Shape, ShapeEntry,
    ShapeId, ShapeStore, ShapeWriter, match_body,
};

use crate::fleet::{Fleet, GROUP, Scrape, repeat};
use crate::measure::{Cost, Format, timed};
use crate::peers::request;
use crate::proto::{LabelSet, SAMPLE_LEN, WriteRequest, put_head, put_labels, sample_at};

/// Targets of one kind in a lane: a lane of 250 targets with seven kinds.
///
/// The first one's shape is announced as a whole, the second as its sibling, the others as
/// siblings of both.
const KIND: usize = 36;

/// A message: a shape's or a frame's.
pub(crate) enum Message {
    Shapes(Vec<u8>),
    Frame(Vec<u8>),
}

/// A lane as the poller keeps it.
pub(crate) struct Sender {
    lane: LaneEncoder,
    /// By target.
    shapes: Vec<Option<Arc<Shape>>>,
    /// Holds equal pages once.
    store: ShapeStore,
    column: Column,
    /// Time that changes of shapes took since the warm-up, in nanoseconds.
    changing: f64,
    /// How many there were.
    changes: usize,
}

impl Sender {
    pub(crate) fn new(targets: usize) -> Self {
        Self {
            lane: LaneEncoder::new(1_700_000_000_000),
            shapes: vec![None; targets],
            store: ShapeStore::default(),
            column: Column::default(),
            changing: 0.0,
            changes: 0,
        }
    }

    /// Encodes the scrapes of a frame; `labels` are those of each target of the lane.
    pub(crate) fn send<'s>(
        &mut self,
        role: Role,
        labels: &[Arc<Labels>],
        scrapes: impl Iterator<Item = &'s Scrape>,
        out: &mut Vec<Message>,
    ) {
        // Taken out, since a change of a shape needs all of `self`.
        let mut lane = std::mem::replace(&mut self.lane, LaneEncoder::new(0));
        let mut frame = lane.begin(role);
        for scrape in scrapes {
            let fits = match &self.shapes[scrape.target] {
                None => Err(None),
                Some(shape) => match match_body(shape.page(), &scrape.body, &mut self.column) {
                    Ok(_) => Ok(Arc::clone(shape)),
                    Err(Misfit::Changed(_)) => Err(Some(Arc::clone(shape))),
                    Err(misfit) => panic!("{misfit}"),
                },
            };
            let shape = fits.unwrap_or_else(|base| {
                let target = Arc::clone(&labels[scrape.target]);
                let (time, next) = timed(|| self.change(target, base.as_deref(), scrape, out));
                self.changing += time;
                self.changes += 1;
                self.shapes[scrape.target] = Some(Arc::clone(&next));
                next
            });
            let duration = Duration::from_micros(8_000 + scrape.time_ms as u64 * 7919 % 3000);
            let time = (scrape.time_ms, duration);
            frame.columns(scrape.target as u32, &shape, time, &self.column);
        }
        out.push(Message::Frame(frame.finish().1));
        self.lane = lane;
    }

    /// Publishes the shape of a body that the last one does not fit, and reads the values by it.
    fn change(
        &mut self,
        target: Arc<Labels>,
        base: Option<&Shape>,
        scrape: &Scrape,
        out: &mut Vec<Message>,
    ) -> Arc<Shape> {
        let mut writer = ShapeWriter::new();
        let next = match base {
            None => Shape::build(target, &scrape.body, Text::Text).unwrap(),
            Some(base) => base.extend(&scrape.body).unwrap(),
        };
        let next = self.store.insert(next).unwrap();
        match base {
            None => writer.whole(&next),
            Some(base) => drop(writer.patch(&next, base)),
        }
        out.push(Message::Shapes(writer.finish()));
        match_body(next.page(), &scrape.body, &mut self.column).unwrap();
        next
    }

    /// Returns the shapes of some targets.
    pub(crate) fn shapes(&self, targets: std::ops::Range<usize>) -> Vec<Arc<Shape>> {
        self.shapes[targets].iter().flatten().cloned().collect()
    }
}

/// A lane as the receiver keeps it: the labels of each shape's series are encoded once.
#[derive(Default)]
struct Receiver {
    lane: LaneDecoder,
    store: ShapeStore,
    blocks: HashMap<ShapeId, Blocks>,
    samples: usize,
}

/// A shape's series, one behind the other: tag, length, which the labels settle since all times of
/// today are equally long, labels, and room for a sample.
struct Blocks {
    blanks: Vec<u8>,
    ends: Vec<u32>,
}

/// Bytes for series that are new in a shape.
const ROOM: usize = 4096;

impl Blocks {
    /// Encodes the series of a shape; those that the target's last one has too are copied.
    fn new(shape: &Shape, last: Option<(&Shape, &Self)>) -> Self {
        let last = last.filter(|(last, _)| last.target() == shape.target());
        let mut blocks = Self {
            blanks: Vec::with_capacity(last.map_or(0, |(_, last)| last.blanks.len() + ROOM)),
            ends: Vec::with_capacity(shape.page().len()),
        };
        let Some((last, known)) = last else {
            let keys: Vec<_> = shape.page().keys().collect();
            blocks.encode(shape, &keys);
            return blocks;
        };
        let keys: Vec<_> = last.page().keys().collect();
        let mut expected = 0;
        let mut run = 0..0;
        for key in shape.page().keys() {
            if run.end == expected && keys.get(expected) == Some(&key) {
                run.end += 1;
                expected += 1;
                continue;
            }
            blocks.copy(known, run.clone());
            let mut near = keys.iter().skip(expected).take(64);
            if let Some(ahead) = near.position(|known| *known == key) {
                let at = expected + ahead;
                run = at..at + 1;
                expected = at + 1;
            } else {
                run = expected..expected;
                blocks.encode(shape, &[key]);
            }
        }
        blocks.copy(known, run);
        blocks
    }

    /// Takes over series of another shape.
    fn copy(&mut self, known: &Self, run: std::ops::Range<usize>) {
        let (from, to) = (known.start(run.start), known.start(run.end));
        let base = self.blanks.len();
        self.blanks.extend_from_slice(&known.blanks[from..to]);
        self.ends.extend(
            known.ends[run]
                .iter()
                .map(|&end| (end as usize - from + base) as u32),
        );
    }

    fn encode(&mut self, shape: &Shape, keys: &[&str]) {
        let mut text = Vec::new();
        // Every series has a line in it, also those that the template lacks.
        for key in keys {
            text.extend_from_slice(key.as_bytes());
            text.extend_from_slice(b" 0\n");
        }
        let mut encoded = Vec::new();
        let mut parser = Parser::new(&text, Text::Text);
        while let Some(line) = parser.next() {
            let Line::Sample(sample) = line.unwrap() else {
                continue;
            };
            let name = [("__name__", sample.name)];
            let own = sample.labels.iter();
            let own = own.map(|label| (&*label.name, &*label.value));
            let pairs = name.into_iter().chain(own).chain(shape.target().iter());
            let mut labels: Vec<(Box<str>, Box<str>)> = pairs
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
            labels.sort();
            let labels: LabelSet = labels.into();
            encoded.clear();
            put_labels(&mut encoded, &labels);
            put_head(&mut self.blanks, &encoded);
            self.blanks.extend_from_slice(&sample_at(1 << 40));
            self.ends.push(self.blanks.len() as u32);
        }
    }

    /// Returns where a series begins.
    fn start(&self, series: usize) -> usize {
        series
            .checked_sub(1)
            .map_or(0, |above| self.ends[above] as usize)
    }

    /// Writes them where none has times of its own: as many at once as stand side by side.
    fn write_usual(&self, scrape: &ColumnScrape, out: &mut Vec<u8>) -> usize {
        const TAIL: usize = SAMPLE_LEN - 3;
        let time = &sample_at(scrape.time_ms)[11..];
        let mut samples = 0;
        out.reserve(self.blanks.len());
        for run in scrape.column.runs() {
            samples += run.len();
            let (from, to) = (self.start(run.start), self.start(run.end));
            let start = out.len();
            out.extend_from_slice(&self.blanks[from..to]);
            let series = &mut out[start..];
            let mut ends = self.ends[run.clone()].iter();
            scrape.column.each_bits(run, |bits| {
                let end = ends.next().map_or(0, |end| *end as usize);
                let series = series.get_mut(..end - from);
                if let Some(tail) = series.and_then(<[u8]>::last_chunk_mut::<TAIL>) {
                    tail[..8].copy_from_slice(&bits.to_le_bytes());
                    tail[8..].copy_from_slice(time);
                }
            });
        }
        samples
    }

    /// Writes a request of all series that have a value.
    fn write(&self, scrape: &ColumnScrape, out: &mut Vec<u8>) -> usize {
        let page = scrape.shape.page();
        if !page.has_times() {
            return self.write_usual(scrape, out);
        }
        let (mut start, mut samples) = (0, 0);
        out.reserve(self.blanks.len());
        let mut sample = sample_at(scrape.time_ms);
        for ((at, value), &end) in scrape.column.iter().enumerate().zip(&self.ends) {
            let head = &self.blanks[start as usize..end as usize - SAMPLE_LEN];
            start = end;
            let Some(value) = value.get() else {
                continue;
            };
            if page.has_times() {
                let own = scrape.column.time(at).filter(|_| page.has_time(at));
                sample = sample_at(own.unwrap_or(scrape.time_ms));
            }
            sample[3..11].copy_from_slice(&value.to_bits().to_le_bytes());
            out.extend_from_slice(head);
            out.extend_from_slice(&sample);
            samples += 1;
        }
        samples
    }
}

impl Receiver {
    /// Decodes a message and hands out the request of each scrape.
    fn receive(
        &mut self,
        message: &Message,
        out: &mut Vec<u8>,
        mut put: impl FnMut(u32, i64, &[u8]),
    ) {
        let payload = match message {
            Message::Frame(payload) => payload,
            Message::Shapes(payload) => {
                self.store.read(payload).unwrap();
                for ShapeEntry { id, base } in ShapeEntry::list(payload).unwrap() {
                    if self.blocks.contains_key(&id) {
                        continue;
                    }
                    // A target moves on from its last shape.
                    let last = base.and_then(|base| Some((base, self.blocks.remove(&base)?)));
                    let last = last
                        .as_ref()
                        .and_then(|(base, blocks)| Some((&**self.store.get(*base)?, blocks)));
                    let blocks = Blocks::new(self.store.get(id).unwrap(), last);
                    self.blocks.insert(id, blocks);
                }
                return;
            }
        };
        for entry in self.lane.decode(payload, &self.store).unwrap().entries {
            let Entry::Columns(scrape) = entry else {
                panic!("{entry:?}");
            };
            out.clear();
            let blocks = &self.blocks[&scrape.shape.id()];
            self.samples += blocks.write(&scrape, out);
            put(scrape.target, scrape.time_ms, out);
        }
    }
}

/// Sends and measures a fleet's scrapes; returns the messages of the warm-up and those counted.
fn send(role: Role, fleet: &Fleet) -> (f64, Sender, Vec<Message>, Vec<Message>) {
    let mut sender = Sender::new(fleet.targets.len());
    let (mut warm, mut counted) = (Vec::new(), Vec::new());
    let tick = |sender: &mut Sender, at: usize, scrapes: &[Scrape], out: &mut Vec<Message>| {
        let role = if at == 0 { Role::Key } else { role };
        sender.send(role, &fleet.targets, scrapes.iter(), out);
    };
    for (at, scrapes) in fleet.warm.iter().enumerate() {
        tick(&mut sender, at, scrapes, &mut warm);
    }
    (sender.changing, sender.changes) = (0.0, 0);
    let (encode, ()) = timed(|| {
        for (at, scrapes) in fleet.counted.iter().enumerate() {
            tick(&mut sender, at, scrapes, &mut counted);
        }
    });
    (encode, sender, warm, counted)
}

/// What announcing shapes takes: once for each target in a while, the first of a kind as a whole.
pub(crate) struct Announced {
    /// Bytes for one target.
    pub(crate) bytes: f64,
    /// Nanoseconds for one target.
    pub(crate) encode: f64,
}

pub(crate) fn announce(shapes: &[Arc<Shape>]) -> Announced {
    let [first, second, siblings @ ..] = shapes else {
        panic!("a fleet has several targets");
    };
    let (alone, message) = timed(|| {
        let mut writer = ShapeWriter::thorough();
        writer.whole(first);
        assert!(writer.sibling(second, first, None));
        writer.finish()
    });
    let mut writer = ShapeWriter::new();
    let (beside, ()) = timed(|| {
        for sibling in siblings {
            assert!(writer.sibling(sibling, first, Some(second)));
        }
    });
    let mean = |alone: f64, beside: f64| {
        (alone + beside / siblings.len() as f64 * (KIND - 2) as f64) / KIND as f64
    };
    Announced {
        bytes: mean(message.len() as f64, writer.len() as f64),
        encode: mean(alone, beside),
    }
}

/// Frames of all targets, and shapes.
pub(crate) struct Ours(pub(crate) Role);

impl Format for Ours {
    fn name(&self) -> String {
        let chain = match self.0 {
            Role::Leaf => "chain-free",
            Role::Key | Role::Link => "chained",
        };
        format!("**ours, {chain}**, shapes every 9 min; to a request")
    }

    fn run(&mut self, fleet: &Fleet) -> Cost {
        let (encode, sender, warm, counted) = send(self.0, fleet);
        let announced = announce(&sender.shapes(0..fleet.targets.len()));
        let mut receiver = Receiver::default();
        let mut body = Vec::new();
        for message in &warm {
            receiver.receive(message, &mut body, |_, _, _| {});
        }
        receiver.samples = 0;
        let (decode, ()) = timed(|| {
            for message in &counted {
                receiver.receive(message, &mut body, |_, _, _| {});
            }
        });
        assert_eq!(receiver.samples, fleet.samples);
        let bytes: usize = counted
            .iter()
            .map(|message| match message {
                Message::Shapes(payload) | Message::Frame(payload) => payload.len(),
            })
            .sum();
        let targets = fleet.targets.len() as f64;
        Cost {
            bytes: bytes as f64 + announced.bytes * targets * GROUP as f64 / repeat(),
            encode,
            decode,
        }
    }
}

/// Where the time of our encoder goes, in nanoseconds per sample: matching, coding,
/// shapes that change,
/// shapes that are announced anew; and how often a shape changes.
pub(crate) fn stages(fleet: &Fleet) -> [f64; 5] {
    let (encode, sender, ..) = send(Role::Link, fleet);
    let announced = announce(&sender.shapes(0..fleet.targets.len()));
    let mut column = Column::default();
    let (matching, ()) = timed(|| {
        for scrape in fleet.scrapes() {
            // A body from before the last change fits the last shape as well: what it lacks is
            // absent.
            let shape = sender.shapes[scrape.target].as_ref().unwrap();
            match_body(shape.page(), &scrape.body, &mut column).unwrap();
        }
    });
    let per_sample = |time: f64| time / fleet.samples as f64;
    [
        per_sample(matching),
        per_sample(encode - matching - sender.changing),
        per_sample(sender.changing),
        per_sample(announced.encode * fleet.targets.len() as f64 * GROUP as f64 / repeat()),
        sender.changes as f64,
    ]
}

/// Where the time of our decoder goes, in nanoseconds per sample: shapes, columns, requests.
pub(crate) fn decode_stages(fleet: &Fleet) -> [f64; 3] {
    let (_, _, warm, counted) = send(Role::Link, fleet);
    let mut receiver = Receiver::default();
    let mut body = Vec::new();
    for message in &warm {
        receiver.receive(message, &mut body, |_, _, _| {});
    }
    let (mut shapes, mut columns, mut requests) = (0.0, 0.0, 0.0);
    for message in &counted {
        let Message::Frame(payload) = message else {
            shapes += timed(|| receiver.receive(message, &mut body, |_, _, _| {})).0;
            continue;
        };
        let (time, frame) = timed(|| receiver.lane.decode(payload, &receiver.store).unwrap());
        columns += time;
        requests += timed(|| {
            for entry in &frame.entries {
                if let Entry::Columns(scrape) = entry {
                    body.clear();
                    receiver.blocks[&scrape.shape.id()].write(scrape, &mut body);
                }
            }
        })
        .0;
    }
    [shapes, columns, requests].map(|time| time / fleet.samples as f64)
}

/// Checks that the requests made of our messages are those that remote write would have sent.
pub(crate) fn check(fleet: &Fleet) {
    use prost::Message as _;

    let mut receiver = Receiver::default();
    let mut got = HashMap::new();
    let (_, _, warm, counted) = send(Role::Link, fleet);
    for message in warm.iter().chain(&counted) {
        receiver.receive(message, &mut Vec::new(), |target, time_ms, body| {
            got.insert((target, time_ms), WriteRequest::decode(body).unwrap());
        });
    }
    let sorted = |mut request: WriteRequest| {
        request.timeseries.sort_by(|one, other| {
            let labels = |series: &crate::proto::TimeSeries| {
                let labels = series.labels.iter();
                let pairs = labels.map(|label| (label.name.clone(), label.value.clone()));
                pairs.collect::<Vec<_>>()
            };
            labels(one).cmp(&labels(other))
        });
        // Equality of values that are NaN, by their bits.
        let series = request.timeseries.into_iter();
        let series = series.map(|series| {
            let samples = series.samples.iter();
            let samples = samples.map(|sample| (sample.value.to_bits(), sample.timestamp));
            (samples.collect::<Vec<_>>(), series.labels)
        });
        series.collect::<Vec<_>>()
    };
    for scrape in fleet.scrapes().step_by(GROUP / 4) {
        let ours = got.remove(&(scrape.target as u32, scrape.time_ms)).unwrap();
        assert!(
            sorted(ours) == sorted(request(fleet, scrape)),
            "{}",
            fleet.name
        );
    }
}
