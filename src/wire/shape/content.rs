//! The bytes of a shape, which its name is the hash of.

use std::sync::Arc;

use super::kin::is_good;
use super::{Page, SERIES_MAX, Shape, ShapeError, ShapeId, TEXT_MAX};
use crate::wire::columns::Column;
use crate::wire::cursor::{Reader, put_length, put_zigzag};
use crate::wire::number::ABSENT;
use crate::wire::record::{format_code, format_of_code, read_target, write_target};
use crate::wire::{DecodeError, LABELS_MAX};

/// What comes before a shape's columns is at most this: labels are limited by what a target may
/// have, and a site's own are short.
const HEAD_MAX: usize = LABELS_MAX * 4096;

/// Bytes of one series besides its text: flags, scale, and the longest mantissa.
const SERIES_BYTES_MAX: usize = 12;

/// No shape's content is longer.
pub(super) const CONTENT_MAX: usize = HEAD_MAX + TEXT_MAX + SERIES_MAX * SERIES_BYTES_MAX;

impl Shape {
    /// Returns the content.
    pub(super) fn content(&self) -> Vec<u8> {
        let page = self.page();
        let mut out = Vec::with_capacity(page.text().len() + page.len() * 6 + 256);
        out.push(format_code(page.format()));
        write_target(self.target(), &mut out);
        put_length(&mut out, page.len());
        put_length(&mut out, page.text().len());
        out.extend_from_slice(page.text().as_bytes());
        out.extend_from_slice(page.flags());
        out.extend_from_slice(&self.template().scales);
        for mantissa in &self.template().mantissas {
            put_zigzag(&mut out, *mantissa);
        }
        out
    }

    /// Reads a content, which the caller has compared with its name, the hash of it.
    ///
    /// Of the lines that the page of `base` has too, which are known to be good, none is parsed.
    pub(super) fn read(
        id: ShapeId,
        content: &[u8],
        base: Option<&Page>,
    ) -> Result<Self, ShapeError> {
        let malformed = |source| ShapeError::Malformed { source };
        let mut reader = Reader::new(content);
        let read = (|| {
            let format = format_of_code(reader.byte()?)?;
            let target = read_target(&mut reader)?;
            let series = reader.length(SERIES_MAX.min(reader.remaining()))?;
            let text = reader.length(TEXT_MAX)?;
            let text =
                std::str::from_utf8(reader.bytes(text)?).map_err(|_invalid| DecodeError::Text)?;
            let flags = reader.bytes(series)?;
            let template = read_template(&mut reader, series)?;
            match reader.remaining() {
                0 => Ok((format, target, text, flags, template)),
                left => Err(DecodeError::Trailing(left)),
            }
        })();
        let (format, target, text, flags, mut template) = read.map_err(malformed)?;
        let page = Page::new(format, text.into(), flags.into()).ok_or(ShapeError::NotLines)?;
        if !is_good(&page, base) {
            return Err(ShapeError::NotLines);
        }
        if page.has_times() {
            template.times.resize(page.len(), 0);
        }
        let shape = Self::named(id, Arc::new(target), Arc::new(page), template);
        // One shape has one content, the one that is hashed for its name. Kept under another name,
        // it would not be found.
        if shape.content() == content {
            Ok(shape)
        } else {
            Err(malformed(DecodeError::Number))
        }
    }
}

fn read_template(reader: &mut Reader<'_>, series: usize) -> Result<Column, DecodeError> {
    let scales = reader.bytes(series)?.to_vec();
    if scales.iter().any(|scale| *scale > ABSENT) {
        return Err(DecodeError::Number);
    }
    let mantissas: Result<Vec<i64>, DecodeError> = (0..series).map(|_| reader.zigzag()).collect();
    let mantissas = mantissas?;
    let mut pairs = mantissas.iter().zip(&scales);
    if pairs.any(|(mantissa, scale)| *scale == ABSENT && *mantissa != 0) {
        return Err(DecodeError::Number);
    }
    Ok(Column {
        mantissas,
        scales,
        ..Column::default()
    })
}
