//! The fuzzer's bytes, taken apart.

/// Bytes that are taken from the front; behind their end everything is 0 or empty.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Begins.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Tells whether all is taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a byte.
    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *byte
    }

    /// Takes bytes of a fixed number.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Takes a part: its length in two bytes, little-endian, and so many bytes.
    pub fn part(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_le_bytes(self.array()));
        let (part, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        part
    }

    /// Takes all that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Writes a part.
    pub fn put(part: &[u8], out: &mut Vec<u8>) {
        let length = u16::try_from(part.len()).expect("a part of a seed is short");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(part);
    }
}
