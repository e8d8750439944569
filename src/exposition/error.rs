//! Why a body is refused, and where.

use std::fmt;

/// The first thing in a body that its format does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct SyntaxError {
    /// Line, counted from 1.
    pub line: usize,
    /// Byte within the line, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A line that begins like none of the format's lines, such as HTML.
    ExpectedEntry,
    /// `OpenMetrics` only: a line that begins with `#` and is no metadata.
    ExpectedKeyword,
    /// Metadata without a metric name.
    ExpectedFamily(Keyword),
    /// `OpenMetrics` only: no single space behind the metric name of metadata.
    ExpectedText(Keyword),
    /// A type that the format does not have.
    UnknownType(Box<str>),
    /// A unit that the metric's name does not end in.
    UnitNotInName(Box<str>),
    /// Something else where a label must begin.
    ExpectedLabelName,
    /// No `=` behind a label name.
    ExpectedEquals,
    /// No quoted string behind `=`.
    ExpectedLabelValue,
    /// `OpenMetrics` only: neither `,` nor `}` behind a label.
    ExpectedComma,
    /// A quoted string that does not end.
    UnterminatedString,
    /// Braces without a metric name before or in them.
    MissingName,
    /// A quoted metric name in braces that follow another one.
    SecondName,
    /// A quoted name with nothing in it.
    EmptyName,
    /// A label name that occurs twice in one sample; `__name__` is always there.
    DuplicateLabel(Box<str>),
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A byte 0 where none may stand.
    NulByte,
    /// No value behind a series.
    ExpectedValue,
    /// A value that is not a number.
    InvalidValue(Box<str>),
    /// A finite number that a double cannot hold.
    ValueOutOfRange(Box<str>),
    /// Something else where a timestamp or the end of the line must stand.
    ExpectedTimestamp,
    /// A timestamp that is not a number, or not finite.
    InvalidTimestamp(Box<str>),
    /// Something behind the last part of a line.
    ExpectedLineEnd,
    /// `OpenMetrics` only: the body ends without `# EOF`.
    MissingEof,
    /// `OpenMetrics` only: something follows `# EOF`.
    DataAfterEof,
}

/// A word that makes a comment line metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    /// `HELP`
    Help,
    /// `TYPE`
    Type,
    /// `UNIT`
    Unit,
}

impl Keyword {
    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Help => "HELP",
            Self::Type => "TYPE",
            Self::Unit => "UNIT",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExpectedEntry => f.write_str("expected a metric name, `{` or `#`"),
            Self::ExpectedKeyword => {
                f.write_str("expected `HELP`, `TYPE`, `UNIT` or `EOF` behind `# `")
            }
            Self::ExpectedFamily(keyword) => {
                write!(f, "expected a metric name behind `# {}`", keyword.as_str())
            }
            Self::ExpectedText(keyword) => write!(
                f,
                "expected a space and text behind the metric name of `# {}`",
                keyword.as_str()
            ),
            Self::UnknownType(kind) => write!(f, "unknown metric type `{kind}`"),
            Self::UnitNotInName(unit) => {
                write!(f, "metric name does not end in `_` and its unit `{unit}`")
            }
            Self::ExpectedLabelName => f.write_str("expected a label name or `}`"),
            Self::ExpectedEquals => f.write_str("expected `=` behind the label name"),
            Self::ExpectedLabelValue => f.write_str("expected a label value in double quotes"),
            Self::ExpectedComma => f.write_str("expected `,` or `}` behind the label"),
            Self::UnterminatedString => f.write_str("string without closing double quote"),
            Self::MissingName => f.write_str("sample without metric name"),
            Self::SecondName => f.write_str("second metric name in one sample"),
            Self::EmptyName => f.write_str("empty name"),
            Self::DuplicateLabel(name) => write!(f, "label name `{name}` occurs twice"),
            Self::InvalidUtf8 => f.write_str("text is not valid UTF-8"),
            Self::NulByte => f.write_str("byte 0 outside of a label value or help text"),
            Self::ExpectedValue => f.write_str("expected a value"),
            Self::InvalidValue(text) => write!(f, "value `{text}` is not a number"),
            Self::ValueOutOfRange(text) => write!(f, "value `{text}` is out of range"),
            Self::ExpectedTimestamp => f.write_str("expected a timestamp or the end of the line"),
            Self::InvalidTimestamp(text) => write!(f, "timestamp `{text}` is not valid"),
            Self::ExpectedLineEnd => f.write_str("expected the end of the line"),
            Self::MissingEof => f.write_str("body does not end with `# EOF`"),
            Self::DataAfterEof => f.write_str("data behind `# EOF`"),
        }
    }
}

/// A refusal whose line is not yet counted; counting is left to the one error of a body.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) reason: Reason,
}

impl Fault {
    pub(super) fn locate(self, body: &[u8]) -> SyntaxError {
        let before = body.get(..self.at).unwrap_or(body);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        SyntaxError {
            line: 1 + memchr::memchr_iter(b'\n', before).count(),
            column: 1 + before.len() - line_start,
            reason: self.reason,
        }
    }
}

/// Bytes of a body that an error repeats at most: enough to recognize any number or type, short
/// enough for a log line.
const QUOTE_BYTES_MAX: usize = 40;

/// Makes bytes of a body fit for an error's text.
pub(super) fn quote(bytes: &[u8]) -> Box<str> {
    let shown = bytes.get(..QUOTE_BYTES_MAX).unwrap_or(bytes);
    let mut text = String::with_capacity(shown.len());
    for c in String::from_utf8_lossy(shown).chars() {
        if c.is_control() {
            text.extend(c.escape_debug());
        } else {
            text.push(c);
        }
    }
    if shown.len() < bytes.len() {
        text.push('…');
    }
    text.into_boxed_str()
}
