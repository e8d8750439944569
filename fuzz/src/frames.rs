//! Frames with right checks, by `docs/wire.md`.

use crate::Input;
use crate::shapes::put_varint;

/// Sections are decompressed up to here to find their check.
const DECODED_MAX: usize = 1 << 20;

/// A frame in parts.
#[derive(Default)]
pub struct Parts {
    /// Version, flags, epoch, number, distance and time, as they are written.
    pub head: Vec<u8>,
    /// The four sections, decoded.
    pub sections: [Vec<u8>; 4],
}

impl Parts {
    /// Takes a frame apart; `None` if it has not the form of one.
    pub fn open(payload: &[u8]) -> Option<Self> {
        let payload = payload.get(..payload.len().checked_sub(4)?)?;
        let mut at = 2;
        for _ in ["epoch", "number", "base", "time"] {
            varint(payload, &mut at)?;
        }
        let mut parts = Self {
            head: payload.get(..at)?.to_vec(),
            ..Self::default()
        };
        while at < payload.len() {
            let (tag, coding) = (*payload.get(at)?, *payload.get(at + 1)?);
            at += 2;
            let length = usize::try_from(varint(payload, &mut at)?).ok()?;
            let encoded = match coding {
                0 => length,
                _ => usize::try_from(varint(payload, &mut at)?).ok()?,
            };
            let bytes = payload.get(at..at.checked_add(encoded)?)?;
            at += encoded;
            let section = parts.sections.get_mut(usize::from(tag).checked_sub(1)?)?;
            *section = match coding {
                0 => bytes.to_vec(),
                _ => zstd::bulk::decompress(bytes, length.min(DECODED_MAX)).ok()?,
            };
        }
        Some(parts)
    }

    /// Puts a frame together, its sections as they are.
    pub fn seal(&self) -> Vec<u8> {
        let mut out = self.head.clone();
        for (tag, section) in (1..).zip(&self.sections) {
            if tag == 1 || !section.is_empty() {
                out.extend_from_slice(&[tag, 0]);
                put_varint(&mut out, section.len() as u64);
                out.extend_from_slice(section);
            }
        }
        out.extend_from_slice(&self.check().to_le_bytes());
        out
    }

    fn check(&self) -> u32 {
        let mut check = crc32fast::Hasher::new();
        check.update(&self.head);
        self.sections.iter().for_each(|bytes| check.update(bytes));
        check.finalize()
    }

    /// Takes parts from the fuzzer's bytes.
    pub fn take(input: &mut Input<'_>) -> Self {
        let head = input.part().to_vec();
        Self {
            head,
            sections: std::array::from_fn(|_| input.part().to_vec()),
        }
    }

    /// Writes parts as [`Self::take`] reads them.
    pub fn put(&self, out: &mut Vec<u8>) {
        Input::put(&self.head, out);
        self.sections
            .iter()
            .for_each(|section| Input::put(section, out));
    }
}

/// Gives a frame the check that it should have, if it has the form of one.
pub fn fix_check(payload: &[u8]) -> Vec<u8> {
    let mut fixed = payload.to_vec();
    if let Some(parts) = Parts::open(payload)
        && let Some(end) = fixed.last_chunk_mut()
    {
        *end = parts.check().to_le_bytes();
    }
    fixed
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
