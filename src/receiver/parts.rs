//! Puts the parts of a scrape together that is too large for one message.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::shapes::Shapes;
use crate::model::{Labels, Outcome};
use crate::wire::{Body, Columns, Part, Scrape, Shape};

/// The parts of one site's unfinished scrapes may not take more memory than this together: the
/// largest scrape that a poller takes by default has some 10 MiB.
pub(super) const SITE_BYTES_MAX: usize = 128 << 20;

/// What an unfinished scrape takes at least: its labels and a place in the map.
const SCRAPE_BYTES: usize = 1024;

/// Bytes of a series in a column.
const SERIES_BYTES: usize = 16;

/// The unfinished scrapes of one lane.
#[derive(Debug, Default)]
pub(super) struct Parts(HashMap<Arc<Labels>, Unfinished>);

/// A scrape of which a part has come.
#[derive(Debug)]
struct Unfinished {
    time_ms: i64,
    count: u32,
    duration: Duration,
    /// The parts so far, in order; `None` when one is missing.
    bodies: Option<Vec<Body>>,
    bytes: usize,
}

/// What came of a record.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// A scrape that is whole.
    pub(super) scrape: Option<Scrape>,
    /// Scrapes that will never be whole.
    pub(super) incomplete: u64,
}

impl Parts {
    /// Takes a part; `site_bytes` is what the parts of the site take.
    pub(super) fn add(
        &mut self,
        part: Part,
        scrape: Scrape,
        shapes: &Shapes,
        site_bytes: &mut usize,
    ) -> Joined {
        let Scrape {
            target,
            time_ms,
            outcome: Outcome::Exposed { body, duration },
        } = scrape
        else {
            // Nothing else is split.
            return Joined::default();
        };
        let is_same = |known: &Unfinished| known.time_ms == time_ms && known.count == part.count;
        let mut incomplete = 0;
        if !self.0.get(&target).is_some_and(is_same) {
            incomplete = self.give_up(&target, site_bytes);
            *site_bytes += SCRAPE_BYTES;
        }
        let known = self
            .0
            .entry(Arc::clone(&target))
            .or_insert_with(|| Unfinished {
                time_ms,
                count: part.count,
                duration,
                bodies: Some(Vec::new()),
                bytes: SCRAPE_BYTES,
            });
        known.add(part.index, body, site_bytes);
        if part.index + 1 < part.count {
            return Joined {
                scrape: None,
                incomplete,
            };
        }
        let bodies = known.bodies.take();
        let duration = known.duration;
        *site_bytes -= known.bytes;
        self.0.remove(&target);
        let Some(bodies) = bodies else {
            return Joined {
                scrape: None,
                incomplete: incomplete + 1,
            };
        };
        let outcome = Outcome::Exposed {
            body: join(bodies, shapes),
            duration,
        };
        let scrape = Scrape {
            target,
            time_ms,
            outcome,
        };
        Joined {
            scrape: Some(scrape),
            incomplete,
        }
    }

    /// Gives up a target's unfinished scrape, because another one has come; returns how many
    /// there were.
    pub(super) fn give_up(&mut self, target: &Arc<Labels>, site_bytes: &mut usize) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        match self.0.remove(target) {
            Some(unfinished) => {
                *site_bytes -= unfinished.bytes;
                1
            }
            None => 0,
        }
    }

    /// Gives up all unfinished scrapes.
    pub(super) fn clear(&mut self, site_bytes: &mut usize) {
        for (_, unfinished) in self.0.drain() {
            *site_bytes -= unfinished.bytes;
        }
    }
}

impl Unfinished {
    fn add(&mut self, index: u32, body: Body, site_bytes: &mut usize) {
        let bytes = match &body {
            Body::Text(text) => text.text.len(),
            Body::Columns(columns) => columns.column.len() * SERIES_BYTES,
        };
        match &mut self.bodies {
            Some(bodies)
                if usize::try_from(index) == Ok(bodies.len())
                    && *site_bytes + bytes <= SITE_BYTES_MAX =>
            {
                bodies.push(body);
                self.bytes += bytes;
                *site_bytes += bytes;
            }
            // What is kept is that it will never be whole, so that it is counted once.
            _ => {
                self.bodies = None;
                *site_bytes -= self.bytes - SCRAPE_BYTES;
                self.bytes = SCRAPE_BYTES;
            }
        }
    }
}

fn join(bodies: Vec<Body>, shapes: &Shapes) -> Body {
    let parts = bodies.iter().map(|body| match body {
        Body::Columns(part) => Some(Arc::clone(&part.shape)),
        Body::Text(_) => None,
    });
    let parts: Option<Vec<Arc<Shape>>> = parts.collect();
    let Some(shape) = parts.and_then(|parts| shapes.join(&parts)) else {
        return Body::Text(Body::join_texts(&bodies));
    };
    let columns = bodies.into_iter().filter_map(|body| match body {
        Body::Columns(part) => Some(part),
        Body::Text(_) => None,
    });
    let columns: Vec<Columns> = columns.collect();
    Body::Columns(Columns::join(&columns, shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Format, Text};
    use crate::wire::{Column, match_body};

    const TARGET: &str = "a";

    fn target() -> Arc<Labels> {
        Arc::new(Labels::of_target("node", TARGET))
    }

    fn scrape(time_ms: i64, body: Body) -> Scrape {
        Scrape {
            target: target(),
            time_ms,
            outcome: Outcome::Exposed {
                body,
                duration: Duration::ZERO,
            },
        }
    }

    fn text(text: &'static str) -> Body {
        Body::Text(Text {
            text: text.into(),
            format: Format::Text,
        })
    }

    fn columns(text: &str) -> Body {
        let shape = Shape::build(target(), text.as_bytes(), Format::Text).unwrap();
        let mut column = Column::default();
        match_body(shape.page(), text.as_bytes(), &mut column).unwrap();
        Body::Columns(Columns {
            shape: Arc::new(shape),
            column,
        })
    }

    struct Desk {
        parts: Parts,
        shapes: Shapes,
        bytes: usize,
    }

    impl Desk {
        fn new() -> Self {
            Self {
                parts: Parts::default(),
                shapes: Shapes::new(),
                bytes: 0,
            }
        }

        /// Adds a part; returns the text of what is whole, and what never will be.
        fn add(&mut self, part: (u32, u32), time_ms: i64, body: Body) -> (String, u64) {
            let part = Part {
                index: part.0,
                count: part.1,
            };
            let scrape = scrape(time_ms, body);
            let joined = self.parts.add(part, scrape, &self.shapes, &mut self.bytes);
            let text = joined.scrape.map(|scrape| match scrape.outcome {
                Outcome::Exposed { body, .. } => body.to_text().text,
                other => panic!("{other:?}"),
            });
            let text = String::from_utf8(text.unwrap_or_default().to_vec()).unwrap();
            (text, joined.incomplete)
        }
    }

    #[tokio::test]
    async fn parts_are_handed_on_as_one_scrape() {
        let mut desk = Desk::new();
        for bodies in [
            [text("a 1\n"), text("b 2\n"), text("c 3\n")],
            [columns("a 1\n"), columns("b 2\n"), columns("c 3\n")],
            [text("a 1\n"), columns("b 2\n"), text("c 3\n")],
            // No shape has a series twice: it goes on as text.
            [columns("a 1\n"), columns("a 1\n"), columns("c 3\n")],
        ] {
            let texts: Vec<_> = bodies.iter().map(|body| body.to_text().text).collect();
            let [first, second, third] = bodies;
            assert_eq!(desk.add((0, 3), 1, first), (String::new(), 0));
            assert_eq!(desk.add((1, 3), 1, second), (String::new(), 0));
            let whole = String::from_utf8(texts.concat()).unwrap();
            assert_eq!(desk.add((2, 3), 1, third), (whole, 0));
            assert_eq!(desk.bytes, 0);
        }
    }

    #[tokio::test]
    async fn a_scrape_without_all_of_its_parts_is_counted_once() {
        let mut desk = Desk::new();
        let none = || (String::new(), 0);
        let one = || (String::new(), 1);
        let part = || text("a 1\n");
        // The first is missing, one in between, the last.
        assert_eq!(desk.add((1, 3), 1, part()), none());
        assert_eq!(desk.add((2, 3), 1, part()), one());
        assert_eq!(desk.add((0, 4), 2, part()), none());
        assert_eq!(desk.add((2, 4), 2, part()), none());
        assert_eq!(desk.add((3, 4), 2, part()), one());
        assert_eq!(desk.add((0, 2), 3, part()), none());
        assert_eq!(desk.add((0, 2), 4, part()), one());
        assert_eq!(desk.add((1, 2), 4, part()), ("a 1\na 1\n".to_owned(), 0));
        // A scrape in one piece comes in between.
        assert_eq!(desk.add((0, 2), 5, part()), none());
        assert_eq!(desk.parts.give_up(&target(), &mut desk.bytes), 1);
        assert_eq!(desk.add((1, 2), 5, part()), one());
        // A repeated part.
        assert_eq!(desk.add((0, 2), 6, part()), none());
        assert_eq!(desk.add((0, 2), 6, part()), none());
        assert_eq!(desk.add((1, 2), 6, part()), one());
        assert_eq!(desk.bytes, 0);
        desk.add((0, 2), 7, part());
        desk.parts.clear(&mut desk.bytes);
        assert_eq!(desk.bytes, 0);
    }

    #[tokio::test]
    async fn parts_have_a_bound() {
        let mut desk = Desk::new();
        desk.bytes = SITE_BYTES_MAX;
        let part = || text("a 1\n");
        assert_eq!(desk.add((0, 2), 1, part()), (String::new(), 0));
        assert_eq!(desk.add((1, 2), 1, part()), (String::new(), 1));
        assert_eq!(desk.bytes, SITE_BYTES_MAX);
    }
}
