//! Many sites at once, and the check that each of their scrapes arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::{
    Behavior, Endpoint, Lab, Program, Prometheus, SiteTarget, Targets, poller_config, value,
    wait_until,
};

/// How many sites, targets and seconds a run has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Pollers.
    pub(crate) sites: usize,
    /// Targets of each.
    pub(crate) targets: usize,
    /// Scrapes of each target, at one in a second.
    pub(crate) scrapes: u64,
    /// Scrapes during which something is broken.
    pub(crate) outage: u64,
}

impl Scale {
    /// The size that the product is judged by when asked for, else one for every day.
    pub(crate) fn from_environment() -> Self {
        if std::env::var_os("PROMETHEUS_STREAMS_SOAK").is_some() {
            Self {
                sites: 50,
                targets: 10,
                scrapes: 60,
                outage: 15,
            }
        } else {
            Self {
                sites: 5,
                targets: 10,
                scrapes: 12,
                outage: 5,
            }
        }
    }

    /// How long all its scrapes may take, twice over for a machine with other things to do.
    fn limit(self) -> Duration {
        Duration::from_secs(60 + 2 * self.scrapes)
    }
}

/// Series of each target, beside the count of its scrapes.
const SERIES: usize = 5;

/// Whether samples may arrive more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Nothing was interrupted: no.
    None,
    /// What was in flight at a kill may, if nothing in it differs.
    Identical,
}

/// Pollers with targets that count their scrapes.
pub(crate) struct Fleet {
    scale: Scale,
    targets: Targets,
    pollers: Vec<Program>,
}

impl Fleet {
    /// Starts the targets and their pollers.
    pub(crate) async fn start(lab: &Lab, nats: &str, scale: Scale) -> Self {
        let behaviors = vec![Behavior::Counters(SERIES); scale.sites * scale.targets];
        let targets = Targets::start(behaviors).await;
        let pollers = (0..scale.sites).map(|site| {
            let numbers = site * scale.targets..(site + 1) * scale.targets;
            let list = numbers.map(|n| SiteTarget::new(instance(n), targets.url(n)));
            let list = list.collect::<Vec<_>>();
            Program::poller(lab, poller_config(&format!("site{site}"), nats, &list))
        });
        let pollers = pollers.collect();
        Self {
            scale,
            targets,
            pollers,
        }
    }

    /// Waits until each target was scraped so many times more than now.
    pub(crate) async fn scraped(&self, times: u64) {
        let all = 0..self.scale.sites * self.scale.targets;
        let goals = all.map(|n| (n, self.targets.served(n) + times));
        let goals = goals.collect::<Vec<_>>();
        wait_until(self.scale.limit(), "the targets are scraped", async || {
            let late = goals
                .iter()
                .find(|(n, goal)| self.targets.served(*n) < *goal);
            late.map_or(Ok(()), |(n, goal)| {
                Err(format!(
                    "target {n} has {} of {goal}",
                    self.targets.served(*n)
                ))
            })
        })
        .await;
    }

    /// Ends the pollers in order.
    pub(crate) async fn stop(&mut self) {
        for poller in &self.pollers {
            poller.terminate();
        }
        for poller in &mut self.pollers {
            let status = poller.exited(Duration::from_secs(60)).await;
            assert!(status.success(), "a poller ends with {status}");
        }
    }

    /// Waits until the endpoint has every scrape that was taken, and checks order and values.
    ///
    /// Call it after [`Fleet::stop`]: then the targets' own counts stand still.
    pub(crate) async fn arrived(&self, endpoint: &Endpoint, repeats: Repeats) {
        for n in 0..self.scale.sites * self.scale.targets {
            let served = self.targets.served(n);
            wait_until(self.scale.limit(), "every scrape arrives", async || {
                complete(served, &numbers(endpoint, n), failures(endpoint, n))
                    .map_err(|missing| format!("{}: {missing}", instance(n)))
            })
            .await;
            in_order(endpoint, n, repeats);
        }
        let problems = endpoint.problems();
        assert!(problems.is_empty(), "{problems:?}");
    }

    /// Waits until Prometheus holds every scrape that was taken.
    pub(crate) async fn stored(&self, prometheus: &Prometheus) {
        wait_until(
            self.scale.limit(),
            "Prometheus has every scrape",
            async || {
                let scrapes = prometheus.samples("sim_scrapes_total[1h]").await?;
                let ups = prometheus.samples("up[1h]").await?;
                for n in 0..self.scale.sites * self.scale.targets {
                    let of_target = |(labels, _): &(&BTreeMap<String, String>, _)| {
                        labels
                            .get("instance")
                            .is_some_and(|name| *name == instance(n))
                    };
                    let series = scrapes.iter().find(of_target);
                    let values = series.map_or(&[][..], |(_, samples)| samples.as_slice());
                    let numbers = values.iter().map(|(_, value)| as_number(*value));
                    let ups = ups.iter().find(of_target);
                    let ups = ups.map_or(&[][..], |(_, samples)| samples.as_slice());
                    let failures = ups.iter().filter(|(_, value)| *value == 0.0).count();
                    complete(self.targets.served(n), &numbers.collect(), failures)
                        .map_err(|missing| format!("{}: {missing}", instance(n)))?;
                }
                Ok(())
            },
        )
        .await;
    }
}

/// Says which scrapes are missing, unless as many failed.
///
/// The last one that a target served may have been given up by the poller as it ended.
fn complete(served: u64, numbers: &BTreeSet<u64>, failures: usize) -> Result<(), String> {
    let expected = 1..served;
    let missing = expected.filter(|number| !numbers.contains(number));
    let missing = missing.collect::<Vec<_>>();
    if missing.len() <= failures {
        Ok(())
    } else {
        Err(format!(
            "of {served} scrapes {missing:?} are missing, {failures} failed"
        ))
    }
}

/// Returns the numbers of a target's scrapes that have arrived.
fn numbers(endpoint: &Endpoint, n: usize) -> BTreeSet<u64> {
    let samples = endpoint.samples("sim_scrapes_total", &instance(n));
    let values = samples.iter().map(|sample| sample.value);
    let values = values.filter(|value| !value.is_nan());
    values.map(as_number).collect()
}

/// Counts the scrapes that the poller itself calls failed.
fn failures(endpoint: &Endpoint, n: usize) -> usize {
    let ups = endpoint.samples("up", &instance(n));
    let times = ups.iter().filter(|sample| sample.value == 0.0);
    times
        .map(|sample| sample.time_ms)
        .collect::<BTreeSet<_>>()
        .len()
}

/// Checks that each series of a target arrived in order and that its values belong together.
#[track_caller]
fn in_order(endpoint: &Endpoint, n: usize, repeats: Repeats) {
    let name = instance(n);
    let mut number_at = BTreeMap::new();
    for sample in endpoint.samples("sim_scrapes_total", &name) {
        if !sample.value.is_nan() {
            number_at.insert(sample.time_ms, as_number(sample.value));
        }
    }
    assert!(
        number_at.values().is_sorted_by(|a, b| a < b),
        "{name}: times and values run apart: {number_at:?}"
    );
    let series = endpoint.look(|series| {
        let of_target = series
            .iter()
            .filter(|(labels, _)| labels.get("instance") == Some(&name));
        let of_target = of_target.map(|(labels, samples)| (labels.clone(), samples.clone()));
        of_target.collect::<Vec<_>>()
    });
    let of_value = series.iter().filter(|(labels, _)| labels.contains_key("n"));
    assert_eq!(of_value.count(), SERIES, "{name}");
    for (labels, samples) in series {
        let mut seen = BTreeMap::new();
        for sample in samples {
            let newest = seen.last_key_value().map(|(time, _)| *time);
            if newest.is_some_and(|newest| sample.time_ms <= newest) {
                assert_eq!(repeats, Repeats::Identical, "{labels:?}: {sample:?}");
                let first = seen.get(&sample.time_ms);
                assert_eq!(
                    first,
                    Some(&sample.value.to_bits()),
                    "{labels:?}: {sample:?}"
                );
            }
            seen.insert(sample.time_ms, sample.value.to_bits());
            let number = number_at.get(&sample.time_ms);
            if let (Some(number), Some(n)) = (number, labels.get("n")) {
                let expected = value(*number, n.parse().unwrap());
                assert_eq!(sample.value.to_bits(), expected.to_bits(), "{labels:?}");
            }
        }
        if labels.contains_key("n") {
            let mut torn = number_at.keys().filter(|time| !seen.contains_key(time));
            assert_eq!(torn.next(), None, "{labels:?} has no sample of that time");
        }
    }
}

fn instance(n: usize) -> String {
    format!("target{n}")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the targets count in small whole numbers"
)]
fn as_number(value: f64) -> u64 {
    assert!(value.fract() == 0.0 && value > 0.0, "{value} is no count");
    value as u64
}
