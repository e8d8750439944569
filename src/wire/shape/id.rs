//! A shape's name.

use std::fmt;

use sha2::{Digest, Sha256};

/// The first 128 bits of the SHA-256 of a shape's content.
///
/// SHA-256 because a site must not be able to make two shapes of one name, and because it is in
/// every language's standard library; half of it, because a frame names shapes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ShapeId([u8; Self::LENGTH]);

impl ShapeId {
    /// Bytes of a name.
    pub const LENGTH: usize = 16;

    /// Names a content.
    pub fn of(content: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::digest(content).into();
        let mut id = [0; Self::LENGTH];
        for (id, hash) in id.iter_mut().zip(hash) {
            *id = hash;
        }
        Self(id)
    }

    /// Takes a name as it stands on the wire.
    pub fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Returns the name as it stands on the wire.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Display for ShapeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ShapeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
