//! Whether two configurations mean the same.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::{Config, Role};
use crate::discover;
use crate::model::Labels;
use crate::scrape;

/// Tells whether a role, or both, would do the same with one configuration as with another.
pub(super) fn is_same(one: &Config, other: &Config, role: Option<Role>) -> bool {
    let (one, other) = match role {
        Some(role) => (one.for_role(role), other.for_role(role)),
        None => (one.clone(), other.clone()),
    };
    let rest = |config: &Config| {
        let mut config = config.clone();
        config.scrape = scrape::Settings::default();
        config
    };
    rest(&one) == rest(&other) && Scraped::of(&one) == Scraped::of(&other)
}

/// What is scraped, however it is written.
#[derive(PartialEq)]
struct Scraped {
    fixed: Vec<Fixed>,
    /// Those whose targets are known only when their sources are asked.
    others: Vec<Arc<scrape::Config>>,
    /// Targets of which nothing can be made.
    invalid: usize,
}

/// One target that stands in the file.
#[derive(PartialEq)]
struct Fixed {
    url: Url,
    labels: Arc<Labels>,
    times: (Duration, Duration),
    histograms: (bool, bool),
    /// How it is scraped; what its labels and its URL say as well is left out.
    rest: Arc<scrape::Config>,
}

impl Scraped {
    fn of(config: &Config) -> Self {
        let mut scraped = Self {
            fixed: Vec::new(),
            others: Vec::new(),
            invalid: 0,
        };
        for config in &config.scrape.configs {
            let [discover::Settings::Static(groups)] = &*config.discovery else {
                scraped.others.push(Arc::clone(config));
                continue;
            };
            let rest = Arc::new(scrape::Config {
                job_name: String::new(),
                metrics_path: String::new(),
                scheme: String::new(),
                params: Vec::new(),
                discovery: Vec::new(),
                ..scrape::Config::clone(config)
            });
            let targets = scrape::targets(config, groups);
            scraped.invalid += targets.invalid.len();
            scraped
                .fixed
                .extend(targets.kept.into_iter().map(|target| Fixed {
                    url: target.url,
                    labels: target.labels,
                    times: (target.interval, target.timeout),
                    histograms: (
                        target.native_histograms,
                        target.always_scrape_classic_histograms,
                    ),
                    rest: Arc::clone(&rest),
                }));
        }
        let key = |fixed: &Fixed| (Arc::clone(&fixed.labels), fixed.url.clone());
        scraped.fixed.sort_by_cached_key(key);
        scraped
    }
}
