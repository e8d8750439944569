//! Reading the frames of a lane.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::target::Target;
use super::{FRAME_WORK_MAX, LANE_SERIES_MAX, MODE_MASK, NAMES_SHAPE, work_of};
use crate::model::{Outcome, Record};
use crate::wire::DecodeError;
use crate::wire::columns::{Column, Mode, Model, Scratch};
use crate::wire::cursor::Reader;
use crate::wire::frame::{Header, Place, Sections, open};
use crate::wire::range::Decoder;
use crate::wire::record;
use crate::wire::{self, Body, Columns, Part, Shape, ShapeId, ShapeStore};

/// A frame and what it carries.
#[derive(Debug)]
pub struct LaneFrame {
    /// Where it stands.
    pub header: Header,
    /// What it carries, in the order of the lane.
    pub entries: Vec<Entry>,
}

/// One entry of a frame.
#[derive(Debug)]
pub enum Entry {
    /// A record that stands for itself.
    Record(Record),
    /// A scrape by its shape.
    Columns(ColumnScrape),
    /// The next entry is a part of a scrape.
    Part(Part),
}

impl Entry {
    /// Returns the entry as a record, or what it says of the next one.
    pub fn into_record(self) -> Result<wire::Record, Part> {
        match self {
            Self::Part(part) => Err(part),
            Self::Record(record) => Ok(record.map(Body::Text)),
            Self::Columns(scrape) => Ok(wire::Record::Scrape(wire::Scrape {
                target: Arc::clone(scrape.shape.target()),
                time_ms: scrape.time_ms,
                outcome: Outcome::Exposed {
                    body: Body::Columns(Columns {
                        shape: scrape.shape,
                        column: scrape.column,
                    }),
                    duration: scrape.duration,
                },
            })),
        }
    }
}

/// A scrape as values of a shape.
#[derive(Debug, Clone)]
pub struct ColumnScrape {
    /// The target's number within lane and epoch.
    pub target: u32,
    /// Its series.
    pub shape: Arc<Shape>,
    /// Start of the scrape, milliseconds since the Unix epoch, by the poller's clock.
    pub time_ms: i64,
    /// From the start of the request to the end of the body.
    pub duration: Duration,
    /// The values.
    pub column: Column,
}

/// The state of a lane at its reader.
pub struct LaneDecoder {
    /// Epoch and number of the last kept frame.
    at: Option<(u64, u64)>,
    targets: HashMap<u32, Target>,
    series: usize,
    series_max: usize,
    /// Only where it is not lent.
    space: Option<Box<DecodeSpace>>,
}

/// Memory to decode with, some 70 KiB. Nothing in it outlives a frame, so lanes can share it.
pub struct DecodeSpace {
    model: Model,
    scratch: Scratch,
    buffer: Vec<u8>,
}

impl Default for DecodeSpace {
    fn default() -> Self {
        Self {
            model: Model::new(),
            scratch: Scratch::new(),
            buffer: Vec::new(),
        }
    }
}

impl Default for LaneDecoder {
    fn default() -> Self {
        Self::new(LANE_SERIES_MAX)
    }
}

impl LaneDecoder {
    /// Begins a lane; its targets may not have more series than `series_max` together.
    pub fn new(series_max: usize) -> Self {
        Self {
            at: None,
            targets: HashMap::new(),
            series: 0,
            series_max,
            space: None,
        }
    }

    /// Returns epoch and number of the frame that the next one may be based on.
    pub fn at(&self) -> Option<(u64, u64)> {
        self.at
    }

    /// Returns how many series its targets have together.
    pub fn series(&self) -> usize {
        self.series
    }

    /// Reads a frame; see [`Self::decode_in`].
    ///
    /// It keeps the memory that it needs for that.
    pub fn decode(
        &mut self,
        payload: &[u8],
        shapes: &ShapeStore,
    ) -> Result<LaneFrame, DecodeError> {
        let mut space = self.space.take().unwrap_or_default();
        let decoded = self.decode_in(payload, shapes, &mut space);
        self.space = Some(space);
        decoded
    }

    /// Reads a frame.
    ///
    /// After an error the state is what it was.
    pub fn decode_in(
        &mut self,
        payload: &[u8],
        shapes: &ShapeStore,
        space: &mut DecodeSpace,
    ) -> Result<LaneFrame, DecodeError> {
        let (place, sections) = open(payload)?;
        self.check_base(&place, &sections)?;
        space.model.restart();
        let mut reading = Reading::new(self, (shapes, space), &place, &sections)?;
        let entries = reading.records(&sections)?;
        let staged = reading.finish(&entries)?;
        if place.is_kept {
            self.commit(&place, staged)?;
        }
        Ok(LaneFrame {
            header: place.header,
            entries,
        })
    }

    fn check_base(&self, place: &Place, sections: &Sections) -> Result<(), DecodeError> {
        let header = &place.header;
        if header.is_key() {
            return match self.at {
                Some((epoch, number)) if epoch == header.epoch && header.number <= number => {
                    Err(DecodeError::Behind(header.number))
                }
                _ => Ok(()),
            };
        }
        let is_based = self.at == Some((header.epoch, header.base));
        let needs_base = place.is_kept || !sections.coded.is_empty();
        if is_based || !needs_base {
            Ok(())
        } else {
            Err(DecodeError::NoBase {
                epoch: header.epoch,
                wanted: header.base,
            })
        }
    }

    fn commit(&mut self, place: &Place, staged: HashMap<u32, Target>) -> Result<(), DecodeError> {
        let series_of = |target: &Target| target.shape.page().len();
        let added: usize = staged.values().map(series_of).sum();
        let kept = if place.header.is_key() {
            0
        } else {
            let replaced = staged.keys().filter_map(|id| self.targets.get(id));
            self.series - replaced.map(series_of).sum::<usize>()
        };
        if kept + added > self.series_max {
            return Err(DecodeError::TooLarge);
        }
        if place.header.is_key() {
            self.targets = staged;
        } else {
            self.targets.extend(staged);
        }
        self.series = kept + added;
        self.at = Some((place.header.epoch, place.header.number));
        Ok(())
    }
}

/// What a columns record says in the records section.
pub(in crate::wire) struct Head {
    mode: Mode,
    pub(in crate::wire) target: u32,
    pub(in crate::wire) shape: Option<ShapeId>,
    pub(in crate::wire) duration: Duration,
}

impl Head {
    pub(in crate::wire) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.byte()?;
        if flags & !(MODE_MASK | NAMES_SHAPE) != 0 {
            return Err(DecodeError::Flags(flags));
        }
        let mode = *Mode::ALL
            .get(usize::from(flags & MODE_MASK))
            .ok_or(DecodeError::Number)?;
        let target = u32::try_from(reader.varint()?).map_err(|_too_large| DecodeError::Number)?;
        let shape = if flags & NAMES_SHAPE != 0 {
            Some(ShapeId::new(reader.array()?))
        } else {
            None
        };
        let duration = Duration::from_micros(reader.varint()?);
        Ok(Self {
            mode,
            target,
            shape,
            duration,
        })
    }
}

/// One frame that is being read.
struct Reading<'a> {
    lane: &'a LaneDecoder,
    shapes: &'a ShapeStore,
    space: &'a mut DecodeSpace,
    place: &'a Place,
    /// Targets as this frame leaves them.
    staged: HashMap<u32, Target>,
    coder: Decoder<'a>,
    expected: u32,
    check: crc32fast::Hasher,
    work: usize,
    series: usize,
}

impl<'a> Reading<'a> {
    fn new(
        lane: &'a LaneDecoder,
        (shapes, space): (&'a ShapeStore, &'a mut DecodeSpace),
        place: &'a Place,
        sections: &'a Sections,
    ) -> Result<Self, DecodeError> {
        let (expected, coded) = match sections.coded.split_first_chunk() {
            Some((expected, coded)) => (u32::from_le_bytes(*expected), coded),
            None if sections.coded.is_empty() => (0, [].as_slice()),
            None => return Err(DecodeError::Truncated),
        };
        Ok(Self {
            lane,
            shapes,
            space,
            place,
            staged: HashMap::new(),
            coder: Decoder::new(coded, &sections.raw),
            expected,
            check: crc32fast::Hasher::new(),
            work: 0,
            series: 0,
        })
    }

    fn records(&mut self, sections: &Sections) -> Result<Vec<Entry>, DecodeError> {
        let mut reader = Reader::new(&sections.records);
        let mut texts = sections.texts.clone();
        let count = reader.length(sections.records.len() / record::RECORD_MIN)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let start = record::read_start(&mut reader, self.place.base_ms)?;
            let (part, start) = record::read_part(&mut reader, start, self.place.base_ms)?;
            entries.extend(part.map(Entry::Part));
            entries.push(if start.0 == record::COLUMNS {
                Entry::Columns(self.columns(&mut reader, start.1)?)
            } else {
                Entry::Record(record::read(&mut reader, start, &mut texts)?)
            });
        }
        match reader.remaining() + texts.len() {
            0 => Ok(entries),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    fn columns(
        &mut self,
        reader: &mut Reader<'_>,
        time_ms: i64,
    ) -> Result<ColumnScrape, DecodeError> {
        let Head {
            mode,
            target: id,
            shape,
            duration,
        } = Head::read(reader)?;
        let shape = match shape {
            Some(name) => {
                let shape = self.shapes.get(name);
                Some(shape.ok_or(DecodeError::UnknownShape(name))?)
            }
            None => None,
        };
        // Before any of the work is done.
        let known = self.staged.get(&id).or_else(|| self.lane.targets.get(&id));
        for shape in known.map(|known| &known.shape).into_iter().chain(shape) {
            self.work += work_of(shape.page());
        }
        if self.work > 2 * FRAME_WORK_MAX {
            return Err(DecodeError::TooLarge);
        }
        let mut target = self.target(id, mode, shape)?;
        let shape = Arc::clone(&target.shape);
        self.series += shape.page().len();
        // A target may be there twice; what is kept is counted when the frame is done.
        if self.series > 2 * self.lane.series_max {
            return Err(DecodeError::TooLarge);
        }
        let mut column = Column::default();
        column.clear(shape.page().len(), shape.page().has_times());
        let coding = (&mut self.coder, &mut self.space.model);
        let scratch = &mut self.space.scratch;
        target.code(coding, (mode, time_ms), &mut column, scratch);
        if !self.coder.is_sound() {
            return Err(DecodeError::Truncated);
        }
        let flags = shape.page().flags();
        column.check(flags, &mut self.check, &mut self.space.buffer);
        if self.place.is_kept {
            self.staged.insert(id, target);
        }
        Ok(ColumnScrape {
            target: id,
            shape,
            time_ms,
            duration,
            column,
        })
    }

    /// Returns a target as it is before the record.
    fn target(
        &mut self,
        id: u32,
        mode: Mode,
        shape: Option<&Arc<Shape>>,
    ) -> Result<Target, DecodeError> {
        if mode == Mode::Fresh {
            return shape.map(Target::new).ok_or(DecodeError::Number);
        }
        let known = match self.staged.remove(&id) {
            Some(known) => Some(known),
            None if self.place.header.is_key() => None,
            None => self.lane.targets.get(&id).cloned(),
        };
        let mut target = known.ok_or(DecodeError::UnknownTarget(id))?;
        if let Some(shape) = shape {
            target.adopt(shape);
        }
        Ok(target)
    }

    fn finish(self, entries: &[Entry]) -> Result<HashMap<u32, Target>, DecodeError> {
        let has_columns = entries
            .iter()
            .any(|entry| matches!(entry, Entry::Columns(_)));
        let is_whole = if has_columns {
            self.coder.is_finished()
        } else {
            self.expected == 0 && self.coder.is_empty()
        };
        if !is_whole {
            return Err(DecodeError::Truncated);
        }
        if self.check.finalize() != self.expected {
            return Err(DecodeError::Values);
        }
        Ok(self.staged)
    }
}
