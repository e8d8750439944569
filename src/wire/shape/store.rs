//! The shapes that are known.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Weak};

use rapidhash::fast::RandomState;

use super::message::{Packed, read_version};
use super::{Page, Shape, ShapeError, ShapeId};
use crate::wire::cursor::Reader;

/// Shapes may not take more memory than this together, by default: those of some 10,000 targets
/// of 1,000 series, were none alike.
pub const STORE_BYTES_MAX: usize = 1 << 30;

/// Shapes by name; pages that are the same are kept once.
pub struct ShapeStore {
    shapes: HashMap<ShapeId, Arc<Shape>>,
    /// Pages by a hash of their text, to find those that are the same: which are is told by
    /// comparing them.
    pages: HashMap<u64, Weak<Page>>,
    state: RandomState,
    bytes: usize,
    limit: usize,
}

impl Default for ShapeStore {
    fn default() -> Self {
        Self::new(STORE_BYTES_MAX)
    }
}

impl ShapeStore {
    /// Makes a store with a limit in bytes of memory.
    pub fn new(limit: usize) -> Self {
        Self {
            shapes: HashMap::new(),
            pages: HashMap::new(),
            state: RandomState::new(),
            bytes: 0,
            limit,
        }
    }

    /// Returns a shape.
    pub fn get(&self, id: ShapeId) -> Option<&Arc<Shape>> {
        self.shapes.get(&id)
    }

    /// Returns the number of shapes.
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Tells whether there is no shape.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// Returns the bytes of memory that the shapes take, nearly.
    pub fn memory(&self) -> usize {
        self.bytes
    }

    /// Adds a shape and returns it as it is kept; one that is there already is returned.
    pub fn insert(&mut self, mut shape: Shape) -> Result<Arc<Shape>, ShapeError> {
        if let Some(known) = self.shapes.get(&shape.id()) {
            return Ok(Arc::clone(known));
        }
        let name = self.state.hash_one(shape.page().text());
        let known = self.pages.get(&name).and_then(Weak::upgrade);
        let mut bytes = memory_of(&shape);
        if let Some(known) = &known {
            shape.share(known);
        }
        let is_shared = known.is_some_and(|known| Arc::ptr_eq(&known, shape.page()));
        if !is_shared {
            bytes += shape.page().memory();
        }
        if self.bytes.saturating_add(bytes) > self.limit {
            return Err(ShapeError::Full { limit: self.limit });
        }
        if !is_shared {
            self.pages.insert(name, Arc::downgrade(shape.page()));
        }
        self.bytes += bytes;
        let shape = Arc::new(shape);
        self.shapes.insert(shape.id(), Arc::clone(&shape));
        Ok(shape)
    }

    /// Reads a shape message and adds its shapes; returns their names.
    ///
    /// Shapes before one that cannot be read stay. One that needs an unknown shape is passed
    /// over, so that those behind it are not lost with it.
    pub fn read(&mut self, payload: &[u8]) -> Result<Vec<ShapeId>, ShapeError> {
        let mut reader = Reader::new(payload);
        read_version(&mut reader)?;
        let mut ids = Vec::new();
        let mut unknown = None;
        while reader.remaining() > 0 {
            let packed = Packed::read(&mut reader)?;
            if self.shapes.contains_key(&packed.id) {
                ids.push(packed.id);
                continue;
            }
            let missing = packed.needs().find(|id| !self.shapes.contains_key(id));
            if missing.is_some() {
                unknown = unknown.or(missing);
                continue;
            }
            let shape = packed.open(|id| self.shapes.get(&id))?;
            ids.push(self.insert(shape)?.id());
        }
        match unknown {
            None => Ok(ids),
            Some(base) => Err(ShapeError::UnknownShape(base)),
        }
    }

    /// Drops the shapes that nobody uses and that `is_kept` does not name.
    pub fn retain(&mut self, mut is_kept: impl FnMut(ShapeId) -> bool) {
        self.shapes
            .retain(|id, shape| Arc::strong_count(shape) > 1 || is_kept(*id));
        self.pages.retain(|_, page| page.strong_count() > 0);
        let own: usize = self.shapes.values().map(|shape| memory_of(shape)).sum();
        let pages = self.pages.values().filter_map(Weak::upgrade);
        self.bytes = own + pages.map(|page| page.memory()).sum::<usize>();
    }
}

/// Returns the memory of a shape without its page.
fn memory_of(shape: &Shape) -> usize {
    /// Bytes of a series' template: mantissa, scale, timestamp.
    const SERIES: usize = 8 + 1;
    let times = shape.template().times.len() * size_of::<i64>();
    let labels = shape.target().iter();
    let labels: usize = labels
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    shape.page().len() * SERIES + times + labels + size_of::<Shape>() + 128
}
