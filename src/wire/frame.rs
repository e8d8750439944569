//! A whole frame.

use bytes::Bytes;

use super::cursor::{Reader, put_length, put_varint, put_zigzag};
use super::{DECODED_MAX, VERSION, record};
use crate::model::Record;

const FLAG_KEY: u8 = 1;

const SECTION_RECORDS: u8 = 1;
const SECTION_TEXTS: u8 = 2;

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
    /// It needs another frame, which this version never writes.
    #[error("frame is no key frame")]
    Delta,
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
            Self::TooLarge => "too_large",
            Self::Delta => "no_base",
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
    let mut section = Vec::with_capacity(64 * records.len());
    let mut texts = Vec::new();
    put_length(&mut section, records.len());
    for record in records {
        record::write(record, base_ms, &mut section, &mut texts);
    }

    let mut out = Vec::with_capacity(64 + section.len() + texts.len() / 4);
    out.push(VERSION);
    out.push(if header.is_key() { FLAG_KEY } else { 0 });
    put_varint(&mut out, header.epoch);
    put_varint(&mut out, header.number);
    put_varint(&mut out, header.number.saturating_sub(header.base));
    put_zigzag(&mut out, base_ms);

    let mut check = crc32fast::Hasher::new();
    check.update(&out);
    check.update(&section);
    check.update(&texts);
    put_section(&mut out, SECTION_RECORDS, &section);
    if !texts.is_empty() {
        put_section(&mut out, SECTION_TEXTS, &texts);
    }
    out.extend_from_slice(&check.finalize().to_le_bytes());
    out
}

/// Reads a frame.
pub fn decode(payload: &[u8]) -> Result<Frame, DecodeError> {
    let mut reader = Reader::new(payload);
    let version = reader.byte()?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let flags = reader.byte()?;
    if flags & !FLAG_KEY != 0 {
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
    if !header.is_key() || flags & FLAG_KEY == 0 {
        return Err(DecodeError::Delta);
    }

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
    let records = read_records(&sections.records, base_ms, sections.texts)?;
    Ok(Frame { header, records })
}

#[derive(Default)]
struct Sections {
    records: Vec<u8>,
    texts: Bytes,
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
        if tag <= last_tag || !matches!(tag, SECTION_RECORDS | SECTION_TEXTS) {
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
            _ => sections.texts = decoded.into(),
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
        records.push(record::read(&mut reader, base_ms, &mut texts)?);
    }
    match reader.remaining() + texts.len() {
        0 => Ok(records),
        left => Err(DecodeError::Trailing(left)),
    }
}

fn put_section(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    let compressed = if bytes.len() < COMPRESS_MIN {
        None
    } else {
        // zstd fails only when its output buffer is too small, which `compress` rules out.
        zstd::bulk::compress(bytes, ZSTD_LEVEL)
            .ok()
            .filter(|small| small.len() < bytes.len())
    };
    match compressed {
        None => {
            out.push(CODING_PLAIN);
            put_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
        Some(small) => {
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
