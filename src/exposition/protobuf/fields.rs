//! What all protobuf messages are made of: numbered fields, read one after the other.

use super::error::Fault;

/// The fields of a message that are not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a [u8]);

/// The value of a field, by its wire type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// Groups within each other: an encoding of old, which only unknown fields can have. Other readers
/// have the same limit.
const GROUP_DEPTH_MAX: usize = 100;

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// Reads the next field, number first; `None` at the end. Groups are stepped over.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Fault> {
        let mut depth = 0;
        while !self.0.is_empty() {
            let tag = self.varint()?;
            // As other readers: what is above 32 bits is cut off.
            let [t0, t1, t2, t3, ..] = (tag >> 3).to_le_bytes();
            let number = u32::from_le_bytes([t0, t1, t2, t3]);
            if number == 0 || number > i32::MAX.cast_unsigned() {
                return Err(Fault::Tag);
            }
            let value = match tag & 7 {
                0 => Value::Varint(self.varint()?),
                1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
                2 => {
                    let length = usize::try_from(self.varint()?);
                    Value::Bytes(self.take(length.map_err(|_too_large| Fault::Truncated)?)?)
                }
                3 if depth < GROUP_DEPTH_MAX => {
                    depth += 1;
                    continue;
                }
                4 if depth > 0 => {
                    depth -= 1;
                    continue;
                }
                5 => {
                    self.array::<4>()?;
                    Value::Fixed32
                }
                _ => return Err(Fault::Tag),
            };
            if depth == 0 {
                return Ok(Some((number, value)));
            }
        }
        if depth > 0 {
            return Err(Fault::Truncated);
        }
        Ok(None)
    }

    /// Reads a message that stands behind its length; `None` at the end.
    pub(super) fn delimited(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let length = usize::try_from(self.varint()?).map_err(|_too_large| Fault::Truncated)?;
        self.take(length).map(Some)
    }

    pub(super) fn remaining(&self) -> usize {
        self.0.len()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Fault::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Fault::Truncated)?;
        self.0 = rest;
        Ok(*array)
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Fault::Truncated)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::Varint)
    }
}

impl<'a> Value<'a> {
    pub(super) fn varint(self) -> Result<u64, Fault> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(Fault::WireType),
        }
    }

    pub(super) fn signed(self) -> Result<i64, Fault> {
        self.varint().map(u64::cast_signed)
    }

    pub(super) fn double(self) -> Result<f64, Fault> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(Fault::WireType),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Fault> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Fault::WireType),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_invalid| Fault::Utf8)
    }

    pub(super) fn message(self) -> Result<Fields<'a>, Fault> {
        self.bytes().map(Fields::new)
    }

    /// Reads an integer of a list, or several that are packed into one field.
    pub(super) fn varints(
        self,
        mut put: impl FnMut(u64) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let Self::Varint(value) = self {
            return put(value);
        }
        let mut packed = self.message()?;
        while packed.remaining() > 0 {
            put(packed.varint()?)?;
        }
        Ok(())
    }

    /// Reads a double of a list, or several that are packed into one field.
    pub(super) fn doubles(
        self,
        mut put: impl FnMut(f64) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let Self::Fixed64(bits) = self {
            return put(f64::from_bits(bits));
        }
        let mut packed = self.message()?;
        while packed.remaining() > 0 {
            put(f64::from_bits(u64::from_le_bytes(packed.array()?)))?;
        }
        Ok(())
    }
}

/// Undoes the mapping of signed integers to short varints, 64 bits wide.
pub(super) fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The same for 32 bits; as other readers do, what is above is cut off first.
pub(super) fn zigzag32(value: u64) -> i32 {
    let value = low32(value);
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

pub(super) fn low32(value: u64) -> u32 {
    let [v0, v1, v2, v3, ..] = value.to_le_bytes();
    u32::from_le_bytes([v0, v1, v2, v3])
}
