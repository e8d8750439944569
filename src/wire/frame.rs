//! A whole frame.

use bytes::Bytes;

use super::cursor::{Reader, put_length, put_varint, put_zigzag};
use super::{DECODED_MAX, ShapeId, VERSION, record};
use crate::model::Record;

const FLAG_KEY: u8 = 1;
const FLAG_KEPT: u8 = 2;

const SECTION_RECORDS: u8 = 1;
const SECTION_TEXTS: u8 = 2;
const SECTION_CODED: u8 = 3;
const SECTION_RAW: u8 = 4;

const CODING_PLAIN: u8 = 0;
const CODING_ZSTD: u8 = 1;

/// zstd's own default: on expositions level 9 saves another tenth at five times the time.
const ZSTD_LEVEL: i32 = 3;

/// A section shorter than this is not worth a zstd frame's own header.
const COMPRESS_MIN: usize = 64;

/// Where a frame stands in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Start of the poller, milliseconds since the Unix epoch.
    pub epoch: u64,
    /// Number of the frame within lane and epoch, from 1.
    pub number: u64,
    /// The frame that must be decoded before this one; its own number in a key frame.
    pub base: u64,
}

impl Header {
    /// Tells whether the frame can be decoded without another.
    pub fn is_key(&self) -> bool {
        self.base == self.number
    }
}

/// A decoded frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Where it stands.
    pub header: Header,
    /// What it carries, in the order of the lane.
    pub records: Vec<Record>,
}

/// Why a payload is not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends too early.
    #[error("frame ends too early")]
    Truncated,
    /// There is something behind its end.
    #[error("frame has {0} bytes behind its end")]
    Trailing(usize),
    /// Another version's.
    #[error("frame version {0} is unknown; this program reads version {VERSION}")]
    Version(u8),
    /// Flags that have no meaning.
    #[error("frame flags {0:#04x} are unknown")]
    Flags(u8),
    /// It needs another frame, and no lane's state is at hand.
    #[error("frame is no key frame")]
    Delta,
    /// It has value columns, and no lane's state is at hand.
    #[error("frame has value columns")]
    Columns,
    /// It has a part of a scrape, and no lane's state is at hand.
    #[error("frame has a part of a scrape")]
    Parts,
    /// Its base is not what was decoded last.
    #[error("frame's base is number {wanted} of epoch {epoch}, which is not the state of the lane")]
    NoBase {
        /// Epoch of the frame.
        epoch: u64,
        /// Number of its base.
        wanted: u64,
    },
    /// It was decoded already, or frames behind it were.
    #[error("frame {0} is not ahead of the lane's state")]
    Behind(u64),
    /// A record is coded by a shape that is not known.
    #[error("shape `{0}` is not known")]
    UnknownShape(ShapeId),
    /// A record's target has no values in this group of frames.
    #[error("target {0} has no base values")]
    UnknownTarget(u32),
    /// The decoded values are not what was encoded: a reader and a writer that disagree.
    #[error("check of the values does not match")]
    Values,
    /// A section that is unknown, repeated or out of order.
    #[error("section {0} is unknown or out of place")]
    Section(u8),
    /// A coding that is unknown.
    #[error("section coding {0} is unknown")]
    Coding(u8),
    /// A count or length over its limit.
    #[error("a length in the frame is larger than allowed or than what is there")]
    TooLarge,
    /// Compressed bytes that do not decompress to what was declared.
    #[error("section does not decompress to its declared length")]
    Compression,
    /// The check does not match: damaged, or a reader and a writer that disagree.
    #[error("check value does not match")]
    Check,
    /// A number out of its range.
    #[error("a number in the frame is out of range")]
    Number,
    /// A string that is not UTF-8.
    #[error("a string in the frame is not UTF-8")]
    Text,
    /// A record kind that is unknown.
    #[error("record kind {0} is unknown")]
    RecordKind(u8),
    /// Labels that are empty, repeated or not sorted.
    #[error("labels of a target are empty, repeated or not sorted")]
    Labels,
}

impl DecodeError {
    /// Returns the label value: a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Truncated | Self::Trailing(_) => "length",
            Self::Version(_) => "version",
            Self::Compression => "compression",
            Self::Check => "check",
            Self::Values => "desync",
            Self::TooLarge => "too_large",
            Self::Delta
            | Self::Columns
            | Self::Parts
            | Self::NoBase { .. }
            | Self::UnknownTarget(_) => "no_base",
            Self::Behind(_) => "behind",
            Self::UnknownShape(_) => "unknown_shape",
            Self::Flags(_)
            | Self::Section(_)
            | Self::Coding(_)
            | Self::Number
            | Self::Text
            | Self::RecordKind(_)
            | Self::Labels => "malformed",
        }
    }
}

/// Writes a key frame.
///
/// The caller keeps the texts of `records` within [`DECODED_MAX`] together.
pub fn encode(header: &Header, records: &[Record]) -> Vec<u8> {
    let base_ms = records.first().map_or(0, Record::time_ms);
    let mut parts = Parts {
        records: Vec::with_capacity(64 * records.len()),
        ..Parts::default()
    };
    put_length(&mut parts.records, records.len());
    for record in records {
        record::write(record, base_ms, &mut parts.records, &mut parts.texts);
    }
    let place = Place {
        header: *header,
        is_kept: header.is_key(),
        base_ms,
    };
    seal(&place, &parts)
}

/// Reads a frame that needs no lane's state: a key frame without value columns.
pub fn decode(payload: &[u8]) -> Result<Frame, DecodeError> {
    let (place, sections) = open(payload)?;
    if !place.header.is_key() {
        return Err(DecodeError::Delta);
    }
    if !sections.coded.is_empty() {
        return Err(DecodeError::Columns);
    }
    let records = read_records(&sections.records, place.base_ms, sections.texts)?;
    Ok(Frame {
        header: place.header,
        records,
    })
}

/// What a frame says of itself.
pub(super) struct Place {
    pub(super) header: Header,
    /// Whether frames behind it may have it as their base.
    pub(super) is_kept: bool,
    pub(super) base_ms: i64,
}

/// A frame's sections, to be written.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) records: Vec<u8>,
    pub(super) texts: Vec<u8>,
    pub(super) coded: Vec<u8>,
    pub(super) raw: Vec<u8>,
}

/// Writes a frame from its sections.
pub(super) fn seal(place: &Place, parts: &Parts) -> Vec<u8> {
    let header = &place.header;
    let size = parts.records.len() + parts.texts.len() / 4 + parts.coded.len() + parts.raw.len();
    let mut out = Vec::with_capacity(64 + size);
    out.push(VERSION);
    out.push(match (header.is_key(), place.is_kept) {
        (true, _) => FLAG_KEY,
        (false, true) => FLAG_KEPT,
        (false, false) => 0,
    });
    put_varint(&mut out, header.epoch);
    put_varint(&mut out, header.number);
    put_varint(&mut out, header.number.saturating_sub(header.base));
    put_zigzag(&mut out, place.base_ms);

    let mut check = crc32fast::Hasher::new();
    check.update(&out);
    let sections = [
        (SECTION_RECORDS, &parts.records),
        (SECTION_TEXTS, &parts.texts),
        (SECTION_CODED, &parts.coded),
        (SECTION_RAW, &parts.raw),
    ];
    for (tag, section) in sections {
        check.update(section);
        match tag {
            SECTION_RECORDS => put_section(&mut out, tag, section),
            _ if section.is_empty() => {}
            SECTION_TEXTS => put_section(&mut out, tag, section),
            // What comes from the range coder cannot be compressed.
            _ => put_plain(&mut out, tag, section),
        }
    }
    out.extend_from_slice(&check.finalize().to_le_bytes());
    out
}

/// Takes a frame apart and checks it as far as that needs no state.
pub(super) fn open(payload: &[u8]) -> Result<(Place, Sections), DecodeError> {
    let mut reader = Reader::new(payload);
    let place = read_place(&mut reader)?;
    let mut check = crc32fast::Hasher::new();
    check.update(
        payload
            .get(..payload.len() - reader.remaining())
            .unwrap_or_default(),
    );
    let sections = read_sections(&mut reader, &mut check)?;
    let expected = u32::from_le_bytes(reader.array()?);
    if reader.remaining() > 0 {
        return Err(DecodeError::Trailing(reader.remaining()));
    }
    if check.finalize() != expected {
        return Err(DecodeError::Check);
    }
    Ok((place, sections))
}

/// Reads what comes before the sections.
pub(super) fn read_place(reader: &mut Reader<'_>) -> Result<Place, DecodeError> {
    let version = reader.byte()?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let flags = reader.byte()?;
    if !matches!(flags, 0 | FLAG_KEY | FLAG_KEPT) {
        return Err(DecodeError::Flags(flags));
    }
    let (epoch, number, distance) = (reader.varint()?, reader.varint()?, reader.varint()?);
    let base = number.checked_sub(distance).ok_or(DecodeError::Number)?;
    let base_ms = reader.zigzag()?;
    let header = Header {
        epoch,
        number,
        base,
    };
    if header.is_key() != (flags == FLAG_KEY) {
        return Err(DecodeError::Flags(flags));
    }
    Ok(Place {
        header,
        is_kept: flags != 0,
        base_ms,
    })
}

/// A frame's sections, decoded.
#[derive(Default)]
pub(super) struct Sections {
    pub(super) records: Vec<u8>,
    pub(super) texts: Bytes,
    pub(super) coded: Vec<u8>,
    pub(super) raw: Vec<u8>,
}

fn read_sections(
    reader: &mut Reader<'_>,
    check: &mut crc32fast::Hasher,
) -> Result<Sections, DecodeError> {
    let mut sections = Sections::default();
    let mut room = DECODED_MAX;
    let mut last_tag = 0;
    // What is left behind the last section is the check value.
    while reader.remaining() > size_of::<u32>() {
        let tag = reader.byte()?;
        if tag <= last_tag || tag > SECTION_RAW {
            return Err(DecodeError::Section(tag));
        }
        last_tag = tag;
        let coding = reader.byte()?;
        let length = reader.length(room)?;
        room -= length;
        let decoded = match coding {
            CODING_PLAIN => reader.bytes(length)?.to_vec(),
            CODING_ZSTD => {
                let encoded = reader.length(reader.remaining())?;
                decompress(reader.bytes(encoded)?, length)?
            }
            _ => return Err(DecodeError::Coding(coding)),
        };
        check.update(&decoded);
        match tag {
            SECTION_RECORDS => sections.records = decoded,
            SECTION_TEXTS => sections.texts = decoded.into(),
            SECTION_CODED => sections.coded = decoded,
            _ => sections.raw = decoded,
        }
    }
    Ok(sections)
}

fn read_records(
    section: &[u8],
    base_ms: i64,
    mut texts: Bytes,
) -> Result<Vec<Record>, DecodeError> {
    let mut reader = Reader::new(section);
    let count = reader.length(section.len() / record::RECORD_MIN)?;
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        let start = record::read_start(&mut reader, base_ms)?;
        let (part, start) = record::read_part(&mut reader, start, base_ms)?;
        if part.is_some() {
            return Err(DecodeError::Parts);
        }
        records.push(record::read(&mut reader, start, &mut texts)?);
    }
    match reader.remaining() + texts.len() {
        0 => Ok(records),
        left => Err(DecodeError::Trailing(left)),
    }
}

fn put_plain(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.push(CODING_PLAIN);
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_section(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    let compressed = if bytes.len() < COMPRESS_MIN {
        None
    } else {
        // zstd fails only when its output buffer is too small, which `compress` rules out.
        zstd::bulk::compress(bytes, ZSTD_LEVEL)
            .ok()
            .filter(|small| small.len() < bytes.len())
    };
    match compressed {
        None => put_plain(out, tag, bytes),
        Some(small) => {
            out.push(tag);
            out.push(CODING_ZSTD);
            put_length(out, bytes.len());
            put_length(out, small.len());
            out.extend_from_slice(&small);
        }
    }
}

/// Decompresses into a buffer of exactly the declared length, so that a bomb has no room.
fn decompress(bytes: &[u8], length: usize) -> Result<Vec<u8>, DecodeError> {
    let decoded =
        zstd::bulk::decompress(bytes, length).map_err(|_damaged| DecodeError::Compression)?;
    if decoded.len() == length {
        Ok(decoded)
    } else {
        Err(DecodeError::Compression)
    }
}
