//! The messages of a lane: which records stand in which frame, and what has to stand before it.
//!
//! In: records of the lane in their order. Out: frames and messages of shapes, in the order in
//! which they have to be published. It knows what the stream has of the lane and does no I/O.

mod announce;
mod item;
mod parts;
mod split;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod tests;

pub use announce::period as shapes_period;
pub(super) use item::Load;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, warn};

use crate::model::{FailureReason, Labels, Outcome, Tally};
use crate::scrape::Shapes;
use crate::spool::{Entry, Kind};
use crate::wire::{
    Body, DECODED_MAX, LANE_SERIES_MAX, LaneEncoder, Part, Record, Role, Scrape, Shape, ShapeId,
};

use announce::{Announcer, Wanted};
use item::{Item, PartOf, RECORDS_MAX, as_text, columns_of, duration_of, whole};
use parts::{Parted, Parts};

/// A key frame comes when a target has had so many scrapes since the last: what a receiver has to
/// read before it can decode the next, against a tenth more bytes.
const GROUP_SCRAPES: u32 = 20;

/// A key frame comes when the last is as old, so that slow targets do not make it wait.
const GROUP_TIME: Duration = Duration::from_secs(5 * 60);

/// A single scrape may be larger; what a reader would refuse is not sent.
const TEXTS_MAX: usize = DECODED_MAX - (1 << 20);

/// What texts are packed to, in 256 parts, before any was seen: to tell when a frame will be full.
const TEXT_SHARE: usize = 256 / 4;

/// Texts of a frame from which on they tell what others will be packed to.
const TEXT_BYTES_TELLING: usize = 16 << 10;

/// What a lane's messages are like.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The lane's number.
    pub(super) lane: u32,
    /// Start of the poller.
    pub(super) epoch: u64,
    /// What tells this lane from others, so that they do not write key frames together.
    pub(super) stagger: u8,
    /// Whether a frame is based on the one before it.
    pub(super) is_chained: bool,
    /// Where shapes are kept.
    pub(super) shapes: Shapes,
}

/// What messages may be like now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// The largest payload.
    pub(super) payload_max: usize,
    /// How long the stream keeps messages.
    pub(super) max_age: Duration,
    /// The time, milliseconds since the Unix epoch.
    pub(super) now_ms: i64,
}

/// The messages of a lane.
pub(super) struct Frames {
    settings: Settings,
    limits: Limits,
    encoder: LaneEncoder,
    /// The number of the next frame, and of the messages of shapes before it.
    number: u64,
    shape_messages: u32,
    announcer: Announcer,
    targets: HashMap<Arc<Labels>, Target>,
    tracks: HashMap<u32, Track>,
    numbers: u32,
    group: Group,
    /// What texts are packed to, in 256 parts.
    text_share: usize,
    /// Shapes that the frames to come need.
    wanted: Vec<Wanted>,
    out: Vec<Entry>,
}

/// A target of the lane.
#[derive(Default)]
struct Target {
    /// Its number, once it had columns.
    number: Option<u32>,
    /// How it is split, if it does not fit into a message.
    parts: Option<Parts>,
}

/// What is coded under a target number.
struct Track {
    shape: Arc<Shape>,
    /// When it was used last.
    used: Instant,
    /// The group in which its scrapes are counted.
    group: u64,
    scrapes: u32,
}

/// Frames from a key frame on.
struct Group {
    id: u64,
    began: Instant,
    /// The most scrapes of a target.
    scrapes: u32,
    /// When it has to end.
    scrapes_max: u32,
    time_max: Duration,
}

/// A frame that the server would not take.
struct TooLarge {
    records: usize,
    bytes: usize,
}

impl Frames {
    pub(super) fn new(settings: Settings, limits: Limits) -> Self {
        let encoder = LaneEncoder::new(settings.epoch);
        let announcer = Announcer::new(limits.max_age, settings.stagger);
        // The first group of each lane ends at another time.
        let share = u32::from(settings.stagger) + 1;
        let group = Group {
            id: 0,
            began: Instant::now(),
            scrapes: 0,
            scrapes_max: (GROUP_SCRAPES * share).div_ceil(256),
            time_max: GROUP_TIME / 256 * share,
        };
        Self {
            settings,
            limits,
            encoder,
            number: 1,
            shape_messages: 0,
            announcer,
            targets: HashMap::new(),
            tracks: HashMap::new(),
            numbers: 0,
            group,
            text_share: TEXT_SHARE,
            wanted: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Makes the next frame a key frame.
    pub(super) fn require_key(&mut self) {
        self.encoder.require_key();
    }

    /// Announces all shapes in use, and makes the next frame a key frame.
    pub(super) fn start_anew(&mut self, limits: Limits) -> Vec<Entry> {
        self.set_limits(limits);
        self.require_key();
        let in_use = in_use(&self.tracks, limits.max_age);
        let all = self.announcer.all(limits.max_age, in_use);
        self.announce(all);
        std::mem::take(&mut self.out)
    }

    /// Announces again what is due; to be called each second.
    pub(super) fn repeat(&mut self, limits: Limits) -> Vec<Entry> {
        self.set_limits(limits);
        let tracks = &self.tracks;
        let due = self
            .announcer
            .due(limits.max_age, || in_use(tracks, limits.max_age));
        // One that does not fit is found again by the scrape that needs it.
        drop(self.announce(due));
        std::mem::take(&mut self.out)
    }

    /// Writes records as one frame, or several where one would be too large.
    pub(super) fn write(&mut self, records: Vec<Record>, limits: Limits) -> Vec<Entry> {
        self.set_limits(limits);
        let mut waiting = VecDeque::with_capacity(records.len());
        for record in records {
            self.queue(record, &mut waiting);
        }
        let mut records_max = RECORDS_MAX;
        loop {
            let wanted = std::mem::take(&mut self.wanted);
            let too_large = self.announce(wanted);
            let found = waiting.iter().enumerate().find_map(|(at, item)| {
                let columns = columns_of(&item.record)?;
                Some((at, *too_large.get(&columns.shape.id())?))
            });
            if let Some((at, bytes)) = found {
                // Others of the same shape find it wanted again when it is their turn.
                self.divide(at, bytes, &mut waiting);
                self.want_again(&waiting);
                continue;
            }
            if waiting.is_empty() {
                break;
            }
            match self.frame(&waiting, records_max) {
                Ok(taken) => drop(waiting.drain(..taken)),
                Err(TooLarge { records: 1, bytes }) => self.divide(0, bytes, &mut waiting),
                Err(TooLarge { records, .. }) => records_max = (records / 2).max(1),
            }
        }
        std::mem::take(&mut self.out)
    }

    fn set_limits(&mut self, limits: Limits) {
        if limits.payload_max != self.limits.payload_max {
            // What had to be split may fit now, and the other way round.
            let parts = self
                .targets
                .values_mut()
                .filter_map(|target| target.parts.take());
            let unused: Vec<u32> = parts.flat_map(Parts::take_numbers).collect();
            self.forget_numbers(unused);
        }
        self.limits = limits;
    }

    /// Puts a record behind the others, in parts if its target is known to need that.
    fn queue(&mut self, record: Record, waiting: &mut VecDeque<Item>) {
        let Record::Scrape(scrape) = record else {
            waiting.push_back(whole(record, 0));
            return;
        };
        let known = self.targets.get_mut(&scrape.target);
        match &scrape.outcome {
            Outcome::Exposed { body, .. } => {
                if let Some(target) = known
                    && let Some(parts) = &mut target.parts
                {
                    if parts.is_needed_for(body) {
                        self.expand(&Arc::new(scrape), waiting.len(), waiting);
                        return;
                    }
                    let unused = parts.take_unused();
                    self.forget_numbers(unused);
                }
                let item = self.item(scrape);
                waiting.push_back(item);
            }
            Outcome::Gone => {
                self.forget(&scrape.target);
                waiting.push_back(whole(Record::Scrape(scrape), 0));
            }
            Outcome::Failed { .. } | Outcome::Noted(_) => {
                waiting.push_back(whole(Record::Scrape(scrape), 0));
            }
        }
    }

    /// Makes an item of a scrape that is not split.
    fn item(&mut self, mut scrape: Scrape) -> Item {
        let Outcome::Exposed { body, .. } = &mut scrape.outcome else {
            return whole(Record::Scrape(scrape), 0);
        };
        let Body::Columns(columns) = body else {
            return whole(Record::Scrape(scrape), 0);
        };
        let shape = Arc::clone(&columns.shape);
        let target = self.targets.entry(Arc::clone(&scrape.target)).or_default();
        let number = *target.number.get_or_insert_with(|| next(&mut self.numbers));
        if self.use_shape(number, &shape) {
            return whole(Record::Scrape(scrape), number);
        }
        // A reader would not take so many series as values.
        *body = Body::Text(body.to_text());
        whole(Record::Scrape(scrape), 0)
    }

    /// Takes a shape as what is coded under a number; tells whether there is room for it.
    fn use_shape(&mut self, number: u32, shape: &Arc<Shape>) -> bool {
        let now = Instant::now();
        if let Some(track) = self.tracks.get_mut(&number)
            && track.shape.id() == shape.id()
        {
            track.used = now;
            self.want(shape, None);
            return true;
        }
        let others = self.tracks.iter().filter(|(other, _)| **other != number);
        let series: usize = others.map(|(_, track)| track.shape.page().len()).sum();
        if series + shape.page().len() > LANE_SERIES_MAX {
            return false;
        }
        let track = self.tracks.entry(number).or_insert_with(|| Track {
            shape: Arc::clone(shape),
            used: now,
            group: 0,
            scrapes: 0,
        });
        track.used = now;
        let previous = std::mem::replace(&mut track.shape, Arc::clone(shape));
        let previous = Some(previous).filter(|previous| previous.id() != shape.id());
        self.want(shape, previous);
        true
    }

    fn want(&mut self, shape: &Arc<Shape>, previous: Option<Arc<Shape>>) {
        if !self.announcer.has(shape.id()) {
            let shape = Arc::clone(shape);
            self.wanted.push(Wanted { shape, previous });
        }
    }

    fn want_again(&mut self, waiting: &VecDeque<Item>) {
        for item in waiting {
            if let Some(columns) = columns_of(&item.record) {
                self.want(&columns.shape, None);
            }
        }
    }

    fn forget(&mut self, target: &Labels) {
        let Some(gone) = self.targets.remove(target) else {
            return;
        };
        let parts = gone.parts.into_iter().flat_map(Parts::take_numbers);
        self.forget_numbers(gone.number.into_iter().chain(parts).collect());
    }

    fn forget_numbers(&mut self, numbers: Vec<u32>) {
        for number in numbers {
            self.encoder.forget(number);
            self.tracks.remove(&number);
        }
    }

    /// Puts shapes into messages; returns those that are too large, and how large.
    fn announce(&mut self, wanted: Vec<Wanted>) -> HashMap<ShapeId, usize> {
        let announced = self.announcer.announce(wanted, self.limits.payload_max);
        for message in announced.messages {
            self.shape_messages += 1;
            let kind = Kind::Shape {
                part: self.shape_messages,
            };
            self.put(self.number, kind, 0, message);
        }
        announced.too_large
    }

    fn put(&mut self, number: u64, kind: Kind, scrapes: u64, payload: Vec<u8>) {
        self.out.push(Entry {
            lane: self.settings.lane,
            epoch: self.settings.epoch,
            number,
            kind,
            scrapes,
            closed_ms: self.limits.now_ms,
            payload: payload.into(),
        });
    }

    /// Says what the next frame is for those behind it.
    fn role(&self, waiting: &VecDeque<Item>) -> Role {
        let group = &self.group;
        if group.scrapes >= group.scrapes_max || group.began.elapsed() >= group.time_max {
            return Role::Key;
        }
        let is_based = |item: &Item| {
            let track = self.tracks.get(&item.number);
            columns_of(&item.record).is_none() || track.is_some_and(|track| track.group == group.id)
        };
        if self.settings.is_chained || !waiting.iter().all(is_based) {
            Role::Link
        } else {
            Role::Leaf
        }
    }

    /// Writes the first of the records into a frame; returns how many.
    fn frame(&mut self, waiting: &VecDeque<Item>, records_max: usize) -> Result<usize, TooLarge> {
        let role = self.role(waiting);
        let mut writer = self.encoder.begin(role);
        if writer.role() == Role::Key {
            self.group.begin();
        }
        let mut load = Load::default();
        for item in waiting.iter().take(records_max) {
            let columns = columns_of(&item.record);
            let has_room = columns.is_none_or(|columns| writer.has_room_for(&columns.shape));
            let texts = load.texts_with(&item.record) * self.text_share / 256;
            let packed = writer.len().saturating_sub(load.texts) + texts;
            let is_full = packed > self.limits.payload_max / 4 * 3;
            if load.records > 0 && (is_full || !has_room || load.is_full_with(&item.record)) {
                break;
            }
            if let Some(part) = &item.part {
                writer.part(part.part);
            }
            match (&item.record, columns) {
                (Record::Scrape(scrape), Some(columns)) => {
                    let times = (scrape.time_ms, duration_of(scrape));
                    writer.columns(item.number, &columns.shape, times, &columns.column);
                    if let Some(track) = self.tracks.get_mut(&item.number) {
                        track.count(&mut self.group);
                    }
                }
                (record, _) => writer.record(&as_text(record)),
            }
            load.add(item);
        }
        let others = writer.len().saturating_sub(load.texts);
        let (header, payload) = writer.finish();
        if load.texts >= TEXT_BYTES_TELLING {
            let share = payload.len().saturating_sub(others) * 256 / load.texts;
            // More is believed at once, less by and by.
            self.text_share = share.max((self.text_share * 3 + share) / 4);
        }
        if payload.len() > self.limits.payload_max || load.texts > TEXTS_MAX {
            self.encoder.recall();
            return Err(TooLarge {
                records: load.records,
                bytes: payload.len(),
            });
        }
        let kind = if header.is_key() {
            Kind::Key
        } else {
            Kind::Delta
        };
        self.put(header.number, kind, load.scrapes, payload);
        (self.number, self.shape_messages) = (header.number + 1, 0);
        Ok(load.records)
    }

    /// Splits a scrape that is too large for a message by itself, or splits it further.
    fn divide(&mut self, at: usize, bytes: usize, waiting: &mut VecDeque<Item>) {
        let Some(item) = waiting.remove(at) else {
            return;
        };
        let (origin, is_indivisible) = match (item.part, item.record) {
            (
                Some(PartOf {
                    origin,
                    is_indivisible,
                    ..
                }),
                _,
            ) => (origin, is_indivisible),
            (None, Record::Scrape(scrape)) => (Arc::new(scrape), false),
            (None, Record::Heartbeat(_)) => {
                error!(bytes, "a heartbeat does not fit into one message");
                return;
            }
        };
        let Outcome::Exposed { body, .. } = &origin.outcome else {
            error!(bytes, "an event does not fit into one message");
            return;
        };
        // All parts of it come anew; those that were written already are dropped by the reader.
        let is_other = |item: &Item| {
            let part = item.part.as_ref();
            part.is_none_or(|part| !Arc::ptr_eq(&part.origin, &origin))
        };
        let at = waiting
            .iter()
            .take(at)
            .filter(|item| is_other(item))
            .count();
        waiting.retain(is_other);
        let target = self.targets.entry(Arc::clone(&origin.target)).or_default();
        let parts = target.parts.get_or_insert_default();
        if is_indivisible {
            parts.refuse(body);
        } else {
            parts.shrink(body, (bytes, self.limits.payload_max));
        }
        self.expand(&origin, at, waiting);
    }

    /// Puts a scrape's parts in, or that it failed.
    fn expand(&mut self, origin: &Arc<Scrape>, at: usize, waiting: &mut VecDeque<Item>) {
        let behind = waiting.split_off(at);
        if let Some(parted) = self.parts_of(origin) {
            let count = u32::try_from(parted.len()).unwrap_or(u32::MAX);
            for (index, part) in (0..count).zip(parted) {
                waiting.push_back(part.item(Part { index, count }, origin));
            }
        } else {
            warn!(
                job = origin.target.job(),
                instance = origin.target.instance(),
                limit = self.limits.payload_max,
                "a histogram or family of a scrape does not fit into one message; raise the \
                 server's `max_payload`"
            );
            let reason = FailureReason::PayloadTooLarge;
            let failed = Scrape {
                target: Arc::clone(&origin.target),
                time_ms: origin.time_ms,
                outcome: Outcome::Failed {
                    reason,
                    duration: duration_of(origin),
                    tally: Tally::default(),
                },
            };
            waiting.push_back(whole(Record::Scrape(failed), 0));
        }
        waiting.extend(behind);
    }

    fn parts_of(&mut self, origin: &Scrape) -> Option<Vec<Parted>> {
        let Outcome::Exposed { body, .. } = &origin.outcome else {
            return None;
        };
        let target = self.targets.get_mut(&origin.target)?;
        let shapes = &self.settings.shapes;
        let parts = target.parts.as_mut()?;
        let parted = parts.split(&origin.target, body, shapes, &mut self.numbers)?;
        // What was coded as a whole, or in other parts, is not any more.
        let mut unused = parts.take_unused();
        unused.extend(target.number.take());
        self.forget_numbers(unused);
        for part in &parted {
            if let Body::Columns(columns) = &part.body
                && !self.use_shape(part.number, &columns.shape)
            {
                return None;
            }
        }
        Some(parted)
    }
}

impl Group {
    fn begin(&mut self) {
        if self.id > 0 {
            (self.scrapes_max, self.time_max) = (GROUP_SCRAPES, GROUP_TIME);
        }
        self.id += 1;
        self.began = Instant::now();
        self.scrapes = 0;
    }
}

impl Track {
    /// Counts a scrape in the group.
    fn count(&mut self, group: &mut Group) {
        if self.group != group.id {
            (self.group, self.scrapes) = (group.id, 0);
        }
        self.scrapes += 1;
        group.scrapes = group.scrapes.max(self.scrapes);
    }
}

/// Returns a number that was not used before.
fn next(numbers: &mut u32) -> u32 {
    let number = *numbers;
    *numbers = numbers.wrapping_add(1);
    number
}

/// Returns the shapes that were used since the last round but one; the others' targets are away,
/// and announce them again when they come back.
fn in_use(tracks: &HashMap<u32, Track>, max_age: Duration) -> Vec<Arc<Shape>> {
    let used = tracks
        .values()
        .filter(|track| track.used.elapsed() < max_age);
    used.map(|track| Arc::clone(&track.shape)).collect()
}
