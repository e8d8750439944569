//! The series of a target's last scrape, however it came.

use std::sync::Arc;

use super::columns::{Presence, ShapeSeries};
use super::series::{End, Scratch, SeriesHasher, SeriesSet, TooLarge};
use crate::wire::{Column, Page};

/// The series of a target's last scrape that did not fail.
#[derive(Debug, Clone)]
pub(super) enum Last {
    /// Of a text.
    Text(Arc<SeriesSet>),
    /// Of values that went the way of a text, because labels in their page are the same once those
    /// of the target are added.
    Colliding(Arc<SeriesSet>, Arc<Page>),
    /// Of values.
    Columns(Arc<ShapeSeries>, Presence),
}

impl Default for Last {
    fn default() -> Self {
        Self::Text(Arc::default())
    }
}

impl Last {
    /// Returns the encoded series of a page, if the last scrape had them.
    pub(super) fn of_page(&self, page: &Arc<Page>) -> Option<(&Arc<ShapeSeries>, &Presence)> {
        match self {
            Self::Columns(series, presence) if series.is_of(page) => Some((series, presence)),
            _ => None,
        }
    }

    /// Returns the encoded series of the last scrape's page.
    pub(super) fn encoded(&self) -> Option<&ShapeSeries> {
        match self {
            Self::Columns(series, _) => Some(series),
            Self::Text(_) | Self::Colliding(..) => None,
        }
    }

    /// Tells whether a page is known to go the way of a text.
    pub(super) fn collides(&self, page: &Arc<Page>) -> bool {
        matches!(self, Self::Colliding(_, known) if Arc::ptr_eq(known, page))
    }

    /// Returns the series as those of a text.
    pub(super) fn to_set(&self, hasher: &SeriesHasher) -> Result<Arc<SeriesSet>, TooLarge> {
        match self {
            Self::Text(set) | Self::Colliding(set, _) => Ok(Arc::clone(set)),
            Self::Columns(series, presence) => series.to_set(presence, hasher).map(Arc::new),
        }
    }

    /// Calls `on_stale` with the labels of each series: all are gone.
    pub(super) fn end_all(&self, mut on_stale: impl FnMut(&[u8], End)) {
        for (labels, has_time) in self.labels() {
            on_stale(labels, End::of_gone(has_time));
        }
    }

    /// Calls `on_stale` with the labels of each series that ends with the next scrape; returns how
    /// many there are new.
    pub(super) fn differ(
        &self,
        (series, presence, column): (&Arc<ShapeSeries>, &Presence, &Column),
        hasher: &SeriesHasher,
        scratch: &mut Scratch,
        on_stale: impl FnMut(&[u8], End),
    ) -> u64 {
        match self {
            Self::Columns(last, before) if Arc::ptr_eq(last, series) => {
                if before.is_same(presence) {
                    return 0;
                }
                Self::Columns(Arc::clone(series), before.without(presence)).end_all(on_stale);
                presence.count_without(before)
            }
            Self::Columns(last, before) => {
                let (gone, new) = last.unlike(before, (series, presence, column));
                scratch.compare(hasher, &gone, new.into_iter(), on_stale)
            }
            Self::Text(_) | Self::Colliding(..) => {
                let now = series.timed(presence, column);
                scratch.compare(hasher, &self.labels(), now, on_stale)
            }
        }
    }

    /// Returns the labels of the series, and whether they have times of their own.
    fn labels(&self) -> Vec<(&[u8], bool)> {
        match self {
            Self::Text(set) | Self::Colliding(set, _) => set.labels().collect(),
            Self::Columns(series, presence) => series.labels(presence).collect(),
        }
    }
}
