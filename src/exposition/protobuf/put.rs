//! Writing fields of protobuf messages. Numbers that are 0 are left out, unless the name says so.

use super::messages::Span;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

/// Writes an integer.
pub(crate) fn varint(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        required_varint(out, field, value);
    }
}

/// Writes an integer, also if it is 0.
pub(crate) fn required_varint(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    plain_varint(out, value);
}

/// Writes an integer whose sign takes a bit.
pub(crate) fn zigzag(out: &mut Vec<u8>, field: u32, value: i64) {
    varint(out, field, zigzagged(value));
}

/// Writes a double; only that whose bits are all 0 is left out.
pub(crate) fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    if value.to_bits() != 0 {
        required_double(out, field, value);
    }
}

/// Writes a double, also if it is 0.
pub(crate) fn required_double(out: &mut Vec<u8>, field: u32, value: f64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Writes bytes or text.
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    tag(out, field, BYTES);
    plain_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a message within another.
pub(crate) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut message = Vec::new();
    write(&mut message);
    bytes(out, field, &message);
}

/// Writes the spans of native histograms, which all messages have alike.
pub(crate) fn spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    for span in spans {
        message(out, field, |message| {
            zigzag(message, 1, i64::from(span.offset));
            varint(message, 2, u64::from(span.length));
        });
    }
}

/// Writes integers side by side.
pub(crate) fn packed_zigzags(out: &mut Vec<u8>, field: u32, values: impl Iterator<Item = i64>) {
    let mut packed = Vec::new();
    for value in values {
        plain_varint(&mut packed, zigzagged(value));
    }
    if !packed.is_empty() {
        bytes(out, field, &packed);
    }
}

/// Writes doubles side by side.
pub(crate) fn packed_doubles(out: &mut Vec<u8>, field: u32, values: impl Iterator<Item = f64>) {
    let packed: Vec<u8> = values
        .flat_map(|value| value.to_bits().to_le_bytes())
        .collect();
    if !packed.is_empty() {
        bytes(out, field, &packed);
    }
}

/// Writes the fields of a `google.protobuf.Timestamp`.
pub(super) fn timestamp(out: &mut Vec<u8>, millis: i64) {
    varint(out, 1, millis.div_euclid(1000).cast_unsigned());
    varint(out, 2, millis.rem_euclid(1000).cast_unsigned() * 1_000_000);
}

fn tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    plain_varint(out, u64::from(field << 3 | wire_type));
}

fn zigzagged(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn plain_varint(out: &mut Vec<u8>, mut value: u64) {
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
