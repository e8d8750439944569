//! What the fuzz targets share.
//!
//! In: the fuzzer's bytes. Out: the parts that a target asks for, and messages whose names and
//! checks are right, so that mutation reaches what stands behind them. It also limits memory: a
//! target that reserves more than [`MEMORY_MAX`] is aborted, which libFuzzer reports with the input.

mod frames;
mod input;
mod limit;
mod pages;
mod shapes;

pub use frames::{Parts, fix_check};
pub use input::Input;
pub use limit::{Limited, MEMORY_MAX};
pub use pages::{BODIES, Known, target};
pub use shapes::{beside, content_of, named, patched, put_varint, unpatched};

use prometheus_streams::exposition::check;
use prometheus_streams::model::Format;
use prometheus_streams::wire::{Column, Shape};

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// Checks what every error owes its reader: a text, and a reason out of a closed set.
#[track_caller]
pub fn has_reason(error: &dyn std::error::Error, reason: &str) {
    assert!(!error.to_string().is_empty());
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    assert!(
        !reason.is_empty() && reason.bytes().all(is_word),
        "{reason}"
    );
}

/// Checks that values by a shape read as an exposition, as whoever delivers them needs it.
///
/// Times before 1970 are the exception: the text format has none, and hostile frames have any.
#[track_caller]
pub fn reads_as_exposition(shape: &Shape, column: &Column) {
    let page = shape.page();
    assert_eq!(column.len(), page.len());
    let mut text = Vec::new();
    shape.write_text(column, &mut text);
    let is_writable = |at| {
        !page.has_time(at)
            || column
                .time(at)
                .is_some_and(|time| (0..1 << 50).contains(&time))
    };
    match check(&text, page.format()) {
        Ok(summary) => assert_eq!(summary.samples, column.samples()),
        Err(error) => assert!(
            !(0..page.len()).all(is_writable),
            "{error}\n{}",
            String::from_utf8_lossy(&text)
        ),
    }
}

/// Returns a format by a byte.
pub fn format(byte: u8) -> Format {
    if byte & 1 == 0 {
        Format::Text
    } else {
        Format::OpenMetrics
    }
}
