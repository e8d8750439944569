//! From a body to what a lane carries of it: values by the target's shape, or the text.
//!
//! | body | what is done |
//! | --- | --- |
//! | the lines of the last one | only numbers are read |
//! | other lines | the shape is extended, and the values are read by it |
//! | no plain lines: a series twice, too many | it is parsed and travels as text |
//!
//! What a shape cannot hold now it cannot hold the next time either, so the costly attempt is made
//! only now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::shapes::Shapes;
use crate::exposition::{self, SyntaxError};
use crate::model::{Labels, Text};
use crate::wire::{Body, Column, Columns, Matched, Misfit, Shape, match_body};

/// Scrapes that travel as text before a shape is tried again: it then costs a tenth more.
const TEXT_SCRAPES: u32 = 10;

/// A target's shape may change so often in a minute; what changes more often, such as a target
/// with ids in its labels, travels as text: each new shape is a message, and stays in the memory
/// of all receivers.
const CHANGES_MAX: u32 = 6;

const CHANGES_TIME: Duration = Duration::from_secs(60);

/// What a target exposes, as it was at the last scrape.
#[derive(Debug, Default)]
pub(super) struct Reading {
    shape: Option<Arc<Shape>>,
    /// Why the last body travelled as text, and how many more do so unseen.
    text: Option<(Cause, u32)>,
    /// Since when shapes are counted, and how many there were.
    changes: Option<(Instant, u32)>,
}

/// An exposition as it is handed on.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) body: Body,
    pub(super) samples: usize,
    /// Why it is text.
    pub(super) cause: Option<Cause>,
}

/// Why an exposition travels as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is none that a shape can hold.
    Misfit(Misfit),
    /// Its lines change too often.
    Churn,
    /// There is no room for another shape.
    Memory,
}

impl Cause {
    /// Returns the label value: a closed set.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Misfit(misfit) => misfit.reason(),
            Self::Churn => "churn",
            Self::Memory => "memory",
        }
    }
}

impl Reading {
    /// Reads the body of a scrape.
    pub(super) fn read(
        &mut self,
        target: &Arc<Labels>,
        text: &Text,
        shapes: &Shapes,
    ) -> Result<Exposition, SyntaxError> {
        let cause = match self.columns(target, text, shapes) {
            Ok((columns, matched)) => {
                self.text = None;
                return Ok(Exposition {
                    body: Body::Columns(columns),
                    samples: matched.samples,
                    cause: None,
                });
            }
            Err(cause) => cause,
        };
        let summary = exposition::check(&text.text, text.format)?;
        self.text = match self.text {
            Some((_, left)) if left > 0 => Some((cause, left - 1)),
            // Comparing lines costs little, and the next body may have known ones only.
            _ if cause == Cause::Churn => None,
            _ => Some((cause, TEXT_SCRAPES)),
        };
        Ok(Exposition {
            body: Body::Text(text.clone()),
            samples: summary.samples,
            cause: Some(cause),
        })
    }

    fn columns(
        &mut self,
        target: &Arc<Labels>,
        text: &Text,
        shapes: &Shapes,
    ) -> Result<(Columns, Matched), Cause> {
        if let Some((cause, left)) = self.text
            && left > 0
        {
            return Err(cause);
        }
        let body = &*text.text;
        let mut column = Column::default();
        let known = self.shape.clone();
        let known = known.filter(|shape| shape.page().format() == text.format);
        if let Some(shape) = &known {
            match match_body(shape.page(), body, &mut column) {
                Ok(matched) => {
                    let shape = Arc::clone(shape);
                    return Ok((Columns { shape, column }, matched));
                }
                Err(Misfit::Changed(_)) => {}
                Err(misfit) => return Err(Cause::Misfit(misfit)),
            }
        }
        if !self.may_change() {
            return Err(Cause::Churn);
        }
        let built = match &known {
            Some(shape) => shape.extend(body),
            None => Shape::build(Arc::clone(target), body, text.format),
        };
        let shape = shapes.keep(built.map_err(Cause::Misfit)?);
        let shape = shape.ok_or(Cause::Memory)?;
        let matched = match_body(shape.page(), body, &mut column).map_err(Cause::Misfit)?;
        self.changed();
        self.shape = Some(Arc::clone(&shape));
        Ok((Columns { shape, column }, matched))
    }

    fn may_change(&self) -> bool {
        self.changes
            .is_none_or(|(since, count)| count < CHANGES_MAX || since.elapsed() >= CHANGES_TIME)
    }

    fn changed(&mut self) {
        self.changes = match self.changes {
            Some((since, count)) if since.elapsed() < CHANGES_TIME => Some((since, count + 1)),
            _ => Some((Instant::now(), 1)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;
    use crate::model::Format;
    use crate::wire::Value;

    /// A target, and what it exposed so far.
    struct Lab {
        target: Arc<Labels>,
        shapes: Shapes,
        reading: Reading,
    }

    impl Lab {
        fn new() -> Self {
            Self {
                target: Arc::new(Labels::of_target("node", "db1")),
                shapes: Shapes::new(Metrics::default()),
                reading: Reading::default(),
            }
        }

        fn read(&mut self, body: &str) -> Exposition {
            self.try_read(body, Format::Text).unwrap()
        }

        fn try_read(&mut self, body: &str, format: Format) -> Result<Exposition, SyntaxError> {
            let text = body.to_owned().into();
            let text = Text { text, format };
            self.reading.read(&self.target, &text, &self.shapes)
        }

        #[track_caller]
        fn check(&mut self, body: &str, expected: &[Option<f64>]) {
            let read = self.read(body);
            let Body::Columns(Columns { column, .. }) = &read.body else {
                panic!("{body} is text: {:?}", read.cause);
            };
            let values: Vec<_> = column.iter().map(Value::get).collect();
            assert_eq!(values, expected, "{body}");
            assert_eq!(read.samples, expected.iter().flatten().count(), "{body}");
            assert_eq!(read.cause, None, "{body}");
        }

        #[track_caller]
        fn check_text(&mut self, body: &str, cause: Cause) {
            let read = self.read(body);
            assert_eq!(read.cause, Some(cause), "{body}");
            let Body::Text(text) = read.body else {
                panic!("{body} is columns");
            };
            assert_eq!(text.text, body);
        }
    }

    #[test]
    fn the_same_lines_keep_their_shape() {
        let mut lab = Lab::new();
        lab.check("a 1\nb 2\n", &[Some(1.0), Some(2.0)]);
        let first = lab.reading.shape.clone().unwrap();
        lab.check("a 3\nb 4\n", &[Some(3.0), Some(4.0)]);
        lab.check("b 5\n", &[None, Some(5.0)]);
        assert!(Arc::ptr_eq(lab.reading.shape.as_ref().unwrap(), &first));
    }

    #[test]
    fn new_lines_extend_the_shape() {
        let mut lab = Lab::new();
        lab.check("a 1\nb 2\n", &[Some(1.0), Some(2.0)]);
        lab.check("a 1\nb 2\nc 3\n", &[Some(1.0), Some(2.0), Some(3.0)]);
        lab.check("a 1\nc 4\n", &[Some(1.0), None, Some(4.0)]);
    }

    #[test]
    fn nothing_is_an_exposition_too() {
        let mut lab = Lab::new();
        lab.check("", &[]);
        lab.check("", &[]);
        lab.check("a 1\n", &[Some(1.0)]);
        lab.check("", &[None]);
    }

    #[test]
    fn another_format_is_another_shape() {
        let mut lab = Lab::new();
        lab.check("a 1\n", &[Some(1.0)]);
        let read = lab.try_read("a 1\n# EOF\n", Format::OpenMetrics).unwrap();
        assert_eq!((read.samples, read.cause), (1, None));
        lab.check("a 2\n", &[Some(2.0)]);
    }

    #[test]
    fn what_no_shape_holds_is_text_and_tried_again_later() {
        let mut lab = Lab::new();
        let repeated = Cause::Misfit(Misfit::Repeated);
        lab.check("a 1\n", &[Some(1.0)]);
        lab.check_text("a 1\na 2 3\n", Cause::Misfit(Misfit::Repeated));
        // What would fit again is text for a while.
        for _ in 0..TEXT_SCRAPES {
            lab.check_text("a 1\n", repeated);
        }
        lab.check("a 2\n", &[Some(2.0)]);
        lab.check("a 3\n", &[Some(3.0)]);
    }

    #[test]
    fn a_body_that_is_no_exposition_is_an_error_and_forgotten() {
        let mut lab = Lab::new();
        lab.check("a 1\n", &[Some(1.0)]);
        lab.try_read("<html>\n", Format::Text).unwrap_err();
        lab.check("a 2\n", &[Some(2.0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_changes_all_the_time_becomes_text() {
        let mut lab = Lab::new();
        let body = |n: u32| format!("a{{id=\"{n}\"}} 1\n");
        for n in 0..CHANGES_MAX {
            assert_eq!(lab.read(&body(n)).cause, None);
        }
        for n in 100..110 {
            lab.check_text(&body(n), Cause::Churn);
        }
        // Lines that are known are no change.
        assert_eq!(lab.read(&body(CHANGES_MAX - 1)).cause, None);
        tokio::time::advance(CHANGES_TIME).await;
        assert_eq!(lab.read(&body(200)).cause, None);
    }

    #[test]
    fn without_room_for_shapes_all_is_text() {
        let mut lab = Lab::new();
        lab.shapes = Shapes::with_limit(Metrics::default(), 10);
        lab.check_text("a 1\n", Cause::Memory);
    }
}
