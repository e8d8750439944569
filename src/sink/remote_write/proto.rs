//! The bytes of a write request, by hand.
//!
//! | message | field | number | type |
//! | --- | --- | --- | --- |
//! | `WriteRequest` | `timeseries` | 1 | `TimeSeries`, repeated |
//! | `TimeSeries` | `labels` | 1 | `Label`, repeated, sorted by name |
//! | `TimeSeries` | `samples` | 2 | `Sample`, repeated; here always one |
//! | `TimeSeries` | `exemplars`, `histograms` | 3, 4 | see `exemplars.rs`, `histograms.rs` |
//! | `Label` | `name`, `value` | 1, 2 | string |
//! | `Sample` | `value` | 1 | double |
//! | `Sample` | `timestamp` | 2 | int64, milliseconds |
//!
//! A request is nothing but its series one after the other, so requests are joined and split
//! without decoding them. The labels of a series are written once and kept; see `series.rs`. Where
//! the same series come again and again, all of them but value and time is kept; see
//! `columns.rs`.

use crate::exposition::protobuf::put;

/// Field 1 of a message, length-delimited: a series, a label, a label's name.
const FIELD_1_BYTES: u8 = 0x0a;
/// Field 2 of a message, length-delimited: a sample, a label's value.
const FIELD_2_BYTES: u8 = 0x12;
/// Field 1 of a sample, 64 bits: its value.
const FIELD_1_FIXED64: u8 = 0x09;
/// Field 2 of a sample, variable length: its time.
const FIELD_2_VARINT: u8 = 0x10;

/// Appends a label, as a field of its series.
pub(super) fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(FIELD_1_BYTES);
    put_varint(out, (string_len(name) + string_len(value)) as u64);
    for (tag, text) in [(FIELD_1_BYTES, name), (FIELD_2_BYTES, value)] {
        out.push(tag);
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

/// What the labels of a series begin with that is not sent: an empty label, which no series has
/// that is. So it is told from all others wherever series are kept and compared.
const HIDDEN: [u8; 2] = [FIELD_1_BYTES, 0];

/// Appends what stands before the labels of a series that is kept but not sent.
pub(super) fn put_hidden(out: &mut Vec<u8>) {
    out.extend_from_slice(&HIDDEN);
}

/// Tells whether a series with these labels is not sent.
pub(super) fn is_hidden(labels: &[u8]) -> bool {
    labels.starts_with(&HIDDEN)
}

/// Returns what stands behind the start of labels that are not sent.
pub(super) fn shown(labels: &[u8]) -> Option<&[u8]> {
    labels.strip_prefix(&HIDDEN)
}

/// Appends a series with one sample; `labels` is what [`put_label`] wrote.
pub(super) fn put_series(out: &mut Vec<u8>, labels: &[u8], value: f64, time_ms: i64) {
    let time = time_ms.cast_unsigned();
    // A tag each, eight bytes of value, and the time.
    let sample_len = 1 + 8 + 1 + varint_len(time);
    // The sample's own tag and length, which is below 128.
    let series_len = labels.len() + 2 + sample_len;
    // Room for all of it at once, its own tag and length included.
    out.reserve(series_len + 11);
    out.push(FIELD_1_BYTES);
    put_varint(out, series_len as u64);
    out.extend_from_slice(labels);
    out.push(FIELD_2_BYTES);
    put_varint(out, sample_len as u64);
    out.push(FIELD_1_FIXED64);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    out.push(FIELD_2_VARINT);
    put_varint(out, time);
}

/// Appends a series with one message in a field of it: an exemplar or a histogram.
pub(super) fn put_series_of(out: &mut Vec<u8>, labels: &[u8], field: u32, message: &[u8]) {
    let mut series = Vec::with_capacity(labels.len() + message.len() + 11);
    series.extend_from_slice(labels);
    put::bytes(&mut series, field, message);
    put::bytes(out, TIMESERIES, &series);
}

/// The field of a request that holds a series.
const TIMESERIES: u32 = 1;

/// The time of a sample from its tag on, if it has the length that times have nowadays.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsualTime([u8; 1 + USUAL_TIME_LEN]);

/// Bytes of a time between the years 1971 and 2109.
const USUAL_TIME_LEN: usize = 6;

/// A sample of a [`UsualTime`]: a tag each, eight bytes of value, and the time.
const USUAL_SAMPLE_LEN: u8 = 1 + 8 + 1 + 6;

/// What follows the labels in a series' head: the sample's tag and length, the value's tag.
const HEAD_END: [u8; 3] = [FIELD_2_BYTES, USUAL_SAMPLE_LEN, FIELD_1_FIXED64];

/// What follows a series' head: its value, the time's tag, and a [`UsualTime`].
const TAIL_LEN: usize = 8 + 1 + USUAL_TIME_LEN;

impl UsualTime {
    /// Encodes a time; `None` if its length is another.
    pub(super) fn new(time_ms: i64) -> Option<Self> {
        let mut rest = time_ms.cast_unsigned();
        if varint_len(rest) != USUAL_TIME_LEN {
            return None;
        }
        let mut bytes = [FIELD_2_VARINT; 1 + USUAL_TIME_LEN];
        for (at, byte) in bytes.iter_mut().enumerate().skip(1) {
            let more = if at < USUAL_TIME_LEN { 0x80 } else { 0 };
            *byte = (low_byte(rest) & 0x7f) | more;
            rest >>= 7;
        }
        Some(Self(bytes))
    }
}

/// Appends a series for samples of a [`UsualTime`], which [`fill_in`] makes whole; `labels` is what
/// [`put_label`] wrote.
pub(super) fn put_blank(out: &mut Vec<u8>, labels: &[u8]) {
    out.push(FIELD_1_BYTES);
    let sample_len = 2 + usize::from(USUAL_SAMPLE_LEN);
    put_varint(out, (labels.len() + sample_len) as u64);
    out.extend_from_slice(labels);
    out.extend_from_slice(&HEAD_END);
    out.extend_from_slice(&[0; TAIL_LEN]);
}

/// Returns the labels in what [`put_blank`] wrote.
pub(super) fn labels_of_blank(series: &[u8]) -> &[u8] {
    let length_len = series
        .iter()
        .skip(1)
        .take_while(|byte| **byte & 0x80 != 0)
        .count()
        + 1;
    let end = series.len().saturating_sub(HEAD_END.len() + TAIL_LEN);
    series.get(1 + length_len..end).unwrap_or_default()
}

/// Puts a sample into what [`put_blank`] wrote; `bits` are those of its value, and the series is
/// what `series` ends with.
#[inline]
pub(super) fn fill_in(series: &mut [u8], bits: u64, time: UsualTime) {
    if let Some(tail) = series.last_chunk_mut::<TAIL_LEN>() {
        // In two parts: put together first, they would be read again before they are written.
        let (value, place) = tail.split_at_mut(8);
        value.copy_from_slice(&bits.to_le_bytes());
        place.copy_from_slice(&time.0);
    }
}

/// Returns where each series of a request ends.
pub(super) fn series_ends(request: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(end) = series_end(request, at) {
        ends.push(end);
        at = end;
    }
    ends
}

/// Returns where the series that starts at `at` ends; `None` at the end of the request.
fn series_end(request: &[u8], at: usize) -> Option<usize> {
    let after_tag = request.get(at + 1..)?;
    let mut len = 0_usize;
    for (position, byte) in after_tag.iter().enumerate() {
        let bits = usize::from(byte & 0x7f);
        len |= bits.checked_shl(7 * u32::try_from(position).ok()?)?;
        if byte & 0x80 == 0 {
            let end = at.checked_add(2 + position)?.checked_add(len)?;
            return (end <= request.len()).then_some(end);
        }
    }
    None
}

fn string_len(text: &str) -> usize {
    1 + varint_len(text.len() as u64) + text.len()
}

fn varint_len(value: u64) -> usize {
    // Seven bits in each byte, and one byte for zero.
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    // Seven bits at a time, the lowest first; the eighth says that more follow.
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

fn low_byte(value: u64) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::messages::WriteRequest;
    use super::*;

    #[track_caller]
    fn check(labels: &[(&str, &str)], value: f64, time_ms: i64) {
        let (mut encoded, mut request) = (Vec::new(), Vec::new());
        for (name, value) in labels {
            put_label(&mut encoded, name, value);
        }
        put_series(&mut request, &encoded, value, time_ms);
        let decoded = WriteRequest::decode(&request[..]).unwrap();
        let series = &decoded.timeseries[0];
        let pairs = series.labels.iter();
        let pairs: Vec<_> = pairs.map(|label| (&*label.name, &*label.value)).collect();
        assert_eq!(pairs, labels);
        assert_eq!(series.samples.len(), 1);
        assert_eq!(series.samples[0].value.to_bits(), value.to_bits());
        assert_eq!(series.samples[0].timestamp, time_ms);
        assert_eq!(series_ends(&request), [request.len()]);
        let mut known = Vec::new();
        put_blank(&mut known, &encoded);
        assert_eq!(labels_of_blank(&known), encoded);
        if let Some(time) = UsualTime::new(time_ms) {
            fill_in(&mut known, value.to_bits(), time);
            assert_eq!(known, request);
        }
    }

    #[test]
    fn a_generated_decoder_reads_the_same() {
        check(
            &[("__name__", "up"), ("job", "node")],
            1.0,
            1_700_000_000_000,
        );
        check(&[], 0.0, 0);
        check(&[("a", "")], -0.0, -1);
        check(&[("a", "ä\u{1f600}\0\n")], f64::INFINITY, i64::MAX);
        check(&[("a", &"x".repeat(126))], f64::MIN_POSITIVE, i64::MIN);
        check(
            &[("a", &"x".repeat(300)), (&"n".repeat(20_000), "y")],
            f64::MAX,
            127,
        );
        check(&[("a", "b")], f64::from_bits(0x7ff0_0000_0000_0002), 128);
    }

    #[test]
    fn the_usual_times_are_those_of_a_century() {
        for (time_ms, is_usual) in [
            (0, false),
            (-1, false),
            ((1 << 35) - 1, false),
            (1 << 35, true),
            (1_700_000_000_000, true),
            ((1 << 42) - 1, true),
            (1 << 42, false),
            (i64::MAX, false),
        ] {
            assert_eq!(UsualTime::new(time_ms).is_some(), is_usual, "{time_ms}");
            check(&[("a", "b")], 1.5, time_ms);
        }
    }

    #[test]
    fn a_request_is_its_series_one_after_the_other() {
        let mut request = Vec::new();
        let mut ends = Vec::new();
        for number in 0..500 {
            let mut labels = Vec::new();
            put_label(&mut labels, "__name__", &"n".repeat(number));
            put_series(&mut request, &labels, 1.0, 1);
            ends.push(request.len());
        }
        assert_eq!(series_ends(&request), ends);
        assert_eq!(
            WriteRequest::decode(&request[..]).unwrap().timeseries.len(),
            500
        );
        let middle = &request[ends[99]..ends[199]];
        assert_eq!(WriteRequest::decode(middle).unwrap().timeseries.len(), 100);
    }

    #[test]
    fn damaged_bytes_have_no_ends() {
        assert_eq!(series_ends(&[]), [0; 0]);
        assert_eq!(series_ends(&[0x0a]), [0; 0]);
        assert_eq!(series_ends(&[0x0a, 5, 1]), [0; 0]);
        assert_eq!(series_ends(&[0xff; 30]), [0; 0]);
    }
}
