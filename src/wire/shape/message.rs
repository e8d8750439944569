//! Shape messages: shapes back to back, each whole, as a patch of another, or beside a sibling.

use std::cell::RefCell;
use std::sync::Arc;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, compress_bound};

use super::content::CONTENT_MAX;
use super::sibling::{Coded, Siblings};
use super::{Shape, ShapeId};
use crate::wire::cursor::{Reader, put_length};
use crate::wire::{DecodeError, SHAPES_VERSION};

const WHOLE: u8 = 1;
const PATCH: u8 = 2;
const SIBLING: u8 = 3;

/// Shapes are sent rarely and kept long, so the slow levels pay: level 9 is a tenth smaller than
/// level 3 at some 2 microseconds per series.
const ZSTD_LEVEL: i32 = 9;

/// The level for a shape that others are siblings of, and that is repeated as it is for as long as
/// it is in use: another tenth smaller, at some 10 microseconds per series once.
const ZSTD_LEVEL_THOROUGH: i32 = 16;

/// A content that is longer would take too long: about a fifth of a second.
const THOROUGH_MAX: usize = 1 << 20;

/// The level at which many shapes are sent at once.
const ZSTD_LEVEL_HURRIED: i32 = 3;

/// The level for a content that is nearly its prefix: long matches leave nearly nothing to do.
const LEVEL_LIKE: i32 = 1;

/// What a long match has at least: a line. Shorter ones are left to the level.
const LONG_MATCH: u32 = 64;

/// The base 2 logarithm of how many positions one is remembered of for long matches: fewer take
/// longer to be found again behind a difference, more take longer to keep.
const LONG_RATE_LOG: u32 = 6;

/// The base 2 logarithm of the places of the table for short matches: there are few.
const SHORT_LOG: u32 = 15;

/// A patch that is so many times smaller than the content is taken without trying how small the
/// content gets on its own, which is an eighth for most: it would take as long again.
const CLEARLY: usize = 20;

/// The window that reaches any content from the end of another of the largest size.
const WINDOW_LOG_MAX: u32 = 27;

/// Why a shape message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Another version's.
    #[error("shape message version {0} is unknown; this program reads version {SHAPES_VERSION}")]
    Version(u8),
    /// An entry of an unknown kind.
    #[error("shape kind {0} is unknown")]
    Kind(u8),
    /// The bytes are not a shape's.
    #[error("shape is malformed")]
    Malformed {
        /// What is wrong with them.
        source: DecodeError,
    },
    /// It patches a shape that is not there.
    #[error("shape `{0}`, which is patched, is not known")]
    UnknownShape(ShapeId),
    /// Compressed bytes that do not decompress to what was declared.
    #[error("shape does not decompress to its declared length")]
    Compression,
    /// The content is not what the name says.
    #[error("shape's content does not match its name `{0}`")]
    Check(ShapeId),
    /// The text is not an exposition's.
    #[error("shape's text is not lines of an exposition, or has a series twice")]
    NotLines,
    /// There is no room for more shapes.
    #[error("no room for more shapes: at most {limit} bytes")]
    Full {
        /// The limit.
        limit: usize,
    },
}

impl ShapeError {
    /// Returns the label value: a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Version(_) => "version",
            Self::UnknownShape(_) => "unknown_shape",
            Self::Compression => "compression",
            Self::Check(_) => "check",
            Self::Full { .. } => "full",
            Self::Malformed {
                source: DecodeError::TooLarge,
            } => "too_large",
            Self::Malformed {
                source: DecodeError::Truncated | DecodeError::Trailing(_),
            } => "length",
            Self::Kind(_) | Self::Malformed { .. } | Self::NotLines => "malformed",
        }
    }
}

/// Writes a shape message.
pub struct ShapeWriter {
    out: Vec<u8>,
    level: i32,
}

impl Default for ShapeWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ShapeWriter {
    /// Begins a message.
    pub fn new() -> Self {
        Self {
            out: vec![SHAPES_VERSION],
            level: ZSTD_LEVEL,
        }
    }

    /// Begins a message in a hurry: a tenth larger at a fifth of the time.
    pub fn hurried() -> Self {
        Self {
            level: ZSTD_LEVEL_HURRIED,
            ..Self::new()
        }
    }

    /// Begins a message whose shapes are repeated as they are: a tenth smaller at some five times
    /// the time.
    pub fn thorough() -> Self {
        Self {
            level: ZSTD_LEVEL_THOROUGH,
            ..Self::new()
        }
    }

    /// Returns the bytes so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Tells whether there is no shape yet.
    pub fn is_empty(&self) -> bool {
        self.out.len() == 1
    }

    /// Adds a shape as a whole.
    pub fn whole(&mut self, shape: &Shape) {
        let content = shape.content();
        let packed = self.alone(&content);
        self.put_whole(shape, content.len(), &packed);
    }

    fn alone(&self, content: &[u8]) -> Vec<u8> {
        let level = match self.level {
            ZSTD_LEVEL_THOROUGH if content.len() > THOROUGH_MAX => ZSTD_LEVEL,
            level => level,
        };
        compress(content, &[], level)
    }

    /// Adds a shape as a patch of another, which readers must have, if that is smaller; tells
    /// whether it was.
    pub fn patch(&mut self, shape: &Shape, base: &Shape) -> bool {
        let (content, prefix) = (shape.content(), base.content());
        // What follows another shape of the target differs from it in a few stretches; siblings,
        // which have other labels and values, do so everywhere.
        let quick = (shape.target() == base.target())
            .then(|| compress(&content, &prefix, LEVEL_LIKE))
            .filter(|patch| (patch.len() + ShapeId::LENGTH) * CLEARLY < content.len());
        let patch = quick.unwrap_or_else(|| compress(&content, &prefix, self.level));
        let patch_len = patch.len() + ShapeId::LENGTH;
        if !self.is_worth(patch_len, shape, &content) {
            return false;
        }
        self.put(PATCH, &[shape, base]);
        put_length(&mut self.out, content.len());
        self.put_bytes(&patch);
        true
    }

    /// Adds a shape as a sibling of another of its kind, and of a second one if there is one,
    /// which readers must have, if that is smaller; tells whether it was.
    pub fn sibling(&mut self, shape: &Shape, base: &Shape, second: Option<&Shape>) -> bool {
        let Some(Coded { coded, raw }) = (Siblings { base, second }).encode(shape) else {
            return self.patch(shape, base);
        };
        let (front, prefix) = (shape.front(), base.front());
        // What has the same page differs in the labels alone.
        let is_like = Arc::ptr_eq(shape.page(), base.page());
        let level = match self.level {
            ZSTD_LEVEL_HURRIED if is_like => LEVEL_LIKE,
            level => level,
        };
        let packed = compress(&front, &prefix, level);
        let length = 2 * ShapeId::LENGTH + packed.len() + coded.len() + raw.len();
        if !self.is_worth(length, shape, &shape.content()) {
            return false;
        }
        self.put(SIBLING, &[shape, base, second.unwrap_or(base)]);
        put_length(&mut self.out, front.len());
        self.put_bytes(&packed);
        self.put_bytes(&coded);
        self.put_bytes(&raw);
        true
    }

    /// Tells whether a shape that takes so many bytes beside others takes more alone; if not, it
    /// is added as a whole.
    fn is_worth(&mut self, length: usize, shape: &Shape, content: &[u8]) -> bool {
        if length * CLEARLY < content.len() {
            return true;
        }
        let whole = self.alone(content);
        if length < whole.len() {
            return true;
        }
        self.put_whole(shape, content.len(), &whole);
        false
    }

    fn put_whole(&mut self, shape: &Shape, length: usize, packed: &[u8]) {
        self.put(WHOLE, &[shape]);
        put_length(&mut self.out, length);
        self.put_bytes(packed);
    }

    /// Begins an entry: its kind, its name, and what it needs.
    fn put(&mut self, kind: u8, shapes: &[&Shape]) {
        self.out.push(kind);
        for shape in shapes {
            self.out.extend_from_slice(shape.id().as_bytes());
        }
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        put_length(&mut self.out, bytes.len());
        self.out.extend_from_slice(bytes);
    }

    /// Returns the message.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// What a message says of a shape before its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeEntry {
    /// Its name.
    pub id: ShapeId,
    /// The shape that it is a patch or a sibling of.
    pub base: Option<ShapeId>,
}

impl ShapeEntry {
    /// Lists the shapes of a message without unpacking them.
    pub fn list(payload: &[u8]) -> Result<Vec<Self>, ShapeError> {
        let mut reader = Reader::new(payload);
        read_version(&mut reader)?;
        let mut entries = Vec::new();
        while reader.remaining() > 0 {
            let Packed { id, base, .. } = Packed::read(&mut reader)?;
            entries.push(Self { id, base });
        }
        Ok(entries)
    }
}

/// Reads what a message begins with.
pub(super) fn read_version(reader: &mut Reader<'_>) -> Result<(), ShapeError> {
    let version = reader.byte();
    match version.map_err(|source| ShapeError::Malformed { source })? {
        SHAPES_VERSION => Ok(()),
        version => Err(ShapeError::Version(version)),
    }
}

/// One entry of a message.
pub(super) struct Packed<'a> {
    pub(super) id: ShapeId,
    pub(super) base: Option<ShapeId>,
    /// What the base is compared with.
    pub(super) second: Option<ShapeId>,
    length: usize,
    bytes: &'a [u8],
    /// The coded template of a sibling, and its raw bits.
    template: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Packed<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, ShapeError> {
        let malformed = |source| ShapeError::Malformed { source };
        let kind = reader.byte().map_err(malformed)?;
        if !matches!(kind, WHOLE | PATCH | SIBLING) {
            return Err(ShapeError::Kind(kind));
        }
        let mut rest = || {
            let id = ShapeId::new(reader.array()?);
            let mut needed = |is_needed: bool| {
                let name = is_needed.then(|| reader.array().map(ShapeId::new));
                name.transpose()
            };
            let base = needed(kind != WHOLE)?;
            let second = needed(kind == SIBLING)?;
            let length = reader.length(CONTENT_MAX)?;
            let mut bytes = || {
                reader
                    .length(reader.remaining())
                    .map(|length| reader.bytes(length))
            };
            Ok(Self {
                id,
                base,
                second: second.filter(|second| Some(*second) != base),
                length,
                bytes: bytes()??,
                template: match kind {
                    SIBLING => Some((bytes()??, bytes()??)),
                    _ => None,
                },
            })
        };
        rest().map_err(malformed)
    }

    /// Returns the shapes that it needs.
    pub(super) fn needs(&self) -> impl Iterator<Item = ShapeId> {
        self.base.into_iter().chain(self.second)
    }

    /// Unpacks and reads the shape, which `known` has the needed ones of.
    pub(super) fn open<'s>(
        &self,
        known: impl Fn(ShapeId) -> Option<&'s Arc<Shape>>,
    ) -> Result<Shape, ShapeError> {
        let find = |id: Option<ShapeId>| match id {
            Some(id) => known(id).map(Some).ok_or(ShapeError::UnknownShape(id)),
            None => Ok(None),
        };
        let (base, second) = (find(self.base)?, find(self.second)?);
        if let (Some(base), Some(template)) = (base, self.template) {
            let siblings = Siblings {
                base,
                second: second.map(|second| &**second),
            };
            let front = decompress(self.bytes, &base.front(), self.length);
            let front = front.ok_or(ShapeError::Compression)?;
            return Shape::read_front(self.id, &front, base.page(), |page| {
                siblings.decode(page, template)
            });
        }
        let prefix = base.map(|base| base.content()).unwrap_or_default();
        let content =
            decompress(self.bytes, &prefix, self.length).ok_or(ShapeError::Compression)?;
        if ShapeId::of(&content) != self.id {
            return Err(ShapeError::Check(self.id));
        }
        Shape::read(self.id, &content, base.map(|base| &**base.page()))
    }
}

/// Returns the base 2 logarithm of a window that covers so many bytes.
fn window_log(length: usize) -> u32 {
    length
        .next_power_of_two()
        .trailing_zeros()
        .clamp(10, WINDOW_LOG_MAX)
}

/// Compresses a content, with another before it that the reader has too.
///
/// It cannot fail, since the parameters are in their bounds and the room is what zstd asks for;
/// if it did, readers would refuse what is empty.
fn compress(content: &[u8], prefix: &[u8], level: i32) -> Vec<u8> {
    try_compress(content, prefix, level).unwrap_or_default()
}

fn try_compress(content: &[u8], prefix: &[u8], level: i32) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(compress_bound(content.len()));
    let mut context = CCtx::create();
    let window = window_log(content.len() + prefix.len());
    context.set_parameter(CParameter::CompressionLevel(level))?;
    context.set_parameter(CParameter::WindowLog(window))?;
    context.set_parameter(CParameter::ContentSizeFlag(false))?;
    if level == LEVEL_LIKE {
        context.set_parameter(CParameter::HashLog(SHORT_LOG))?;
        context.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
        context.set_parameter(CParameter::LdmMinMatch(LONG_MATCH))?;
        context.set_parameter(CParameter::LdmHashRateLog(LONG_RATE_LOG))?;
    }
    context.ref_prefix(prefix)?;
    context.compress2(&mut out, content)?;
    Ok(out)
}

thread_local! {
    /// What decompresses: it takes some 100 KB, which a shape that is decompressed in a few
    /// microseconds should not wait for.
    static UNPACKER: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// Decompresses into a buffer of exactly the declared length, so that a bomb has no room.
fn decompress(packed: &[u8], prefix: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(length);
    UNPACKER.with_borrow_mut(|context| {
        // A dictionary is content that is just there before, unless it begins with a certain
        // number; the content of a shape does not.
        let unpacked = context.decompress_using_dict(&mut out, packed, prefix);
        unpacked.ok()
    })?;
    (out.len() == length).then_some(out)
}
