//! The shapes that all feeds share.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::{STORE_BYTES_MAX, Shape, ShapeError, ShapeId, ShapeStore};

/// How often shapes that nobody uses any more may go. One that was announced since the last sweep
/// but one stays: a frame that names it may still be on its way.
const SWEEP_PERIOD: Duration = Duration::from_secs(10 * 60);

/// The same when there is no room for a new shape.
const SWEEP_PERIOD_FULL: Duration = Duration::from_secs(60);

/// Shapes by their content, so that it does not matter which feed has read them.
#[derive(Clone)]
pub(super) struct Shapes(Arc<RwLock<Known>>);

struct Known {
    store: ShapeStore,
    limit: usize,
    /// In which period each was announced last.
    announced: HashMap<ShapeId, u64>,
    /// The shapes of whole scrapes by those of their parts; `None` where there is none.
    joined: HashMap<Box<[ShapeId]>, Option<ShapeId>>,
    period: u64,
    swept: Instant,
}

impl Shapes {
    pub(super) fn new() -> Self {
        Self::with_limit(STORE_BYTES_MAX)
    }

    fn with_limit(limit: usize) -> Self {
        Self(Arc::new(RwLock::new(Known {
            store: ShapeStore::new(limit),
            limit,
            announced: HashMap::new(),
            joined: HashMap::new(),
            period: 0,
            swept: Instant::now(),
        })))
    }

    /// Reads a shape message.
    pub(super) fn read(&self, payload: &[u8]) -> Result<(), ShapeError> {
        self.change(|known| {
            known.sweep_if_due();
            let read = known.store.read(payload);
            let read = match read {
                Err(ShapeError::Full { .. }) if known.sweep(SWEEP_PERIOD_FULL) => {
                    known.store.read(payload)
                }
                read => read,
            };
            let period = known.period;
            known
                .announced
                .extend(read?.into_iter().map(|id| (id, period)));
            Ok(())
        })
    }

    /// Looks at the shapes.
    pub(super) fn look<T>(&self, at: impl FnOnce(&ShapeStore) -> T) -> T {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        at(&known.store)
    }

    /// Returns the shape of a scrape that was split; `None` when its parts make no shape.
    pub(super) fn join(&self, parts: &[Arc<Shape>]) -> Option<Arc<Shape>> {
        let ids: Box<[ShapeId]> = parts.iter().map(|part| part.id()).collect();
        self.change(|known| {
            match known.joined.get(&ids) {
                Some(None) => return None,
                Some(Some(id)) => {
                    if let Some(shape) = known.store.get(*id) {
                        known.announced.insert(*id, known.period);
                        return Some(Arc::clone(shape));
                    }
                }
                None => {}
            }
            let shape = Shape::join(parts);
            let shape = shape.and_then(|shape| known.store.insert(shape).ok());
            if let Some(shape) = &shape {
                known.announced.insert(shape.id(), known.period);
            }
            let id = shape.as_ref().map(|shape| shape.id());
            known.joined.insert(ids, id);
            shape
        })
    }

    /// Returns how many there are, and the bytes of memory that they take.
    pub(super) fn size(&self) -> (usize, usize) {
        self.look(|store| (store.len(), store.memory()))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        // No code that can panic leaves the store half changed.
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn sweep_if_due(&mut self) {
        if self.store.memory() > self.limit / 2 {
            self.sweep(SWEEP_PERIOD);
        }
    }

    /// Drops the shapes that nobody uses and that were not announced lately; tells whether the
    /// last time was long enough ago.
    fn sweep(&mut self, period: Duration) -> bool {
        if self.swept.elapsed() < period {
            return false;
        }
        self.swept = Instant::now();
        let (announced, period) = (&mut self.announced, self.period);
        self.store.retain(|id| {
            // One without an announcement came in a message that was damaged further on.
            *announced.entry(id).or_insert(period) + 1 >= period
        });
        let store = &self.store;
        self.announced.retain(|id, _| store.get(*id).is_some());
        self.joined
            .retain(|_, id| id.is_some_and(|id| store.get(id).is_some()));
        self.period += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Format, Labels};
    use crate::wire::ShapeWriter;

    fn shape(instance: &str) -> Shape {
        let target = Arc::new(Labels::of_target("node", instance));
        Shape::build(target, b"a 1\nb 2\n", Format::Text).unwrap()
    }

    fn message(instance: &str) -> Vec<u8> {
        let mut writer = ShapeWriter::new();
        writer.whole(&shape(instance));
        writer.finish()
    }

    fn has(shapes: &Shapes, instance: &str) -> bool {
        shapes.look(|store| store.get(shape(instance).id()).is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn shapes_that_were_announced_lately_or_are_in_use_stay() {
        let roomy = Shapes::new();
        for instance in ["in use", "old", "live"] {
            roomy.read(&message(instance)).unwrap();
        }
        // More than half is used as long as all three are there.
        let shapes = Shapes::with_limit(2 * roomy.size().1 - 1);
        shapes.read(&message("in use")).unwrap();
        let used = shapes.look(|store| store.get(shape("in use").id()).cloned());
        assert!(used.is_some());
        shapes.read(&message("old")).unwrap();
        shapes.read(&message("live")).unwrap();
        for _ in 0..3 {
            assert!(has(&shapes, "old"));
            tokio::time::advance(SWEEP_PERIOD).await;
            shapes.read(&message("live")).unwrap();
        }
        assert!(!has(&shapes, "old"));
        assert!(has(&shapes, "live") && has(&shapes, "in use"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_makes_room_now_and_then() {
        let shapes = Shapes::with_limit(1_200);
        shapes.read(&message("first")).unwrap();
        while shapes.read(&message(&shapes.size().0.to_string())).is_ok() {}
        assert_eq!(shapes.read(&message("x")).unwrap_err().reason(), "full");
        for _ in 0..3 {
            tokio::time::advance(SWEEP_PERIOD_FULL).await;
            shapes.read(&message("x")).unwrap_or_default();
        }
        assert!(has(&shapes, "x") && !has(&shapes, "first"));
    }

    #[tokio::test]
    async fn the_shape_of_a_split_scrape_is_made_once() {
        let shapes = Shapes::new();
        let target = Arc::new(Labels::of_target("node", "a"));
        let build =
            |body: &[u8]| Arc::new(Shape::build(Arc::clone(&target), body, Format::Text).unwrap());
        let parts = [build(b"a 1\n"), build(b"b 1\n")];
        let joined = shapes.join(&parts).unwrap();
        assert_eq!(joined.page().len(), 2);
        assert!(Arc::ptr_eq(&joined, &shapes.join(&parts).unwrap()));
        assert!(shapes.join(&[build(b"a 1\n"), build(b"a 1\n")]).is_none());
    }
}
