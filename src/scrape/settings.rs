//! What `config` fills for each target.

use std::sync::Arc;
use std::time::Duration;

use crate::exposition::{NameEscaping, Protocol};
use crate::model::NameValidation;
use crate::{discover, http, relabel};

/// Everything that the poller scrapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where targets come from and how they are scraped.
    pub configs: Vec<Arc<Config>>,
}

impl Settings {
    /// Returns the number of targets before relabelling, if it is known without asking anybody.
    pub fn fixed_targets(&self) -> Option<usize> {
        let mut count = 0;
        for source in self.configs.iter().flat_map(|config| &config.discovery) {
            match source {
                discover::Settings::Static(groups) => {
                    count += groups
                        .iter()
                        .map(|group| group.targets.len())
                        .sum::<usize>();
                }
                _ => return None,
            }
        }
        Some(count)
    }
}

/// One scrape configuration: Prometheus's `scrape_config`, checked.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option that Prometheus has by this name"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The `job` label of its targets, before relabelling.
    pub job_name: String,
    /// Time from one scrape to the next, unless relabelling says otherwise.
    pub interval: Duration,
    /// Time that a whole scrape may take, never more than the interval.
    pub timeout: Duration,
    /// The path of the request, unless relabelling says otherwise.
    pub metrics_path: String,
    /// `http` or `https`, unless relabelling says otherwise.
    pub scheme: String,
    /// The query of the request, by name; the first value of each can be relabelled.
    pub params: Vec<(String, Vec<String>)>,
    /// Whether labels of series win over those of their target.
    pub honor_labels: bool,
    /// Whether explicit timestamps are taken.
    pub honor_timestamps: bool,
    /// Whether series with explicit timestamps get stale markers, too.
    pub track_timestamps_staleness: bool,
    /// What to ask for, the most welcome first.
    pub protocols: Vec<Protocol>,
    /// How to read an answer whose content type is missing or unknown.
    pub fallback_protocol: Option<Protocol>,
    /// Whether a compressed answer is asked for.
    pub enable_compression: bool,
    /// What is too much.
    pub limits: Limits,
    /// Which names are valid.
    pub name_validation: NameValidation,
    /// How names are asked for that are not valid everywhere.
    pub name_escaping: NameEscaping,
    /// Whether native histograms are taken; only the protobuf format has them.
    pub native_histograms: bool,
    /// Whether histograms that are native have their classic series, too.
    pub always_scrape_classic_histograms: bool,
    /// Whether there are more series about the scrape itself.
    pub extra_scrape_metrics: bool,
    /// How targets are reached.
    pub client: http::Settings,
    /// Rules for targets.
    pub relabel: relabel::Rules,
    /// Rules for series.
    pub metric_relabel: relabel::Rules,
    /// Where targets come from.
    pub discovery: Vec<discover::Settings>,
}

impl Config {
    /// Returns what decides how series are published: two configurations that differ only in other
    /// things publish the same.
    pub(super) fn series_settings(&self) -> impl PartialEq + use<> {
        (
            self.honor_labels,
            self.honor_timestamps,
            self.extra_scrape_metrics,
            self.limits,
            self.name_validation,
            self.native_histograms,
            self.always_scrape_classic_histograms,
            self.metric_relabel.clone(),
        )
    }
}

/// What is too much of a scrape; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body, after decompression; there is always a limit.
    pub body_size: usize,
    /// Samples of a scrape after relabelling.
    pub samples: Option<u64>,
    /// Targets of the scrape configuration after relabelling; with more, all their scrapes fail.
    pub targets: Option<u64>,
    /// Labels of a series, name and target's labels among them.
    pub labels: Option<u64>,
    /// Bytes of a label's name.
    pub label_name_length: Option<u64>,
    /// Bytes of a label's value.
    pub label_value_length: Option<u64>,
    /// Targets that relabelling dropped and that are remembered to be shown.
    pub keep_dropped_targets: Option<u64>,
}
