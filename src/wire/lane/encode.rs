//! Writing the frames of a lane.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::target::Target;
use super::{FRAME_WORK_MAX, NAMES_SHAPE, work_of};
use crate::model::Record;
use crate::wire::columns::{Column, Mode, Model, Scratch};
use crate::wire::cursor::{put_length, put_varint, put_zigzag};
use crate::wire::frame::{Header, Parts, Place, seal};
use crate::wire::range::Encoder;
use crate::wire::record;
use crate::wire::shape::Shape;
use crate::wire::{DECODED_MAX, Part};

/// What a frame is for those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Begins a group: decodable with its shapes alone.
    Key,
    /// Continues the chain: the next frame is based on it.
    Link,
    /// Based on the last frame of the chain, and no other's base.
    Leaf,
}

/// The state of a lane at its writer.
pub struct LaneEncoder {
    epoch: u64,
    /// Number of the frame that was written last.
    number: u64,
    /// Number of the last kept frame; `None` until there is one, or when it was lost.
    kept: Option<u64>,
    targets: HashMap<u32, Sending>,
    model: Model,
    scratch: Scratch,
    column: Column,
    buffer: Vec<u8>,
    /// Probabilities to start from instead of the format's, to measure tables.
    #[cfg(test)]
    pub(super) start: Option<Arc<[u16]>>,
}

/// A target at its writer.
struct Sending {
    target: Target,
    /// Whether it has a base in this group.
    is_based: bool,
    /// Scrapes that were coded against the base without moving it.
    leaves: u16,
}

/// Scrapes against one base from which on it counts as far.
const NEAR_SCRAPES: u16 = 5;

impl LaneEncoder {
    /// Begins a lane; `epoch` is the poller's start in milliseconds since the Unix epoch.
    pub fn new(epoch: u64) -> Self {
        Self {
            epoch,
            number: 0,
            kept: None,
            targets: HashMap::new(),
            model: Model::new(),
            scratch: Scratch::new(),
            column: Column::default(),
            buffer: Vec::new(),
            #[cfg(test)]
            start: None,
        }
    }

    /// Makes the next frame a key frame: a frame was dropped, or someone asked for it.
    pub fn require_key(&mut self) {
        self.kept = None;
    }

    /// Takes back the frame that was finished last and that nobody has seen: its number is used
    /// again, by a key frame if what it did to the state cannot be undone.
    pub fn recall(&mut self) {
        self.kept = self.kept.filter(|kept| *kept != self.number);
        self.number = self.number.saturating_sub(1);
    }

    /// Forgets a target that is gone.
    pub fn forget(&mut self, target: u32) {
        self.targets.remove(&target);
    }

    /// Begins a frame; it is a key frame if it has to be, whatever `role` says.
    ///
    /// A frame that is begun and not finished is a dropped frame.
    pub fn begin(&mut self, role: Role) -> FrameWriter<'_> {
        let role = match self.kept.take() {
            None => Role::Key,
            Some(_) if role == Role::Key => Role::Key,
            Some(kept) => {
                self.kept = Some(kept);
                role
            }
        };
        let base = self.kept;
        // Until it is finished, nothing may be based on what it does to the state.
        self.kept = None;
        if role == Role::Key {
            // Targets that did not appear in the last group are gone.
            self.targets.retain(|_, sending| sending.is_based);
            for sending in self.targets.values_mut() {
                sending.is_based = false;
            }
        }
        self.model.restart();
        #[cfg(test)]
        if let Some(start) = &self.start {
            self.model.restart_from(start);
        }
        FrameWriter {
            lane: self,
            role,
            base,
            base_ms: None,
            parts: Parts::default(),
            coder: Encoder::new(),
            check: crc32fast::Hasher::new(),
            records: 0,
            columns: 0,
            work: 0,
        }
    }
}

/// Writes one frame.
pub struct FrameWriter<'l> {
    lane: &'l mut LaneEncoder,
    role: Role,
    base: Option<u64>,
    base_ms: Option<i64>,
    parts: Parts,
    coder: Encoder,
    check: crc32fast::Hasher,
    records: usize,
    columns: usize,
    work: usize,
}

impl FrameWriter<'_> {
    /// Returns what the frame is for those behind it.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns about how large the frame is so far; texts count before their compression.
    pub fn len(&self) -> usize {
        /// Header, the sections' heads, the check.
        const HEAD: usize = 64;
        HEAD + self.parts.records.len() + self.parts.texts.len() + self.coder.len()
    }

    /// Tells whether the frame has no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Tells whether a scrape fits into what a reader takes as one frame; an empty frame has room
    /// for any shape.
    pub fn has_room_for(&self, shape: &Shape) -> bool {
        /// What a series can cost at most, timestamp included: raw bits and answers.
        const SERIES_BYTES_MAX: usize = 48;
        let bytes = self.len() + shape.page().len() * SERIES_BYTES_MAX;
        self.work + work_of(shape.page()) <= FRAME_WORK_MAX && bytes <= DECODED_MAX
    }

    /// Says that the record that is added next is a part of a scrape.
    pub fn part(&mut self, part: Part) {
        record::write_part(part, &mut self.parts.records);
    }

    /// Adds a record that stands for itself.
    pub fn record(&mut self, record: &Record) {
        let base_ms = *self.base_ms.get_or_insert_with(|| record.time_ms());
        let parts = &mut self.parts;
        record::write(record, base_ms, &mut parts.records, &mut parts.texts);
        self.records += 1;
    }

    /// Adds a scrape by its shape; `target` is the target's number within lane and epoch.
    ///
    /// The caller asks [`Self::has_room_for`] before, and has published the shape.
    pub fn columns(
        &mut self,
        target: u32,
        shape: &Arc<Shape>,
        (time_ms, duration): (i64, Duration),
        column: &Column,
    ) {
        let lane = &mut *self.lane;
        lane.column.mantissas.clone_from(&column.mantissas);
        lane.column.scales.clone_from(&column.scales);
        lane.column.times.clone_from(&column.times);
        // A column of another shape would leave the reader behind.
        lane.column
            .fit(shape.page().len(), shape.page().has_times());

        let is_kept = self.role != Role::Leaf;
        let known = lane.targets.get_mut(&target);
        let is_based = known.as_ref().is_some_and(|known| known.is_based);
        let is_new_shape = known
            .as_ref()
            .is_none_or(|known| known.target.shape.id() != shape.id());
        let leaves = known.as_ref().map_or(0, |known| known.leaves);
        let mode = match self.role {
            _ if !is_based => Mode::Fresh,
            Role::Key | Role::Link => Mode::Chained,
            Role::Leaf if leaves < NEAR_SCRAPES => Mode::Near,
            Role::Leaf => Mode::Far,
        };

        // What does not move the base is coded on a copy, unless it only counts.
        let mut copy = None;
        let state = match known {
            Some(known) if is_kept || (is_based && !is_new_shape) => &mut known.target,
            Some(known) => copy.insert(known.target.clone()),
            None => copy.insert(Target::new(shape)),
        };
        if is_new_shape && !Arc::ptr_eq(&state.shape, shape) {
            state.adopt(shape);
        }
        if mode == Mode::Fresh {
            state.restart(leaves);
        }
        let coding = (&mut self.coder, &mut lane.model);
        state.code(coding, (mode, time_ms), &mut lane.column, &mut lane.scratch);
        let flags = shape.page().flags();
        lane.column.check(flags, &mut self.check, &mut lane.buffer);

        if let Some(target_state) = copy.filter(|_| is_kept) {
            let sending = Sending {
                target: target_state,
                is_based: true,
                leaves: 0,
            };
            lane.targets.insert(target, sending);
        } else if let Some(known) = lane.targets.get_mut(&target) {
            known.is_based |= is_kept;
            known.leaves = match mode {
                Mode::Fresh if is_kept => 0,
                Mode::Near | Mode::Far => known.leaves.saturating_add(1),
                Mode::Fresh | Mode::Chained | Mode::Template => known.leaves,
            };
        }
        self.work += work_of(shape.page());
        let names_shape = mode == Mode::Fresh || is_new_shape;
        self.put_record(
            mode,
            names_shape.then_some(shape),
            target,
            (time_ms, duration),
        );
        let parts = &mut self.parts;
        if !column.exemplars.is_empty() {
            record::write_exemplars(&column.exemplars, &mut parts.records, &mut parts.texts);
            self.records += 1;
        }
        if !column.histograms.is_empty() {
            record::write_histograms(&column.histograms, &mut parts.records, &mut parts.texts);
            self.records += 1;
        }
    }

    fn put_record(
        &mut self,
        mode: Mode,
        named: Option<&Arc<Shape>>,
        target: u32,
        (time_ms, duration): (i64, Duration),
    ) {
        let base_ms = *self.base_ms.get_or_insert(time_ms);
        let out = &mut self.parts.records;
        out.push(record::COLUMNS);
        put_zigzag(out, time_ms.wrapping_sub(base_ms));
        out.push(mode as u8 | if named.is_some() { NAMES_SHAPE } else { 0 });
        put_varint(out, u64::from(target));
        if let Some(shape) = named {
            out.extend_from_slice(shape.id().as_bytes());
        }
        put_varint(out, record::micros(duration));
        self.records += 1;
        self.columns += 1;
    }

    /// Returns where the frame stands, and its bytes.
    pub fn finish(mut self) -> (Header, Vec<u8>) {
        let number = self.lane.number + 1;
        // A frame that changes no state need not be the base of the next.
        let is_kept = self.role == Role::Key || (self.role == Role::Link && self.columns > 0);
        let base = match self.base {
            Some(base) if self.role != Role::Key => base,
            _ => number,
        };
        let place = Place {
            header: Header {
                epoch: self.lane.epoch,
                number,
                base,
            },
            is_kept,
            base_ms: self.base_ms.unwrap_or(0),
        };
        let mut records = Vec::with_capacity(self.parts.records.len() + 4);
        put_length(&mut records, self.records);
        records.append(&mut self.parts.records);
        self.parts.records = records;
        if self.columns > 0 {
            let (coded, raw) = self.coder.finish();
            self.parts.coded = self.check.finalize().to_le_bytes().to_vec();
            self.parts.coded.extend_from_slice(&coded);
            self.parts.raw = raw;
        }
        self.lane.number = number;
        self.lane.kept = Some(if is_kept { number } else { base });
        (place.header, seal(&place, &self.parts))
    }
}
