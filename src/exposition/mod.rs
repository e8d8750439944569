//! The text formats: what a target exposes, read and written.
//!
//! In comes a body as a target wrote it; out come its entries, borrowed from the body
//! ([`Parser`]), a verdict ([`check`]), or the body grouped by metric family ([`Families`]) and
//! written again as text format 0.0.4 ([`write_text`]).
//! This module alone knows the grammar of text format 0.0.4 and of `OpenMetrics` 1.0. Where their
//! documents leave a choice, what Prometheus 3 reads is right and what it refuses is wrong.
//! It must never panic or be slower than linear, whatever the bytes; it does no I/O, adds no
//! labels and has no opinion about a sample's age. Bodies are limited by who fetches them.

pub mod protobuf;

mod entry;
mod error;
mod families;
mod float_labels;
mod labels;
mod media;
mod number;
mod parser;
mod protocol;
mod scan;
mod write;

#[cfg(test)]
mod tests;

pub use entry::{Entry, Exemplar, FamilyKind, Label, Sample};
pub use error::{Keyword, Reason, SyntaxError};
pub use families::{Families, Family, FamilySample};
pub use media::{ContentTypeError, MediaType, choose, format_of};
pub(crate) use number::{NORMAL_NAN, parse_seconds, parse_value};
pub use parser::{Parser, Summary, check};
pub(crate) use parser::{is_exemplar, with_exemplar};
pub use protocol::{NameEscaping, Protocol, accept_header};
pub use write::{Names, Timestamps, WriteOptions, Written, write_text};
