//! Records within a frame.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::cursor::{Reader, put_length, put_string, put_varint, put_zigzag};
use super::number::Value;
use super::{Column, DecodeError, Exemplar, LABELS_MAX, NativeHistogram, PARTS_MAX, Part};
use crate::exposition::is_exemplar;
use crate::model::{
    FailureReason, Format, Heartbeat, Labels, Outcome, Record, Scrape, Tally, Text,
};

const RAW: u8 = 1;
const FAILED: u8 = 2;
const GONE: u8 = 3;
const HEARTBEAT: u8 = 4;
/// A scrape by its shape; it is read and written where the lane's state is.
pub(super) const COLUMNS: u8 = 5;
/// Says that the next record is a part of a scrape.
const PART: u8 = 6;
/// The exemplars of the columns record before it.
pub(super) const EXEMPLARS: u8 = 7;
/// The native histograms of the columns record before it.
pub(super) const HISTOGRAMS: u8 = 8;

/// A failed scrape of which some samples were read.
const FAILED_BEHIND: u8 = 9;

/// No record is shorter than this: kind, time, an empty target.
pub(super) const RECORD_MIN: usize = 3;

/// Writes a record; the text of a raw one goes to `texts`.
pub(super) fn write(record: &Record, base_ms: i64, out: &mut Vec<u8>, texts: &mut Vec<u8>) {
    let offset = record.time_ms().wrapping_sub(base_ms);
    let start = |out: &mut Vec<u8>, kind| {
        out.push(kind);
        put_zigzag(out, offset);
    };
    match record {
        Record::Scrape(Scrape {
            target, outcome, ..
        }) => match outcome {
            Outcome::Exposed {
                body: Text { text, format },
                duration,
            } => {
                start(out, RAW);
                write_target(target, out);
                put_varint(out, micros(*duration));
                out.push(format_code(*format));
                put_length(out, text.len());
                texts.extend_from_slice(text);
            }
            Outcome::Failed {
                reason,
                duration,
                tally,
            } => {
                let has_tally = *tally != Tally::default();
                start(out, if has_tally { FAILED_BEHIND } else { FAILED });
                write_target(target, out);
                put_varint(out, micros(*duration));
                let code = FailureReason::ALL.iter().position(|known| known == reason);
                out.push(
                    code.and_then(|code| u8::try_from(code).ok())
                        .unwrap_or(u8::MAX),
                );
                if has_tally {
                    put_varint(out, tally.scraped);
                    put_varint(out, tally.kept);
                }
            }
            Outcome::Gone | Outcome::Noted(_) => {
                start(out, GONE);
                write_target(target, out);
            }
        },
        Record::Heartbeat(heartbeat) => {
            start(out, HEARTBEAT);
            put_varint(
                out,
                u64::try_from(heartbeat.interval.as_millis()).unwrap_or(u64::MAX),
            );
            put_length(out, heartbeat.live.len());
            for target in &heartbeat.live {
                out.extend_from_slice(&target.to_le_bytes());
            }
        }
    }
}

/// Writes that the next record is a part.
pub(super) fn write_part(part: Part, out: &mut Vec<u8>) {
    out.push(PART);
    put_zigzag(out, 0);
    put_varint(out, u64::from(part.index));
    put_varint(out, u64::from(part.count));
}

/// Reads that a record is a part, if it says so, and then the start of the record itself.
pub(super) fn read_part(
    reader: &mut Reader<'_>,
    (kind, time_ms): (u8, i64),
    base_ms: i64,
) -> Result<(Option<Part>, (u8, i64)), DecodeError> {
    if kind != PART {
        return Ok((None, (kind, time_ms)));
    }
    let mut number = || u32::try_from(reader.varint()?).map_err(|_too_large| DecodeError::Number);
    let (index, count) = (number()?, number()?);
    let start = read_start(reader, base_ms)?;
    if time_ms != base_ms
        || index >= count
        || count > PARTS_MAX
        || !matches!(start.0, RAW | COLUMNS)
    {
        return Err(DecodeError::Number);
    }
    Ok((Some(Part { index, count }), start))
}

/// Writes the exemplars of the columns record before; their texts go to `texts`.
pub(super) fn write_exemplars(exemplars: &[Exemplar], out: &mut Vec<u8>, texts: &mut Vec<u8>) {
    out.push(EXEMPLARS);
    put_zigzag(out, 0);
    put_length(out, exemplars.len());
    let mut next = 0;
    for exemplar in exemplars {
        put_varint(out, u64::from(exemplar.series.wrapping_sub(next)));
        next = exemplar.series.wrapping_add(1);
        put_length(out, exemplar.text.len());
        texts.extend_from_slice(exemplar.text.as_bytes());
    }
}

/// Reads exemplars for a column of a page in a format.
pub(super) fn read_exemplars(
    reader: &mut Reader<'_>,
    texts: &mut Bytes,
    (column, format): (&mut Column, Format),
) -> Result<(), DecodeError> {
    let count = reader.length(reader.remaining() / 2)?;
    if count == 0 || !column.exemplars.is_empty() || format != Format::OpenMetrics {
        return Err(DecodeError::Number);
    }
    let mut next = 0_u32;
    for _ in 0..count {
        let step = u32::try_from(reader.varint()?).map_err(|_too_large| DecodeError::Number)?;
        let series = next.checked_add(step).ok_or(DecodeError::Number)?;
        next = series.checked_add(1).ok_or(DecodeError::Number)?;
        let text = texts.split_to(reader.length(texts.len())?);
        let text = std::str::from_utf8(&text).map_err(|_invalid| DecodeError::Text)?;
        let has_value = column.get(series as usize) != Value::NONE;
        // It goes into expositions that are written anew, so it must be nothing else.
        if !has_value || text.contains('\n') || !is_exemplar(format!(" # {text}").as_bytes()) {
            return Err(DecodeError::Text);
        }
        column.exemplars.push(Exemplar {
            series,
            text: text.into(),
        });
    }
    Ok(())
}

/// Writes the native histograms of the columns record before; series and messages go to `texts`.
pub(super) fn write_histograms(
    histograms: &[NativeHistogram],
    out: &mut Vec<u8>,
    texts: &mut Vec<u8>,
) {
    out.push(HISTOGRAMS);
    put_zigzag(out, 0);
    put_length(out, histograms.len());
    for NativeHistogram { series, message } in histograms {
        put_length(out, series.len());
        put_length(out, message.len());
        texts.extend_from_slice(series.as_bytes());
        texts.extend_from_slice(message);
    }
}

/// Reads native histograms for a column.
pub(super) fn read_histograms(
    reader: &mut Reader<'_>,
    texts: &mut Bytes,
    column: &mut Column,
) -> Result<(), DecodeError> {
    let count = reader.length(reader.remaining() / 2)?;
    if count == 0 || !column.histograms.is_empty() {
        return Err(DecodeError::Number);
    }
    for _ in 0..count {
        let series = reader.length(texts.len())?;
        let message = reader.length(texts.len() - series)?;
        let series = texts.split_to(series);
        let series = std::str::from_utf8(&series).map_err(|_invalid| DecodeError::Text)?;
        if series.is_empty() || series.contains('\n') {
            return Err(DecodeError::Text);
        }
        column.histograms.push(NativeHistogram {
            series: series.into(),
            message: texts.split_to(message),
        });
    }
    Ok(())
}

/// Reads what every record begins with: its kind and its time.
pub(super) fn read_start(reader: &mut Reader<'_>, base_ms: i64) -> Result<(u8, i64), DecodeError> {
    let kind = reader.byte()?;
    let time_ms = base_ms
        .checked_add(reader.zigzag()?)
        .ok_or(DecodeError::Number)?;
    Ok((kind, time_ms))
}

/// Reads the rest of a record; the text of a raw one is taken from the front of `texts`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    (kind, time_ms): (u8, i64),
    texts: &mut Bytes,
) -> Result<Record, DecodeError> {
    if kind == HEARTBEAT {
        let interval = Duration::from_millis(reader.varint()?);
        let count = reader.length(reader.remaining() / 8)?;
        let live: Result<Vec<u64>, DecodeError> = (0..count)
            .map(|_| reader.array().map(u64::from_le_bytes))
            .collect();
        return Ok(Record::Heartbeat(Heartbeat {
            time_ms,
            interval,
            live: live?,
        }));
    }
    if !matches!(kind, RAW | FAILED | FAILED_BEHIND | GONE) {
        return Err(DecodeError::RecordKind(kind));
    }
    let target = Arc::new(read_target(reader)?);
    let outcome = match kind {
        RAW => {
            let duration = Duration::from_micros(reader.varint()?);
            let format = format_of_code(reader.byte()?)?;
            let length = reader.length(texts.len())?;
            let text = texts.split_to(length);
            Outcome::Exposed {
                body: Text { text, format },
                duration,
            }
        }
        FAILED | FAILED_BEHIND => {
            let duration = Duration::from_micros(reader.varint()?);
            let code = usize::from(reader.byte()?);
            let reason = FailureReason::ALL
                .get(code)
                .copied()
                .ok_or(DecodeError::Number)?;
            let tally = if kind == FAILED_BEHIND {
                Tally {
                    scraped: reader.varint()?,
                    kept: reader.varint()?,
                }
            } else {
                Tally::default()
            };
            Outcome::Failed {
                reason,
                duration,
                tally,
            }
        }
        _ => Outcome::Gone,
    };
    Ok(Record::Scrape(Scrape {
        target,
        time_ms,
        outcome,
    }))
}

pub(super) fn write_target(target: &Labels, out: &mut Vec<u8>) {
    put_length(out, target.len());
    for (name, value) in target.iter() {
        put_string(out, name);
        put_string(out, value);
    }
}

pub(super) fn read_target(reader: &mut Reader<'_>) -> Result<Labels, DecodeError> {
    let count = reader.length(LABELS_MAX)?;
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, value) = (reader.string()?, reader.string()?);
        let ascends = pairs.last().is_none_or(|(last, _)| *last < name);
        if !ascends || name.is_empty() || value.is_empty() {
            return Err(DecodeError::Labels);
        }
        pairs.push((name, value));
    }
    Ok(Labels::new(pairs))
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn format_code(format: Format) -> u8 {
    match format {
        Format::Text => 0,
        Format::OpenMetrics => 1,
    }
}

pub(super) fn format_of_code(code: u8) -> Result<Format, DecodeError> {
    match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::OpenMetrics),
        _ => Err(DecodeError::Number),
    }
}
