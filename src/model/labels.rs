//! A sorted set of labels.

use std::fmt;

/// Labels of a target with such a name are no labels of its series: they tell how to read them.
pub const RESERVED_PREFIX: &str = "__";

/// `true`: where a series and its target have a label of one name, the series' value stands, an
/// empty one too.
pub const HONOR_LABELS: &str = "__honor_labels__";

/// `true`: the poller has applied rules to the series, so bounds and quantiles stand as they are.
pub const METRIC_RELABEL: &str = "__metric_relabel__";

/// `true`: series with explicit timestamps get stale markers, too.
pub const TRACK_TIMESTAMPS_STALENESS: &str = "__track_timestamps_staleness__";

/// The scrape timeout in seconds; with it the extra series about the scrape are wanted.
pub const SCRAPE_TIMEOUT: &str = "__scrape_timeout__";

/// The scrape's limit of samples, where there is one and the extra series are wanted.
pub const SCRAPE_SAMPLE_LIMIT: &str = "__scrape_sample_limit__";

/// A series by which the poller tells how many samples there were before relabelling.
pub const SAMPLES_SCRAPED: &str = "__scrape_samples_scraped__";

/// A series by which the poller tells how many samples there were after relabelling, where these
/// are not all that are there.
pub const SAMPLES_KEPT: &str = "__scrape_samples_post_metric_relabeling__";

/// A series by which the poller tells how large the body was.
pub const BODY_SIZE: &str = "__scrape_body_size_bytes__";

/// A set of labels, sorted by name, each name once and no value empty.
///
/// An empty value means "no such label" in Prometheus, so such pairs are left out.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// Builds a set from pairs in any order; of two pairs with one name the last wins.
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Box<str>>,
        V: Into<Box<str>>,
    {
        let mut sorted: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            match sorted.binary_search_by(|(known, _)| known.cmp(&name)) {
                Ok(at) => {
                    if let Some(pair) = sorted.get_mut(at) {
                        pair.1 = value;
                    }
                }
                Err(at) => sorted.insert(at, (name, value)),
            }
        }
        sorted.retain(|(_, value)| !value.is_empty());
        Self(sorted.into_boxed_slice())
    }

    /// The labels of a scrape target.
    pub fn of_target(job: &str, instance: &str) -> Self {
        Self::new([("job", job), ("instance", instance)])
    }

    /// Returns the value of a label, or `None`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self
            .0
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// Returns the `job` label, or nothing at all.
    pub fn job(&self) -> &str {
        self.get("job").unwrap_or_default()
    }

    /// Returns the `instance` label, or nothing at all.
    pub fn instance(&self) -> &str {
        self.get("instance").unwrap_or_default()
    }

    /// Iterates over the pairs, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the labels without those that are reserved.
    pub fn plain(&self) -> Self {
        let plain = self.0.iter();
        let plain = plain.filter(|(name, _)| !name.starts_with(RESERVED_PREFIX));
        Self(plain.cloned().collect())
    }

    /// Returns a hash that is the same on every machine and in every release.
    ///
    /// It places a target in its lane and in its phase, and names it in heartbeats, so it must
    /// never change. Name and value are each closed by a byte that UTF-8 does not have.
    pub fn stable_hash(&self) -> u64 {
        let mut packed = Vec::with_capacity(64);
        for (name, value) in self.iter() {
            packed.extend_from_slice(name.as_bytes());
            packed.push(0xff);
            packed.extend_from_slice(value.as_bytes());
            packed.push(0xff);
        }
        rapidhash::v3::rapidhash_v3(&packed)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_and_leaves_out_empty_values() {
        let labels = Labels::new([("job", "node"), ("zone", ""), ("instance", "a:1")]);
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(pairs, [("instance", "a:1"), ("job", "node")]);
        assert_eq!(labels.get("zone"), None);
    }

    #[test]
    fn of_two_pairs_with_one_name_the_last_wins() {
        let labels = Labels::new([("job", "a"), ("job", "b")]);
        assert_eq!(labels.job(), "b");
        assert_eq!(labels.len(), 1);
    }

    #[test]
    fn stable_hash_never_changes() {
        let labels = Labels::of_target("node", "127.0.0.1:9100");
        assert_eq!(labels.stable_hash(), labels.clone().stable_hash());
        assert_ne!(
            Labels::new([("a", "bc")]).stable_hash(),
            Labels::new([("ab", "c")]).stable_hash()
        );
    }
}
