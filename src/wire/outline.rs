//! What can be said of a frame without the state of its lane.

use std::time::Duration;

use bytes::{Buf as _, Bytes};

use super::cursor::Reader;
use super::frame::{Header, open, read_place};
use super::lane::Head;
use super::{DecodeError, Part, ShapeId, record};
use crate::model::Record;

/// Records that belong to the columns record before them: exemplars, and native histograms.
const EXEMPLARS: u8 = 7;
const HISTOGRAMS: u8 = 8;

/// A frame with what needs no state; it is as large as its records, the values left out.
#[derive(Debug)]
pub struct Outline {
    /// Where it stands.
    pub header: Header,
    /// What it carries, in the order of the lane.
    pub items: Vec<Item>,
}

/// One entry of an outline.
#[derive(Debug)]
pub enum Item {
    /// A record that stands for itself.
    Record(Record),
    /// A scrape whose values cannot be read.
    Columns {
        /// The target's number within lane and epoch.
        target: u32,
        /// The shape, if the record names one.
        shape: Option<ShapeId>,
        /// Start of the scrape, milliseconds since the Unix epoch, by the poller's clock.
        time_ms: i64,
        /// From the start of the request to the end of the body.
        duration: Duration,
    },
    /// The next item is a part of a scrape.
    Part(Part),
}

/// Reads where a frame stands in its lane, and nothing else: it may be damaged further on.
pub fn header(payload: &[u8]) -> Result<Header, DecodeError> {
    let place = read_place(&mut Reader::new(payload))?;
    Ok(place.header)
}

impl Outline {
    /// Reads a frame as far as that needs no state.
    pub fn read(payload: &[u8]) -> Result<Self, DecodeError> {
        let (place, sections) = open(payload)?;
        let mut reader = Reader::new(&sections.records);
        let mut texts = sections.texts;
        let count = reader.length(sections.records.len() / record::RECORD_MIN)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            let start = record::read_start(&mut reader, place.base_ms)?;
            let (part, start) = record::read_part(&mut reader, start, place.base_ms)?;
            items.extend(part.map(Item::Part));
            if matches!(start.0, EXEMPLARS | HISTOGRAMS) {
                let Some(Item::Columns { .. }) = items.last() else {
                    return Err(DecodeError::RecordKind(start.0));
                };
                pass_over(start.0, &mut reader, &mut texts)?;
                continue;
            }
            items.push(if start.0 == record::COLUMNS {
                let head = Head::read(&mut reader)?;
                Item::Columns {
                    target: head.target,
                    shape: head.shape,
                    time_ms: start.1,
                    duration: head.duration,
                }
            } else {
                Item::Record(record::read(&mut reader, start, &mut texts)?)
            });
        }
        match reader.remaining() + texts.len() {
            0 => Ok(Self {
                header: place.header,
                items,
            }),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    /// Counts the scrapes; one that is split into parts counts with its last.
    pub fn scrapes(&self) -> u64 {
        let mut scrapes = 0;
        let mut part = None;
        for item in &self.items {
            match item {
                Item::Part(of) => {
                    part = Some(*of);
                    continue;
                }
                Item::Record(Record::Heartbeat(_)) => {}
                Item::Record(Record::Scrape(_)) | Item::Columns { .. } => {
                    let is_last = part.is_none_or(|of: Part| of.index + 1 == of.count);
                    scrapes += u64::from(is_last);
                }
            }
            part = None;
        }
        scrapes
    }
}

/// Passes over what belongs to the columns record before, and its texts.
fn pass_over(kind: u8, reader: &mut Reader<'_>, texts: &mut Bytes) -> Result<(), DecodeError> {
    let count = reader.length(reader.remaining() / 2)?;
    for _ in 0..count {
        if kind == HISTOGRAMS {
            texts.advance(reader.length(texts.len())?);
        } else {
            // The place of the series.
            reader.varint()?;
        }
        texts.advance(reader.length(texts.len())?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::frame::{Parts, Place, seal};
    use super::*;
    use crate::model::{Format, Heartbeat, Labels, Outcome, Scrape, Text};
    use crate::wire::{Column, LaneEncoder, Role, Shape, match_body};

    #[test]
    fn a_frame_is_counted_without_its_base() {
        let target = Arc::new(Labels::of_target("node", "a"));
        let body = b"a 1\nb 2\n";
        let shape = Arc::new(Shape::build(Arc::clone(&target), body, Format::Text).unwrap());
        let mut column = Column::default();
        match_body(shape.page(), body, &mut column).unwrap();
        let text = |text: &'static [u8]| {
            Record::Scrape(Scrape {
                target: Arc::clone(&target),
                time_ms: 7,
                outcome: Outcome::Exposed {
                    body: Text {
                        text: Bytes::from_static(text),
                        format: Format::Text,
                    },
                    duration: Duration::ZERO,
                },
            })
        };
        let heartbeat = Record::Heartbeat(Heartbeat {
            time_ms: 9,
            interval: Duration::ZERO,
            live: vec![1],
        });
        let mut lane = LaneEncoder::new(5);
        let mut last = Vec::new();
        for _ in 0..2 {
            let mut frame = lane.begin(Role::Link);
            frame.columns(3, &shape, (7, Duration::ZERO), &column);
            frame.record(&heartbeat);
            for index in 0..2 {
                frame.part(Part { index, count: 2 });
                frame.record(&text(b"c 1\n"));
            }
            frame.record(&text(b"d 1\n"));
            last = frame.finish().1;
        }
        let outline = Outline::read(&last).unwrap();
        assert_eq!((outline.header.number, outline.header.base), (2, 1));
        assert_eq!(header(&last).unwrap(), outline.header);
        assert_eq!((outline.items.len(), outline.scrapes()), (7, 3));
        for length in 0..last.len() {
            Outline::read(&last[..length]).unwrap_err();
        }
    }

    #[test]
    fn what_belongs_to_a_scrape_is_no_scrape() {
        // Kind, time, mode chained, target number, duration.
        let scrape = [record::COLUMNS, 0, 1, 3, 0];
        // Two exemplars of series 4 and 6; a histogram.
        let exemplars = [EXEMPLARS, 0, 2, 4, 3, 1, 2];
        let histograms = [HISTOGRAMS, 0, 1, 1, 4];
        let outline = |records: &[&[u8]], texts: usize| {
            let place = Place {
                header: Header {
                    epoch: 1,
                    number: 2,
                    base: 1,
                },
                is_kept: true,
                base_ms: 0,
            };
            let mut section = vec![u8::try_from(records.len()).unwrap()];
            section.extend(records.concat());
            let parts = Parts {
                records: section,
                texts: vec![b'x'; texts],
                ..Parts::default()
            };
            Outline::read(&seal(&place, &parts)).map(|outline| outline.scrapes())
        };
        let all: [&[u8]; 4] = [&scrape, &exemplars, &histograms, &scrape];
        assert_eq!(outline(&all, 10), Ok(2));
        assert_eq!(outline(&all, 9), Err(DecodeError::TooLarge));
        assert_eq!(outline(&all, 11), Err(DecodeError::Trailing(1)));
        let alone = Err(DecodeError::RecordKind(EXEMPLARS));
        assert_eq!(outline(&[&exemplars], 5), alone);
    }
}
