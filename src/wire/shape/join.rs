//! The shape of a scrape that was split into parts.

use std::sync::Arc;

use super::kin::is_good;
use super::{Page, Shape};
use crate::model::Format;
use crate::wire::columns::Column;

/// The line that ends an exposition in `OpenMetrics`.
const END: &[u8] = b"# EOF";

impl Shape {
    /// Puts the shapes of the parts of a scrape one behind the other.
    ///
    /// `None` when the parts are not of one scrape, or make no shape together: it would be too
    /// large, or a series stands in two of them. The scrape's text can be joined all the same.
    pub fn join(parts: &[Arc<Self>]) -> Option<Self> {
        let first = parts.first()?;
        let format = first.page.format();
        let is_one = |part: &Arc<Self>| part.target == first.target && part.page.format() == format;
        if !parts.iter().all(is_one) {
            return None;
        }
        let size = parts.iter().map(|part| part.page.text().len()).sum();
        let mut text = String::with_capacity(size);
        let mut flags = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let own = part.page.text();
            let is_last = at + 1 == parts.len();
            text.push_str(match format {
                Format::OpenMetrics if !is_last => {
                    own.get(..without_end(own.as_bytes()).len()).unwrap_or(own)
                }
                _ => own,
            });
            flags.extend_from_slice(part.page.flags());
        }
        let page = Page::new(format, text.into(), flags.into())?;
        if !is_good(&page, None) {
            return None;
        }
        let templates = parts.iter().map(|part| &part.template);
        let template = Column::join(templates, page.len(), page.has_times());
        Some(Self::new(
            Arc::clone(&first.target),
            Arc::new(page),
            template,
        ))
    }
}

/// Returns an exposition without the line that ends it.
pub(in crate::wire) fn without_end(text: &[u8]) -> &[u8] {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    match line.strip_suffix(END) {
        Some(before) if before.is_empty() || before.ends_with(b"\n") => before,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Text};
    use crate::wire::{Body, Columns, match_body};

    fn part(body: &str, format: Format) -> Columns {
        let target = Arc::new(Labels::of_target("node", "a"));
        let shape = Shape::build(target, body.as_bytes(), format).unwrap();
        let mut column = Column::default();
        match_body(shape.page(), body.as_bytes(), &mut column).unwrap();
        Columns {
            shape: Arc::new(shape),
            column,
        }
    }

    /// Joins parts as columns and as texts.
    #[track_caller]
    fn check(bodies: &[&str], format: Format, expected: &str) {
        let parts: Vec<Columns> = bodies.iter().map(|body| part(body, format)).collect();
        let shapes: Vec<Arc<Shape>> = parts.iter().map(|part| Arc::clone(&part.shape)).collect();
        let shape = Arc::new(Shape::join(&shapes).unwrap());
        let joined = Body::Columns(Columns::join(&parts, shape));
        assert_eq!(joined.to_text().text, expected.as_bytes());
        let texts = bodies.iter().map(|body| {
            Body::Text(Text {
                text: (*body).to_owned().into(),
                format,
            })
        });
        let joined = Body::join_texts(&texts.collect::<Vec<_>>());
        assert_eq!(joined.text, expected.as_bytes());
        assert_eq!(joined.format, format);
    }

    #[test]
    fn a_column_is_what_its_stretches_make() {
        let body = "a_total 1 # {} 1\nb_total 2\nc_total 3 1.5 # {x=\"y\"} 2\n# EOF\n";
        let whole = part(body, Format::OpenMetrics).column;
        for at in 0..=whole.len() {
            let parts = [
                whole.stretch(0..at, true),
                whole.stretch(at..whole.len(), true),
            ];
            assert_eq!(Column::join(parts.iter(), whole.len(), true), whole);
        }
    }

    #[test]
    fn parts_make_the_whole() {
        check(
            &[
                "# TYPE a counter\na 1\n",
                "b 2 7\nc 3\n",
                "# HELP d x\nd 4\n",
            ],
            Format::Text,
            "# TYPE a counter\na 1\nb 2 7\nc 3\n# HELP d x\nd 4\n",
        );
        check(
            &[
                "# TYPE a gauge\na 1\n# EOF\n",
                "# TYPE b gauge\nb 2\n# EOF\n",
            ],
            Format::OpenMetrics,
            "# TYPE a gauge\na 1\n# TYPE b gauge\nb 2\n# EOF\n",
        );
    }

    #[test]
    fn a_series_in_two_parts_makes_no_shape() {
        let twice = ["a 1\n", "a 2\n"].map(|body| part(body, Format::Text).shape);
        assert!(Shape::join(&twice).is_none());
        assert!(Shape::join(&[]).is_none());
    }
}
