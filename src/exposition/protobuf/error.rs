//! Why a body of protobuf messages is refused, and where.

use std::fmt;

use super::super::error::quote;

/// The first thing in a body that the format does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ProtobufError {
    /// Where the message of the metric family begins, in bytes.
    pub at: usize,
    /// The family's name, as far as it is known and cut to a sensible length.
    pub family: Box<str>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It ends too early.
    #[error("message ends too early")]
    Truncated,
    /// An integer of more than 64 bits.
    #[error("integer has more than 64 bits")]
    Varint,
    /// A field number or wire type that cannot be.
    #[error("field has no valid number and type")]
    Tag,
    /// A field whose value has another type than the field.
    #[error("value has another type than its field")]
    WireType,
    /// A name, label value or the like that is not text.
    #[error("text is not valid UTF-8")]
    Utf8,
    /// A metric family without a name.
    #[error("metric family has no name")]
    MissingName,
    /// A label without a name.
    #[error("label has no name")]
    MissingLabelName,
    /// A byte 0 in a name.
    #[error("byte 0 in a name")]
    NulByte,
    /// A label name that occurs twice, one of ours among them.
    #[error("label name `{0}` occurs twice")]
    DuplicateLabel(Box<str>),
    /// A metric type that there is not.
    #[error("unknown metric type {0}")]
    UnknownType(u64),
    /// More of something in one metric than anybody needs.
    #[error("more than {LIST_MAX} {0} in one metric")]
    TooMany(&'static str),
    /// As text it is too large.
    #[error("exposition takes more than {0} bytes as text; raise `body_size_limit`")]
    TooLarge(usize),
    /// A native histogram that contradicts itself.
    #[error("native histogram is not valid: {0}")]
    Histogram(#[from] HistogramFault),
}

/// How a native histogram contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramFault {
    /// A schema that nobody knows.
    #[error("unknown schema {0}")]
    Schema(i32),
    /// The spans have another number of buckets than there are.
    #[error("spans need {needed} buckets, there are {found}")]
    SpanLength {
        /// What the spans say.
        needed: u64,
        /// What is there.
        found: usize,
    },
    /// A span that does not begin behind the one before it, or far from all buckets of doubles.
    #[error("span has an offset that cannot be")]
    SpanOffset,
    /// A negative number of observations.
    #[error("negative number of observations")]
    NegativeCount,
    /// The buckets do not sum up to the number of observations.
    #[error("{counted} observations in the buckets, but {said} in all")]
    Count {
        /// What is in the buckets.
        counted: u64,
        /// What the histogram says.
        said: u64,
    },
    /// Bounds of custom buckets that do not rise or are not finite.
    #[error("custom bounds do not rise from one finite number to the next")]
    CustomBounds,
    /// More custom buckets than bounds.
    #[error("custom buckets without bounds")]
    CustomBuckets,
    /// Custom buckets together with a zero bucket or negative ones.
    #[error("custom buckets with a zero bucket or negative buckets")]
    CustomSides,
}

/// Buckets, labels and the like of one metric: far more than any has, so that a few bytes cannot
/// take much memory.
pub(super) const LIST_MAX: usize = 1 << 16;

impl Fault {
    pub(super) fn locate(self, at: usize, family: &[u8]) -> ProtobufError {
        ProtobufError {
            at,
            family: quote(family),
            fault: self,
        }
    }
}

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, family, fault } = self;
        write!(f, "metric family `{family}` at byte {at}: {fault}")
    }
}
