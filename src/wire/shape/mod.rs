//! Shapes: everything of an exposition but its values.
//!
//! In: a body that no known shape fits, or a shape message. Out: a [`Shape`] named by the hash of
//! its content, or the bytes of a message that carries it, whole or as a patch of another.
//! This module alone knows a shape's bytes. A shape is a [`Page`], which targets that expose the
//! same share, the labels of one target, and a template: the values of the scrape that made it.
//! It must never trust a message: sizes are limited before anything is reserved, the content must
//! have the hash that the message says, and read as an exposition.

mod build;
mod content;
mod extend;
mod id;
mod join;
mod kin;
mod message;
mod page;
mod sibling;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::columns::{Cell, Column};
use crate::model::Labels;

pub use build::Misfit;
pub use id::ShapeId;
pub(super) use join::without_end;
pub use message::{ShapeEntry, ShapeError, ShapeWriter};
pub(super) use page::Find;
pub use page::Page;
#[cfg(test)]
pub(super) use sibling::Siblings;
pub use store::{STORE_BYTES_MAX, ShapeStore};

/// A shape may not have more series than this; larger scrapes travel as raw records.
///
/// The largest known expositions, of kube-state-metrics, have some hundred thousand.
pub const SERIES_MAX: usize = 1 << 20;

/// The text of a shape may not be longer than this: a third of what a frame may hold.
pub const TEXT_MAX: usize = 16 << 20;

/// Everything of a target's exposition but its values.
#[derive(Debug, Clone)]
pub struct Shape {
    id: ShapeId,
    target: Arc<Labels>,
    page: Arc<Page>,
    template: Column,
}

impl Shape {
    pub(super) fn new(target: Arc<Labels>, page: Arc<Page>, template: Column) -> Self {
        let mut shape = Self::named(ShapeId::default(), target, page, template);
        shape.id = ShapeId::of(&shape.content());
        shape
    }

    /// Takes the name from the caller, who knows that it is that of the content.
    fn named(id: ShapeId, target: Arc<Labels>, page: Arc<Page>, template: Column) -> Self {
        Self {
            id,
            target,
            page,
            template,
        }
    }

    /// Returns its name: the hash of its content.
    pub fn id(&self) -> ShapeId {
        self.id
    }

    /// Returns the labels of the target.
    pub fn target(&self) -> &Arc<Labels> {
        &self.target
    }

    /// Returns what targets that expose the same share.
    pub fn page(&self) -> &Arc<Page> {
        &self.page
    }

    /// Returns the values of the scrape that made it.
    pub fn template(&self) -> &Column {
        &self.template
    }

    /// Shares the page of another shape if it is the same.
    pub fn share(&mut self, page: &Arc<Page>) {
        if *self.page == **page {
            self.page = Arc::clone(page);
        }
    }

    /// Writes values as an exposition in the shape's format.
    pub fn write_text(&self, column: &Column, out: &mut Vec<u8>) {
        self.page.write_text(column, out);
    }

    /// Returns the cells of a target that is coded afresh.
    pub(super) fn cells(&self, classes: impl Iterator<Item = u8>) -> Vec<Cell> {
        let values = self.template.iter().zip(classes);
        values
            .map(|(value, class)| Cell::new(value, class))
            .collect()
    }

    /// Brings what was kept of the series of another shape to the series of this one; those that
    /// are new start from the template.
    pub(super) fn adopt(&self, old: &Page, cells: &[Cell], times: &[i64]) -> (Vec<Cell>, Vec<i64>) {
        let mut adopted = Vec::with_capacity(self.page.len());
        let mut adopted_times = vec![
            0;
            if self.page.has_times() {
                self.page.len()
            } else {
                0
            }
        ];
        let mut expected = 0;
        for (at, (key, value)) in self.page.keys().zip(self.template.iter()).enumerate() {
            let found = old.find_from(expected, key);
            let cell = found.and_then(|found| cells.get(found));
            adopted.push(cell.map_or_else(|| Cell::new(value, 0), |cell| cell.moved()));
            let time = found.and_then(|found| times.get(found));
            if let (Some(adopted), Some(time)) = (adopted_times.get_mut(at), time) {
                *adopted = *time;
            }
            expected = found.map_or(expected, |found| found + 1);
        }
        (adopted, adopted_times)
    }
}
