//! Discovery: where targets come from.
//!
//! In: the sources of one scrape configuration. Out: [`Group`]s of targets with their labels, as
//! Prometheus has them, before relabelling. This module alone knows files, DNS and the services
//! that list targets; it scrapes nothing, and a source that fails keeps its last groups.

use std::sync::Arc;

/// Targets that have labels in common (Prometheus's `targetgroup.Group`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Names the group among those of its source: a later one of this name replaces it.
    pub source: Arc<str>,
    /// Labels of all targets.
    pub labels: Vec<(String, String)>,
    /// The labels of each target, `__address__` among them; they win over those of all.
    pub targets: Vec<Vec<(String, String)>>,
}

/// One source of targets, as `config` has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// `static_configs`: nothing to do but to hand them on.
    Static(Vec<Arc<Group>>),
}
