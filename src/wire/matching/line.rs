//! The parts of a line.

use super::Misfit;
use crate::exposition::is_exemplar;
use crate::model::Format;

/// Takes bytes of a line as text.
pub(super) fn text(line: &[u8]) -> Result<&str, Misfit> {
    std::str::from_utf8(line).map_err(|_invalid| Misfit::Unreadable)
}

/// Parts an exemplar, which only `OpenMetrics` has, from the rest of a sample's line.
///
/// Neither value nor timestamp can hold what it begins with.
pub(super) fn split_exemplar(format: Format, rest: &[u8]) -> Result<(&[u8], Option<&str>), Misfit> {
    const START: &[u8] = b" # {";
    let at = match format {
        Format::Text => None,
        Format::OpenMetrics => memchr::memmem::find(rest, START),
    };
    let Some((rest, exemplar)) = at.and_then(|at| rest.split_at_checked(at)) else {
        return Ok((rest, None));
    };
    if !is_exemplar(exemplar) {
        return Err(Misfit::Unreadable);
    }
    let text = std::str::from_utf8(exemplar).map_err(|_invalid| Misfit::Unreadable)?;
    Ok((rest, text.strip_prefix(" # ")))
}

/// Steps over a series' lines and the space behind them.
#[inline]
pub(super) fn strip<'b>(body: &'b [u8], lines: &[u8]) -> Option<&'b [u8]> {
    let (front, rest) = body.split_at_checked(lines.len())?;
    match rest.split_first() {
        Some((b' ', rest)) if is_equal(front, lines) => Some(rest),
        _ => None,
    }
}

/// Compares two texts of one length in place: most are a few dozen bytes, for which a call of the
/// library's comparison takes longer.
#[inline]
pub(super) fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let ((ones, one_end), (others, other_end)) = (one.as_chunks::<16>(), other.as_chunks::<16>());
    if ones.iter().zip(others).any(|(one, other)| one != other) {
        return false;
    }
    match (one.last_chunk::<16>(), other.last_chunk::<16>()) {
        // Some bytes of it are compared once more.
        (Some(one), Some(other)) => one == other,
        _ => one_end == other_end,
    }
}

/// Steps over spaces and tabs.
pub(super) fn trim(mut line: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t', rest)) = line.split_first() {
        line = rest;
    }
    line
}

/// Returns the length of the name and labels at the front of a line.
///
/// They need not be valid: what is looked up with them either is a known text or is not.
pub(super) fn key_length(line: &[u8]) -> usize {
    let name = line
        .iter()
        .position(|byte| !matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' | b'0'..=b'9'))
        .unwrap_or(line.len());
    let rest = line.get(name..).unwrap_or_default();
    let labels = trim(rest);
    if labels.first() != Some(&b'{') {
        return name;
    }
    let start = line.len() - labels.len();
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in labels.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return start + at + 1,
            _ => {}
        }
    }
    line.len()
}
