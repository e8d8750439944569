//! The bytes of a record.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;

use super::{Entry, Kind, PAYLOAD_MAX};

/// Bytes of a record in front of its payload.
pub(super) const HEAD_BYTES: usize = 57;

/// Bytes of a record that its length does not count: the length itself and the check.
const PREFIX_BYTES: usize = 8;

/// The least length.
const LENGTH_MIN: usize = HEAD_BYTES - PREFIX_BYTES;

/// Returns the bytes that an entry takes on disk.
pub(super) fn size_of(entry: &Entry) -> u64 {
    (HEAD_BYTES as u64).saturating_add(entry.payload.len() as u64)
}

/// Writes what stands in front of the payload; `None` if the payload is too large.
pub(super) fn head(entry: &Entry, sequence: u64) -> Option<Vec<u8>> {
    if entry.payload.len() > PAYLOAD_MAX {
        return None;
    }
    let length = u32::try_from(LENGTH_MIN + entry.payload.len()).ok()?;
    let mut fields = Vec::with_capacity(LENGTH_MIN);
    fields.extend_from_slice(&sequence.to_le_bytes());
    fields.extend_from_slice(&entry.lane.to_le_bytes());
    fields.extend_from_slice(&entry.epoch.to_le_bytes());
    fields.extend_from_slice(&entry.number.to_le_bytes());
    let (kind, part) = code(entry.kind);
    fields.push(kind);
    fields.extend_from_slice(&part.to_le_bytes());
    fields.extend_from_slice(&entry.scrapes.to_le_bytes());
    fields.extend_from_slice(&entry.closed_ms.to_le_bytes());
    let check = check(length, &fields, &entry.payload);
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&check.to_le_bytes());
    head.append(&mut fields);
    Some(head)
}

/// Why there is no record.
#[derive(Debug)]
pub(super) enum Bad {
    /// The bytes are no record.
    Damaged,
    /// The bytes cannot be read.
    Io(io::Error),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A file that ends too early was cut.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => Self::Damaged,
            _ => Self::Io(error),
        }
    }
}

/// Reads the record at `offset` of a file whose records end at `end`, with its sequence.
///
/// `room` is where the payload is read to, and what the entry takes along.
pub(super) fn read(
    file: &File,
    offset: u64,
    end: u64,
    room: &mut Vec<u8>,
) -> Result<(u64, Entry), Bad> {
    let mut head = [0; HEAD_BYTES];
    if end.saturating_sub(offset) < HEAD_BYTES as u64 {
        return Err(Bad::Damaged);
    }
    file.read_exact_at(&mut head, offset)?;
    let (prefix, fields) = head
        .split_first_chunk::<PREFIX_BYTES>()
        .ok_or(Bad::Damaged)?;
    let prefix = &mut prefix.as_slice();
    let length = u32::from_le_bytes(take(prefix)?);
    let expected = u32::from_le_bytes(take(prefix)?);

    let after = offset.saturating_add(HEAD_BYTES as u64);
    let payload_length = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_sub(LENGTH_MIN))
        .filter(|length| *length <= PAYLOAD_MAX && *length as u64 <= end.saturating_sub(after))
        .ok_or(Bad::Damaged)?;
    room.resize(payload_length, 0);
    file.read_exact_at(room, after)?;
    if check(length, fields, room) != expected {
        return Err(Bad::Damaged);
    }
    let fields = &mut { fields };
    let sequence = u64::from_le_bytes(take(fields)?);
    let entry = Entry {
        lane: u32::from_le_bytes(take(fields)?),
        epoch: u64::from_le_bytes(take(fields)?),
        number: u64::from_le_bytes(take(fields)?),
        kind: {
            let [kind] = take(fields)?;
            kind_of(kind, u32::from_le_bytes(take(fields)?))?
        },
        scrapes: u64::from_le_bytes(take(fields)?),
        closed_ms: i64::from_le_bytes(take(fields)?),
        payload: Bytes::from(std::mem::take(room)),
    };
    Ok((sequence, entry))
}

const SHAPE: u8 = 1;
const KEY: u8 = 2;
const DELTA: u8 = 3;

fn code(kind: Kind) -> (u8, u32) {
    match kind {
        Kind::Shape { part } => (SHAPE, part),
        Kind::Key => (KEY, 0),
        Kind::Delta => (DELTA, 0),
    }
}

fn kind_of(code: u8, part: u32) -> Result<Kind, Bad> {
    match (code, part) {
        (SHAPE, part) => Ok(Kind::Shape { part }),
        (KEY, 0) => Ok(Kind::Key),
        (DELTA, 0) => Ok(Kind::Delta),
        _ => Err(Bad::Damaged),
    }
}

fn check(length: u32, fields: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(fields);
    hasher.update(payload);
    hasher.finalize()
}

/// Takes some bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Bad> {
    let (taken, rest) = bytes.split_first_chunk::<N>().ok_or(Bad::Damaged)?;
    *bytes = rest;
    Ok(*taken)
}
