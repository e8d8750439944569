//! The bytes of a shape, which its name is the hash of.

use std::sync::Arc;

use super::kin::is_good;
use super::{Page, SERIES_MAX, Shape, ShapeError, ShapeId, TEXT_MAX};
use crate::model::{Format, Labels};
use crate::wire::columns::Column;
use crate::wire::cursor::{Reader, put_length, put_zigzag, zigzag_length};
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
        let mut out = self.front();
        out.extend_from_slice(&self.template().scales);
        for mantissa in &self.template().mantissas {
            put_zigzag(&mut out, *mantissa);
        }
        out
    }

    /// Returns what stands before the template in the content.
    pub(super) fn front(&self) -> Vec<u8> {
        let page = self.page();
        let mut out = Vec::with_capacity(page.text().len() + page.len() * 6 + 256);
        self.put_head(&mut out);
        out.extend_from_slice(page.text().as_bytes());
        out.extend_from_slice(page.flags());
        out
    }

    /// Appends what stands before the text in the content.
    fn put_head(&self, out: &mut Vec<u8>) {
        let page = self.page();
        out.push(format_code(page.format()));
        write_target(self.target(), out);
        put_length(out, page.len());
        put_length(out, page.text().len());
    }

    /// Tells whether a content that was read as this shape is the one that is written for it.
    ///
    /// The text, flags and scales are taken as they stand, and there is one shortest way to write
    /// a number, so that the head and the length settle it.
    fn is_content(&self, content: &[u8]) -> bool {
        let mut head = Vec::new();
        self.put_head(&mut head);
        let (page, template) = (self.page(), self.template());
        let mantissas = template.mantissas.iter();
        let mantissas: usize = mantissas.map(|mantissa| zigzag_length(*mantissa)).sum();
        let columns = page.flags().len() + template.scales.len() + mantissas;
        content.starts_with(&head) && content.len() == head.len() + page.text().len() + columns
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
            let front = Front::read(&mut reader)?;
            let template = read_template(&mut reader, front.flags.len())?;
            match reader.remaining() {
                0 => Ok((front, template)),
                left => Err(DecodeError::Trailing(left)),
            }
        })();
        let (front, template) = read.map_err(malformed)?;
        let (target, page) = front.open(base)?;
        let shape = Self::of_parts(id, target, page, template);
        // One shape has one content, the one that is hashed for its name. Kept under another name,
        // it would not be found.
        if shape.is_content(content) {
            Ok(shape)
        } else {
            Err(malformed(DecodeError::Number))
        }
    }

    /// Reads what stands before the template in a content, and takes the template from
    /// `template`.
    pub(super) fn read_front(
        id: ShapeId,
        front: &[u8],
        base: &Page,
        template: impl FnOnce(&Page) -> Result<Column, DecodeError>,
    ) -> Result<Self, ShapeError> {
        let malformed = |source| ShapeError::Malformed { source };
        let mut reader = Reader::new(front);
        let read = Front::read(&mut reader).map_err(malformed)?;
        if reader.remaining() > 0 {
            return Err(malformed(DecodeError::Trailing(reader.remaining())));
        }
        let (target, page) = read.open(Some(base))?;
        let template = template(&page).map_err(malformed)?;
        let shape = Self::of_parts(id, target, page, template);
        let content = shape.content();
        if ShapeId::of(&content) != id {
            Err(ShapeError::Check(id))
        } else if content.starts_with(front) {
            Ok(shape)
        } else {
            Err(malformed(DecodeError::Number))
        }
    }

    fn of_parts(id: ShapeId, target: Labels, page: Page, mut template: Column) -> Self {
        if page.has_times() {
            template.times.resize(page.len(), 0);
        }
        Self::named(id, Arc::new(target), Arc::new(page), template)
    }
}

/// What stands before the template.
struct Front<'a> {
    format: Format,
    target: Labels,
    text: &'a str,
    flags: &'a [u8],
}

impl<'a> Front<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let format = format_of_code(reader.byte()?)?;
        let target = read_target(reader)?;
        let series = reader.length(SERIES_MAX.min(reader.remaining()))?;
        let text = reader.length(TEXT_MAX)?;
        let text = reader.bytes(text)?;
        Ok(Self {
            format,
            target,
            text: std::str::from_utf8(text).map_err(|_invalid| DecodeError::Text)?,
            flags: reader.bytes(series)?,
        })
    }

    /// Sees whether it is an exposition's.
    fn open(self, base: Option<&Page>) -> Result<(Labels, Page), ShapeError> {
        let page = Page::new(self.format, self.text.into(), self.flags.into());
        let page = page.ok_or(ShapeError::NotLines)?;
        if is_good(&page, base) {
            Ok((self.target, page))
        } else {
            Err(ShapeError::NotLines)
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
