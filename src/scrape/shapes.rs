//! The shapes that the targets of this process expose.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::Metrics;
use crate::wire::{STORE_BYTES_MAX, Shape, ShapeStore};

/// Shapes that nobody uses any more are looked for when the store has grown by this part of what
/// it holds: each look costs as much as the store is large.
const GROWTH_SHARE: usize = 4;

/// Fewer new shapes than this are not worth a look.
const GROWTH_LEAST: usize = 64;

/// The shapes of all targets; pages that are the same are kept once.
#[derive(Clone)]
pub struct Shapes {
    kept: Arc<Mutex<Kept>>,
    metrics: Metrics,
}

struct Kept {
    store: ShapeStore,
    /// Shapes added since the last look for unused ones.
    added: usize,
}

impl Shapes {
    /// Makes room for the shapes of all targets.
    pub fn new(metrics: Metrics) -> Self {
        Self::with_limit(metrics, STORE_BYTES_MAX)
    }

    pub(super) fn with_limit(metrics: Metrics, limit: usize) -> Self {
        let kept = Kept {
            store: ShapeStore::new(limit),
            added: 0,
        };
        Self {
            kept: Arc::new(Mutex::new(kept)),
            metrics,
        }
    }

    /// Keeps a shape as long as somebody uses it; `None` when there is no room.
    pub fn keep(&self, shape: Shape) -> Option<Arc<Shape>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.added += 1;
        if kept.added >= (kept.store.len() / GROWTH_SHARE).max(GROWTH_LEAST) {
            kept.sweep();
        }
        let shape = kept.store.insert(shape).ok();
        if shape.is_none() {
            // The next one may find what is not used any more by then.
            kept.sweep();
        }
        self.metrics.shapes(kept.store.len(), kept.store.memory());
        shape
    }
}

impl Kept {
    fn sweep(&mut self) {
        self.store.retain(|_unused| false);
        self.added = 0;
    }
}

impl fmt::Debug for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shapes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Format, Labels};

    fn shape(instance: &str, body: &str) -> Shape {
        let target = Arc::new(Labels::of_target("node", instance));
        Shape::build(target, body.as_bytes(), Format::Text).unwrap()
    }

    #[test]
    fn targets_that_expose_the_same_share_a_page() {
        let shapes = Shapes::new(Metrics::default());
        let one = shapes.keep(shape("one", "a 1\nb 2\n")).unwrap();
        let other = shapes.keep(shape("other", "a 3\nb 4\n")).unwrap();
        assert!(Arc::ptr_eq(one.page(), other.page()));
        assert_ne!(one.id(), other.id());
    }

    #[test]
    fn what_nobody_uses_makes_room() {
        let body = |n: usize| format!("a{n} 1\n");
        let mut store = ShapeStore::default();
        store.insert(shape("one", &body(0))).unwrap();
        let shapes = Shapes::with_limit(Metrics::default(), store.memory() * 5 / 2);
        let held = shapes.keep(shape("one", &body(0))).unwrap();
        // The second fits beside the first, the third does not.
        drop(shapes.keep(shape("one", &body(1))).unwrap());
        assert!(shapes.keep(shape("one", &body(2))).is_none());
        assert!(shapes.keep(shape("one", &body(3))).is_some());
        assert_eq!(Arc::strong_count(&held), 2);
    }
}
