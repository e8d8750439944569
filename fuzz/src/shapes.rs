//! Shape messages with right names, by `docs/wire.md`.

use zstd::zstd_safe::{CCtx, DCtx, compress_bound};

use prometheus_streams::wire::{SHAPES_VERSION, Shape, ShapeId, ShapeWriter};

const WHOLE: u8 = 1;
const PATCH: u8 = 2;
const SIBLING: u8 = 3;

/// Contents of hostile patches are read up to here to find their names.
const CONTENT_MAX: usize = 1 << 20;

/// Writes a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Returns the content of a shape.
pub fn content_of(shape: &Shape) -> Vec<u8> {
    let mut writer = ShapeWriter::hurried();
    writer.whole(shape);
    let message = writer.finish();
    let mut rest = &message[2 + ShapeId::LENGTH..];
    for _ in ["length", "packed length"] {
        let end = rest.iter().position(|byte| byte & 0x80 == 0).unwrap();
        rest = &rest[end + 1..];
    }
    zstd::bulk::decompress(rest, CONTENT_MAX).unwrap()
}

fn message(content: &[u8], base: Option<ShapeId>, packed: &[u8]) -> Vec<u8> {
    let kind = if base.is_some() { PATCH } else { WHOLE };
    let mut message = vec![SHAPES_VERSION, kind];
    message.extend_from_slice(ShapeId::of(content).as_bytes());
    if let Some(base) = base {
        message.extend_from_slice(base.as_bytes());
    }
    put_varint(&mut message, content.len() as u64);
    put_varint(&mut message, packed.len() as u64);
    message.extend_from_slice(packed);
    message
}

/// Returns a message with a content of any kind under its right name.
pub fn named(content: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(content, 1).unwrap();
    message(content, None, &packed)
}

/// Returns a message with a content of any kind as a patch.
pub fn patched(content: &[u8], base: &Shape) -> Vec<u8> {
    let prefix = content_of(base);
    let mut packed = Vec::with_capacity(compress_bound(content.len()));
    let mut context = CCtx::create();
    context.ref_prefix(&prefix).unwrap();
    context.compress2(&mut packed, content).unwrap();
    message(content, Some(base.id()), &packed)
}

/// Returns a message with compressed bytes of any kind as a patch, under the name of what they
/// decompress to.
pub fn unpatched(packed: &[u8], base: &Shape) -> Vec<u8> {
    let prefix = content_of(base);
    let mut content = Vec::with_capacity(CONTENT_MAX);
    let mut context = DCtx::create();
    context.ref_prefix(&prefix).unwrap();
    let _ = context.decompress(&mut content, packed);
    message(&content, Some(base.id()), packed)
}

/// Returns a message with a coded template of any kind: the shape is the base again, and its name
/// is right only if the template says the same.
pub fn beside(coded: &[u8], raw: &[u8], base: &Shape, second: &Shape) -> Vec<u8> {
    let mut writer = ShapeWriter::hurried();
    writer.sibling(base, base, None);
    let own = writer.finish();
    let mut rest = &own[2 + 3 * ShapeId::LENGTH..];
    let mut varint = || {
        let (mut value, mut shift) = (0, 0);
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    };
    let (length, packed) = (varint(), varint());
    let packed = &rest[..packed];
    let mut message = vec![SHAPES_VERSION, SIBLING];
    // Another name, as the base's own is known and would be passed over.
    message.extend_from_slice(ShapeId::of(coded).as_bytes());
    message.extend_from_slice(base.id().as_bytes());
    message.extend_from_slice(second.id().as_bytes());
    put_varint(&mut message, length as u64);
    for bytes in [packed, coded, raw] {
        put_varint(&mut message, bytes.len() as u64);
        message.extend_from_slice(bytes);
    }
    message
}
