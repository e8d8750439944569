//! Which shapes of a lane are in the stream, and the messages that bring them there.
//!
//! In: the shapes that the next frame needs, and those in use. Out: payloads of shape messages.
//! Shapes in use are announced again in rounds, spread over some of the time that a round takes, so
//! that each is in the stream at any moment. The first shape of its kind is written whole, and
//! others as siblings or patches of some that were announced in the same round: what a shape needs
//! never reaches back further than what the stream still has.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::{Shape, ShapeId, ShapeWriter};

/// A round is never longer than this, however long the stream keeps its messages: a receiver that
/// lost its memory has to read back as far.
const REPEAT_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// A round is never shorter: a stream that keeps messages for seconds is an experiment.
const REPEAT_MIN: Duration = Duration::from_secs(1);

/// Part of the time that the stream keeps messages which is left when a shape comes again: half a
/// minute of ten.
///
/// Whoever begins to read the stream reads all its shapes first, so any time before the last
/// announcement ends would do, were there nothing between this clock and the stream: the look that
/// finds a shape due, the lane's queue, and a publish that is not acknowledged at once. The server
/// never drops a message early. Where NATS is away for longer than that, shapes and frames wait
/// together, in order; a reader that starts just then on frames from before finds them without
/// shapes and asks for a key frame, with which all shapes come.
const MARGIN_SHARE: u32 = 20;

/// Part of the time of repetition over which the shapes are spread: the shorter it is, the longer
/// is a round. A lane's 250 shapes, of some 600 bytes each, make 9 kB/s for 17 seconds of ten
/// minutes, less than twice what its frames take.
const SPREAD_SHARE: u32 = 32;

/// More new shapes than this at once are packed in a hurry.
const HURRY_SHAPES: usize = 100;

/// A lane's first shapes are packed in a hurry as well: all targets of a site come at once then.
const HURRY_TIME: Duration = Duration::from_secs(60);

/// Whole shapes of one job that others may be patches of; jobs with more kinds of targets are rare.
const KINDS_MAX: usize = 4;

/// A shape that a frame needs, and the one that its target had before.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) shape: Arc<Shape>,
    pub(super) previous: Option<Arc<Shape>>,
}

/// What came of announcing.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// Payloads, to be published in this order.
    pub(super) messages: Vec<Vec<u8>>,
    /// Shapes that no message can hold, and how large theirs would be.
    pub(super) too_large: HashMap<ShapeId, usize>,
}

/// The shapes of a lane.
pub(super) struct Announcer {
    round: u64,
    /// In which round each shape was announced last; one of an earlier round is pending.
    announced: HashMap<ShapeId, u64>,
    /// Shapes as they stand in messages, since they are repeated as they are.
    packed: HashMap<ShapeId, Packed>,
    /// Kinds of targets of this round by job.
    kinds: HashMap<String, Vec<Kind>>,
    /// Shapes to be repeated in this round.
    pending: VecDeque<Arc<Shape>>,
    /// How many of them at each look.
    slice: usize,
    next_round: Instant,
    hurry_until: Instant,
}

/// The first shapes of a kind of targets.
struct Kind {
    whole: Arc<Shape>,
    /// The first that was written by the whole one alone.
    second: Option<Arc<Shape>>,
}

struct Packed {
    /// The shapes that it is written by, none for a whole one.
    needs: Vec<ShapeId>,
    bytes: Vec<u8>,
    effort: Effort,
}

/// How much time is taken to make a shape small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effort {
    Hurried,
    Usual,
    /// For a whole shape that others are written by: it is repeated as it is.
    Thorough,
}

impl Announcer {
    /// Begins; the first round takes `share` of 256 parts of a whole one, so that lanes do not
    /// repeat their shapes together. `max_age` is how long the stream keeps messages.
    pub(super) fn new(max_age: Duration, share: u8) -> Self {
        let now = Instant::now();
        Self {
            round: 0,
            announced: HashMap::new(),
            packed: HashMap::new(),
            kinds: HashMap::new(),
            pending: VecDeque::new(),
            slice: 0,
            next_round: now + period(max_age) / 256 * u32::from(share.max(1)),
            hurry_until: now + HURRY_TIME,
        }
    }

    /// Tells whether a shape is in the stream.
    pub(super) fn has(&self, id: ShapeId) -> bool {
        self.announced.contains_key(&id)
    }

    /// Announces shapes; those that are in the stream are left out.
    pub(super) fn announce(
        &mut self,
        wanted: impl IntoIterator<Item = Wanted>,
        message_max: usize,
    ) -> Announced {
        let wanted: Vec<Wanted> = wanted.into_iter().collect();
        let is_hurried = wanted.len() > HURRY_SHAPES || Instant::now() < self.hurry_until;
        let mut messages = Messages::new(message_max);
        let mut too_large = HashMap::new();
        for Wanted { shape, previous } in wanted {
            let id = shape.id();
            if self.announced.get(&id) == Some(&self.round) || too_large.contains_key(&id) {
                continue;
            }
            self.pack(&shape, previous.as_deref(), is_hurried);
            let Some(packed) = self.packed.get(&id) else {
                continue;
            };
            if let Err(bytes) = messages.put(&packed.bytes) {
                self.packed.remove(&id);
                self.announced.remove(&id);
                too_large.insert(id, bytes);
                continue;
            }
            self.announced.insert(id, self.round);
            let needs = packed.needs.clone();
            self.remember_kind(shape, &needs);
        }
        Announced {
            messages: messages.finish(),
            too_large,
        }
    }

    /// Keeps what others of the kind can be written by.
    fn remember_kind(&mut self, shape: Arc<Shape>, needs: &[ShapeId]) {
        let kinds = self
            .kinds
            .entry(shape.target().job().to_owned())
            .or_default();
        match needs {
            [] if kinds.len() < KINDS_MAX => kinds.push(Kind {
                whole: shape,
                second: None,
            }),
            [base] => {
                let mut kinds = kinds.iter_mut();
                if let Some(kind) = kinds.find(|kind| kind.whole.id() == *base) {
                    kind.second.get_or_insert(shape);
                }
            }
            _ => {}
        }
    }

    /// Sees to it that the shape is packed in a form that may stand in this round.
    fn pack(&mut self, shape: &Arc<Shape>, previous: Option<&Shape>, is_hurried: bool) {
        let is_here = |id: ShapeId| self.announced.get(&id) == Some(&self.round);
        let known = self.packed.get(&shape.id());
        let is_whole = known.is_some_and(|known| known.needs.is_empty());
        let effort = if is_hurried {
            Effort::Hurried
        } else if is_whole && self.is_needed(shape.id()) {
            Effort::Thorough
        } else {
            Effort::Usual
        };
        let may_repeat = known.is_some_and(|known| {
            let is_small = known.effort >= effort || !is_whole;
            is_small && known.needs.iter().all(|need| is_here(*need))
        });
        if may_repeat {
            return;
        }
        let kinds = self
            .kinds
            .get(shape.target().job())
            .map_or(&[][..], Vec::as_slice);
        let length = |shape: &Shape| shape.page().text().len();
        let nearest = kinds.iter().min_by_key(|Kind { whole, .. }| {
            let is_other = !Arc::ptr_eq(whole.page(), shape.page());
            (is_other, length(whole).abs_diff(length(shape)))
        });
        let mut writer = match effort {
            Effort::Hurried => ShapeWriter::hurried(),
            Effort::Usual => ShapeWriter::new(),
            Effort::Thorough => ShapeWriter::thorough(),
        };
        let head = writer.len();
        let mut needs = Vec::new();
        let previous = previous.filter(|previous| is_here(previous.id()));
        if is_whole && effort == Effort::Thorough {
            // It stays what the others are written by.
            writer.whole(shape);
        } else if let Some(previous) = previous {
            if writer.patch(shape, previous) {
                needs.push(previous.id());
            }
        } else if let Some(Kind { whole, second }) = nearest {
            let second = second.as_deref();
            if writer.sibling(shape, whole, second) {
                needs.push(whole.id());
                needs.extend(second.map(Shape::id));
            }
        } else {
            writer.whole(shape);
        }
        let packed = Packed {
            needs,
            bytes: writer.finish().split_off(head),
            effort,
        };
        self.packed.insert(shape.id(), packed);
    }

    /// Tells whether others are written by a shape.
    fn is_needed(&self, id: ShapeId) -> bool {
        self.packed
            .values()
            .any(|packed| packed.needs.first() == Some(&id))
    }

    /// Begins a round when it is time; returns the next of the shapes that have to be repeated.
    ///
    /// To be called each second; `in_use` is asked at the beginning of a round.
    pub(super) fn due<I: IntoIterator<Item = Arc<Shape>>>(
        &mut self,
        max_age: Duration,
        in_use: impl FnOnce() -> I,
    ) -> Vec<Wanted> {
        let now = Instant::now();
        if now >= self.next_round {
            self.next_round = now + period(max_age);
            self.begin_round(in_use());
            let seconds = (due(max_age) / SPREAD_SHARE).as_secs().max(1);
            let looks = usize::try_from(seconds).unwrap_or(usize::MAX);
            self.slice = self.pending.len().div_ceil(looks);
        }
        let slice = self.slice.min(self.pending.len());
        self.pending.drain(..slice).map(wanted).collect()
    }

    /// Begins a round at once and returns all shapes in use: the ones announced may be lost.
    pub(super) fn all(
        &mut self,
        max_age: Duration,
        in_use: impl IntoIterator<Item = Arc<Shape>>,
    ) -> Vec<Wanted> {
        self.next_round = Instant::now() + period(max_age);
        self.begin_round(in_use);
        self.announced.clear();
        self.pending.drain(..).map(wanted).collect()
    }

    fn begin_round(&mut self, in_use: impl IntoIterator<Item = Arc<Shape>>) {
        self.round += 1;
        self.kinds.clear();
        let mut seen = HashSet::new();
        let mut shapes: Vec<Arc<Shape>> = in_use.into_iter().collect();
        shapes.retain(|shape| seen.insert(shape.id()));
        // Whole ones first, as most others are written by them as they were the last time, then
        // those that need nothing else; in each round in the same order.
        shapes.sort_by_key(|shape| {
            let packed = self.packed.get(&shape.id());
            let needs = packed.map_or(usize::MAX, |packed| packed.needs.len());
            (needs, shape.id())
        });
        self.announced.retain(|id, _| seen.contains(id));
        self.packed.retain(|id, _| seen.contains(id));
        self.pending = shapes.into();
    }
}

fn wanted(shape: Arc<Shape>) -> Wanted {
    Wanted {
        shape,
        previous: None,
    }
}

/// How long after an announcement a shape is in the stream again at the latest.
fn due(max_age: Duration) -> Duration {
    (max_age / MARGIN_SHARE * (MARGIN_SHARE - 1)).clamp(REPEAT_MIN, REPEAT_MAX)
}

/// From one announcement of a shape to the next, where the stream keeps messages for `max_age`.
///
/// It is shorter than what is due: the last of a round may be the first of the one before, and
/// what a shape is written by, which comes before it, has to outlast it.
pub fn period(max_age: Duration) -> Duration {
    due(max_age) / SPREAD_SHARE * (SPREAD_SHARE - 1)
}

/// Messages that are filled one after the other.
struct Messages {
    done: Vec<Vec<u8>>,
    open: Vec<u8>,
    limit: usize,
}

impl Messages {
    fn new(limit: usize) -> Self {
        Self {
            done: Vec::new(),
            open: ShapeWriter::new().finish(),
            limit,
        }
    }

    /// Adds a packed shape, or tells how large a message with it alone would be.
    fn put(&mut self, packed: &[u8]) -> Result<(), usize> {
        let head = ShapeWriter::new().len();
        if head + packed.len() > self.limit {
            return Err(head + packed.len());
        }
        if self.open.len() + packed.len() > self.limit {
            let full = std::mem::replace(&mut self.open, ShapeWriter::new().finish());
            self.done.push(full);
        }
        self.open.extend_from_slice(packed);
        Ok(())
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if self.open.len() > ShapeWriter::new().len() {
            self.done.push(self.open);
        }
        self.done
    }
}
