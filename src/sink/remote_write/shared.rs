//! What all scrapes that go to one endpoint have in common, and the labels that they get by it.

use std::borrow::Cow;

use super::Besides;
use super::proto;
use super::series::SeriesHasher;
use crate::exposition::Sample;
use crate::model::Labels;
use crate::model::labels::{BODY_SIZE, SAMPLES_KEPT, SAMPLES_SCRAPED};
use crate::relabel::{Builder, Rules};
use crate::sink::labels::TargetLabels;

/// What all scrapes have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) hasher: SeriesHasher,
    pub(super) publisher_label: bool,
    pub(super) external_labels: Labels,
    /// What becomes of every series that is written, those about scrapes and sites included.
    pub(super) write_relabel: Rules,
    pub(super) besides: Besides,
}

/// What the poller says of a scrape by series that are none of the target's.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Reported {
    /// Samples before relabelling.
    pub(super) samples: Option<f64>,
    /// Samples after relabelling.
    pub(super) kept: Option<f64>,
    /// Size of the body in bytes.
    pub(super) body_size: Option<f64>,
}

/// One of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    Samples,
    Kept,
    BodySize,
}

impl Shared {
    /// Returns the labels that every series of a target gets.
    pub(super) fn of_target<'a>(
        &'a self,
        publisher: &'a str,
        target: &'a Labels,
    ) -> TargetLabels<'a> {
        let publisher = self.publisher_label.then_some(publisher);
        TargetLabels::new(target, publisher, &self.external_labels)
    }

    /// Appends the labels of a series.
    ///
    /// What is not to be sent gets labels that [`proto::is_hidden`] tells from others.
    pub(super) fn put_labels(
        &self,
        out: &mut Vec<u8>,
        sample: &Sample<'_, '_>,
        target: &TargetLabels<'_>,
    ) {
        if let Some(report) = Report::of(sample) {
            report.put(out);
            return;
        }
        // A bound that a rule has changed stays as it is.
        let exposed = if target.is_relabeled() {
            Cow::Borrowed(sample.labels)
        } else {
            sample.normalized()
        };
        self.put_resolved(out, &target.resolve(sample.name, &exposed));
    }

    /// Appends the labels of a series about a scrape.
    pub(super) fn put_report_labels(
        &self,
        out: &mut Vec<u8>,
        name: &str,
        target: &TargetLabels<'_>,
    ) {
        self.put_resolved(out, &target.resolve_report(name));
    }

    fn put_resolved(&self, out: &mut Vec<u8>, labels: &[(Cow<'_, str>, &str)]) {
        let labels = labels.iter().map(|(name, value)| (&**name, *value));
        if self.write_relabel.is_empty() {
            return put(out, labels);
        }
        let mut relabeled = Builder::new(labels.clone());
        if self.write_relabel.apply(&mut relabeled) && relabeled.iter().len() > 0 {
            put(out, relabeled.iter());
        } else {
            // With the labels that it had, so that it is still told from others.
            proto::put_hidden(out);
            put(out, labels);
        }
    }
}

fn put<'l>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'l str, &'l str)>) {
    for (name, value) in labels {
        proto::put_label(out, name, value);
    }
}

impl Report {
    const ALL: [Self; 3] = [Self::Samples, Self::Kept, Self::BodySize];

    /// Tells which one a sample is.
    pub(super) fn of(sample: &Sample<'_, '_>) -> Option<Self> {
        match sample.name {
            SAMPLES_SCRAPED if sample.labels.is_empty() => Some(Self::Samples),
            SAMPLES_KEPT if sample.labels.is_empty() => Some(Self::Kept),
            BODY_SIZE if sample.labels.is_empty() => Some(Self::BodySize),
            _ => None,
        }
    }

    /// Tells which one has these encoded labels.
    pub(super) fn of_labels(labels: &[u8]) -> Option<Self> {
        let name = proto::shown(labels)?;
        let mut all = Self::ALL.into_iter();
        all.find(|report| report.name().as_bytes() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Samples => SAMPLES_SCRAPED,
            Self::Kept => SAMPLES_KEPT,
            Self::BodySize => BODY_SIZE,
        }
    }

    /// Its name alone, which is no label: nothing else is encoded so.
    fn put(self, out: &mut Vec<u8>) {
        proto::put_hidden(out);
        out.extend_from_slice(self.name().as_bytes());
    }
}

impl Reported {
    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        let all = [self.samples, self.kept, self.body_size];
        all.into_iter().flatten().count()
    }

    /// Notes a value; of two the first counts.
    pub(super) fn note(&mut self, report: Report, value: f64) {
        let place = match report {
            Report::Samples => &mut self.samples,
            Report::Kept => &mut self.kept,
            Report::BodySize => &mut self.body_size,
        };
        place.get_or_insert(value);
    }
}
