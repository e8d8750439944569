//! The messages of remote write: written by hand, as fast clients do, and read by prost.

#[path = "../../tests/support/remote_write.rs"]
mod messages;

use prost::Message;

pub(crate) use messages::{Sample, TimeSeries, WriteRequest};

/// A label set, resolved.
pub(crate) type LabelSet = Box<[(Box<str>, Box<str>)]>;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn string_len(text: &str) -> usize {
    1 + varint_len(text.len() as u64) + text.len()
}

fn put_string(out: &mut Vec<u8>, tag: u8, text: &str) {
    out.push(tag);
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Writes labels as fields of a `TimeSeries`.
pub(crate) fn put_labels(out: &mut Vec<u8>, labels: &LabelSet) {
    for (name, value) in labels {
        out.push(0x0a);
        put_varint(out, (string_len(name) + string_len(value)) as u64);
        put_string(out, 0x0a, name);
        put_string(out, 0x12, value);
    }
}

fn labels_len(labels: &LabelSet) -> usize {
    let label = |(name, value): &(Box<str>, Box<str>)| {
        let length = string_len(name) + string_len(value);
        1 + varint_len(length as u64) + length
    };
    labels.iter().map(label).sum()
}

fn sample_len(time_ms: i64) -> usize {
    1 + 8 + 1 + varint_len(time_ms as u64)
}

#[inline]
fn put_sample(out: &mut Vec<u8>, value: f64, time_ms: i64) {
    out.push(0x12);
    out.push(sample_len(time_ms) as u8);
    out.push(0x09);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    out.push(0x10);
    put_varint(out, time_ms as u64);
}

/// Writes a `TimeSeries` of remote write 1.0 with one sample.
pub(crate) fn put_series(out: &mut Vec<u8>, labels: &LabelSet, value: f64, time_ms: i64) {
    out.push(0x0a);
    let length = labels_len(labels) + 2 + sample_len(time_ms);
    put_varint(out, length as u64);
    put_labels(out, labels);
    put_sample(out, value, time_ms);
}

/// The same, with labels that [`put_labels`] wrote before.
#[inline]
pub(crate) fn put_kept_series(out: &mut Vec<u8>, labels: &[u8], value: f64, time_ms: i64) {
    out.push(0x0a);
    let length = labels.len() + 2 + sample_len(time_ms);
    put_varint(out, length as u64);
    out.extend_from_slice(labels);
    put_sample(out, value, time_ms);
}

/// Length of a sample with its tag, if its time is between 2004 and 2109: six bytes.
pub(crate) const SAMPLE_LEN: usize = 18;

/// Writes what stands before the sample of a series.
pub(crate) fn put_head(out: &mut Vec<u8>, labels: &[u8]) {
    out.push(0x0a);
    put_varint(out, (labels.len() + SAMPLE_LEN) as u64);
    out.extend_from_slice(labels);
}

/// Returns a sample whose value is still to be filled in, at its third byte.
pub(crate) fn sample_at(time_ms: i64) -> [u8; SAMPLE_LEN] {
    let mut sample = Vec::with_capacity(SAMPLE_LEN);
    put_sample(&mut sample, 0.0, time_ms);
    sample.try_into().unwrap()
}

/// Writes a `TimeSeries` of remote write 2.0 with one sample.
pub(crate) fn put_series2(out: &mut Vec<u8>, symbols: &[u32], value: f64, time_ms: i64) {
    let refs: usize = symbols.iter().map(|at| varint_len(u64::from(*at))).sum();
    let length = 1 + varint_len(refs as u64) + refs + 2 + sample_len(time_ms);
    out.push(0x2a);
    put_varint(out, length as u64);
    out.push(0x0a);
    put_varint(out, refs as u64);
    for at in symbols {
        put_varint(out, u64::from(*at));
    }
    put_sample(out, value, time_ms);
}

/// Writes a symbol of remote write 2.0.
pub(crate) fn put_symbol(out: &mut Vec<u8>, symbol: &str) {
    put_string(out, 0x22, symbol);
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request2 {
    #[prost(string, repeated, tag = "4")]
    pub(crate) symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) timeseries: Vec<TimeSeries2>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TimeSeries2 {
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
}
