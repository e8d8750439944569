//! What is kept of one target.

use std::sync::Arc;

use crate::wire::columns::{Cell, Coder, Column, Mode, Model, Scratch, code, code_times};
use crate::wire::shape::Shape;

/// A target's series at the base.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) shape: Arc<Shape>,
    pub(super) cells: Vec<Cell>,
    /// Explicit timestamps; empty in a shape without any.
    times: Vec<i64>,
}

impl Target {
    /// Begins with a shape's template.
    pub(super) fn new(shape: &Arc<Shape>) -> Self {
        let times = if shape.page().has_times() {
            vec![0; shape.page().len()]
        } else {
            Vec::new()
        };
        Self {
            cells: shape.cells(std::iter::repeat(0)),
            shape: Arc::clone(shape),
            times,
        }
    }

    /// Returns to the template; what was learned of each series in so many scrapes stays.
    pub(super) fn restart(&mut self, scrapes: u16) {
        for (cell, value) in self.cells.iter_mut().zip(self.shape.template().iter()) {
            *cell = Cell::new(value, cell.counted_class(scrapes));
        }
        self.times.fill(0);
    }

    /// Moves on to another shape.
    pub(super) fn adopt(&mut self, shape: &Arc<Shape>) {
        let (cells, times) = shape.adopt(self.shape.page(), &self.cells, &self.times);
        self.cells = cells;
        self.times = times;
        self.shape = Arc::clone(shape);
    }

    /// Codes a scrape.
    pub(super) fn code<C: Coder>(
        &mut self,
        (coder, model): (&mut C, &mut Model),
        (mode, time_ms): (Mode, i64),
        column: &mut Column,
        scratch: &mut Scratch,
    ) {
        let flags = self.shape.page().flags();
        let values = (&mut *self.cells, &mut *column);
        code((coder, model), mode, flags, values, scratch);
        if self.shape.page().has_times() {
            let bases = &mut self.times;
            code_times((coder, model), (mode, time_ms), flags, bases, column);
        }
    }
}
