//! Counts of what a sink leaves out of a scrape.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a part of a scrape does not reach the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// A series that stands in the scrape already; the first one counts.
    Duplicate,
    /// A series that is named like a part of a histogram or summary of the same scrape.
    Colliding,
    /// A series with a metric or label name that the sink does not know how to write.
    InvalidName,
    /// A series whose name the sink keeps for itself.
    ReservedName,
    /// A series that the sink's own relabel rules drop.
    Relabeled,
    /// A sample whose explicit timestamp the sink refuses.
    RefusedTimestamp,
    /// A sample's explicit timestamp; the sample stays.
    Timestamp,
    /// A native histogram that the sink is not to get, or cannot take.
    NativeHistogram,
    /// A native histogram that cannot be read.
    BadHistogram,
    /// An exemplar that the sink is not to get, or cannot take.
    Exemplar,
}

impl Removal {
    const ALL: [Self; 10] = [
        Self::Duplicate,
        Self::Colliding,
        Self::InvalidName,
        Self::ReservedName,
        Self::Relabeled,
        Self::RefusedTimestamp,
        Self::Timestamp,
        Self::NativeHistogram,
        Self::BadHistogram,
        Self::Exemplar,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Colliding => "colliding",
            Self::InvalidName => "invalid_name",
            Self::ReservedName => "reserved_name",
            Self::Relabeled => "relabeled",
            Self::RefusedTimestamp => "refused_timestamp",
            Self::Timestamp => "timestamp",
            Self::NativeHistogram => "native_histogram",
            Self::BadHistogram => "bad_histogram",
            Self::Exemplar => "exemplar",
        }
    }
}

/// The removals of one scrape, not counted before the scrape is decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Removals([u64; Removal::ALL.len()]);

impl Removals {
    /// Counts one.
    pub(super) fn add(&mut self, removal: Removal) {
        self.add_many(removal, 1);
    }

    /// Counts several.
    pub(super) fn add_many(&mut self, removal: Removal, count: usize) {
        if let Some(total) = self.0.get_mut(removal as usize) {
            *total += count as u64;
        }
    }
}

/// The removals of a sink since its start.
#[derive(Debug, Default)]
pub(super) struct Removed([AtomicU64; Removal::ALL.len()]);

impl Removed {
    /// Adds those of one scrape.
    pub(super) fn add(&self, removals: &Removals) {
        for (total, count) in self.0.iter().zip(removals.0) {
            if count > 0 {
                total.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Returns each reason with its count.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        let totals = self.0.iter().map(|total| total.load(Ordering::Relaxed));
        Removal::ALL
            .map(Removal::as_str)
            .into_iter()
            .zip(totals)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_reason() {
        let removed = Removed::default();
        let mut removals = Removals::default();
        removals.add(Removal::Duplicate);
        removals.add(Removal::Duplicate);
        removals.add(Removal::Timestamp);
        removed.add(&removals);
        let counts = removed.counts();
        assert_eq!(counts.len(), Removal::ALL.len());
        assert!(counts.contains(&("duplicate", 2)));
        assert!(counts.contains(&("timestamp", 1)));
        assert!(counts.contains(&("reserved_name", 0)));
    }
}
