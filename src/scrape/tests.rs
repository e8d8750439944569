//! What the tests of this module share.

use std::time::Duration;

use super::{Config, Limits};

/// A configuration that says nothing.
pub(crate) fn config() -> Config {
    Config {
        job_name: "node".to_owned(),
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
        metrics_path: "/metrics".to_owned(),
        scheme: "http".to_owned(),
        params: Vec::new(),
        honor_labels: false,
        honor_timestamps: true,
        track_timestamps_staleness: false,
        protocols: Vec::new(),
        fallback_protocol: None,
        enable_compression: true,
        limits: Limits {
            body_size: 1 << 20,
            samples: None,
            targets: None,
            labels: None,
            label_name_length: None,
            label_value_length: None,
            keep_dropped_targets: None,
        },
        name_validation: super::NameValidation::default(),
        name_escaping: super::NameEscaping::default(),
        native_histograms: false,
        always_scrape_classic_histograms: false,
        extra_scrape_metrics: false,
        client: crate::http::Settings::default(),
        relabel: crate::relabel::Rules::default(),
        metric_relabel: crate::relabel::Rules::default(),
        discovery: Vec::new(),
    }
}
