//! What a run found, for people.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

use super::compare::{Compared, Difference, Kind};
use super::justified::{ABORTED, BOUNDS, REASONS};

/// Examples that are shown of each group of differences.
const EXAMPLES: usize = 3;

/// What was compared, and what is not the same.
pub(crate) struct Report {
    compared: Compared,
    targets: Vec<String>,
    notes: Vec<String>,
}

impl Report {
    pub(super) fn new(compared: Compared, targets: Vec<String>, notes: Vec<String>) -> Self {
        Self {
            compared,
            targets,
            notes,
        }
    }

    /// Tells whether nothing differs but for a reason.
    pub(crate) fn is_same(&self) -> bool {
        self.unjustified().next().is_none() && self.compared.series > 0 && self.notes.is_empty()
    }

    fn unjustified(&self) -> impl Iterator<Item = &Difference> {
        let differences = self.compared.differences.iter();
        differences.filter(|difference| {
            !difference.is_aborted && !REASONS.iter().any(|reason| reason.fits(difference))
        })
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Compared {
            differences,
            series,
            samples,
            markers,
            timed,
            scrapes,
            bounds,
            deviation_ms: [theirs, ours],
        } = &self.compared;
        writeln!(
            f,
            "{} targets, {scrapes} scrapes, {series} series, {samples} samples compared; \
             {markers} of them stale markers, {timed} with times of their own",
            self.targets.len()
        )?;
        writeln!(
            f,
            "largest deviation of the distance between two scrapes from the interval: \
             reference {theirs} ms, ours {ours} ms"
        )?;
        writeln!(f, "justified differences:")?;
        writeln!(f, "  {bounds} series: {BOUNDS}")?;
        let aborted = differences.iter().filter(|it| it.is_aborted).count();
        writeln!(f, "  {aborted}: {ABORTED}")?;
        for reason in REASONS {
            let count = differences.iter().filter(|it| reason.fits(it)).count();
            if self.targets.iter().any(|target| target == reason.target) {
                writeln!(f, "  {count} at `{}`: {}", reason.target, reason.why)?;
            }
        }
        let mut groups: BTreeMap<(&str, Kind, &str), Vec<&Difference>> = BTreeMap::new();
        for difference in self.unjustified() {
            let key = (&*difference.target, difference.kind, &*difference.metric);
            groups.entry(key).or_default().push(difference);
        }
        let count = groups.values().map(Vec::len).sum::<usize>();
        writeln!(f, "other differences: {count}")?;
        for ((target, kind, metric), list) in groups {
            writeln!(f, "  {target}: {kind:?} of `{metric}`: {}", list.len())?;
            for example in list.iter().take(EXAMPLES) {
                writeln!(f, "    {}", example.text)?;
            }
        }
        for note in &self.notes {
            writeln!(f, "wrong: {note}")?;
        }
        Ok(())
    }
}
