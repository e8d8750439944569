//! Compares what two databases hold of one target.
//!
//! Scrapes are known by their number: the phases of the two scrapers differ, and so do the times
//! of their samples. What has a time of its own is compared by that time, to the millisecond.

use std::collections::{BTreeMap, BTreeSet};

use super::database::{Labels, STALE, Series};

/// The number of a scrape that it has itself, from 1.
const NUMBER: &str = "scrape_count";

/// A report series that no target's own series has the name of.
const SCHEDULE: &str = "scrape_samples_scraped";

/// Report series whose values are about the scraper.
const DURATION: &str = "scrape_duration_seconds";

/// Series that were not there at the scrape before.
const ADDED: &str = "scrape_series_added";

/// Samples with times of their own that one side may have more than the other, at the end.
const AHEAD_MAX: usize = 3;

/// How far the distance between two scrapes may be from the interval: what a busy machine does to
/// timers. A scrape that was left out is ten times as far.
const DISTANCE_TOLERANCE_MS: i64 = 300;

/// When a sample is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// It has the time of this scrape.
    Scrape(i64),
    /// It has a time of its own.
    At(i64),
}

/// What is not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Ours has no such series.
    MissingSeries,
    /// The reference has no such series.
    ExtraSeries,
    /// Ours has no sample of this scrape or time.
    MissingSample,
    /// The reference has none.
    ExtraSample,
    /// Ours has no stale marker here, perhaps a value.
    MissingMarker,
    /// Ours has a stale marker where the reference has none.
    ExtraMarker,
    /// The values differ.
    Value,
    /// Ours has scrapes further apart, or closer together, than they should be.
    Distance,
    /// Scrapes that a target answered to are not in the database.
    Lost,
}

/// One thing that is not the same.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    pub(super) target: String,
    pub(super) kind: Kind,
    /// The name of the series.
    pub(super) metric: String,
    /// Whether it is what a body that was found to be bad after some of its samples leaves behind
    /// in Prometheus, there or in the next scrape, or in the second in what counts as added.
    pub(super) is_aborted: bool,
    /// All of it: which series, which scrape, what stands on both sides.
    pub(super) text: String,
}

/// What was compared.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    pub(super) series: usize,
    pub(super) samples: usize,
    pub(super) markers: usize,
    pub(super) timed: usize,
    pub(super) scrapes: usize,
    /// Series that the reference has under a bound that is not written as a float.
    pub(super) bounds: usize,
    /// The largest deviation from the interval on both sides.
    pub(super) deviation_ms: [i64; 2],
}

/// Whether values are those of one moment, or of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// The same page was given to both.
    Same,
    /// Each scraped for itself.
    Different,
}

/// One database's part.
struct Half {
    series: Series,
    /// Times of all scrapes, and whether they are the marker of a target's end.
    times: Vec<(i64, bool)>,
    /// The number of the first of them.
    first: i64,
}

impl Half {
    fn new(series: Series) -> Self {
        let named = |name: &'static str| {
            series
                .iter()
                .filter(move |(labels, _)| labels.get("__name__").is_some_and(|it| it == name))
        };
        let mut times: Vec<(i64, bool)> = named(SCHEDULE)
            .flat_map(|(_, samples)| samples.iter().map(|(time, bits)| (*time, *bits == STALE)))
            .collect();
        times.sort_unstable();
        let counted = named(NUMBER).flat_map(|(_, samples)| samples);
        let counted = counted.filter(|(_, bits)| *bits != STALE).min();
        let first = counted.and_then(|(time, bits)| {
            let place = times.iter().position(|(known, _)| known == time)?;
            #[expect(clippy::cast_possible_truncation, reason = "counts of a short run")]
            let number = f64::from_bits(*bits) as i64;
            Some(number - i64::try_from(place).unwrap())
        });
        Self {
            series,
            times,
            first: first.unwrap_or(1),
        }
    }

    /// Scrapes that failed after some samples of the body were read.
    fn aborted(&self) -> BTreeSet<i64> {
        let schedule = |name: &'static str| {
            let named = self.series.iter();
            let named = named.filter(move |(labels, samples)| {
                labels.get("__name__").is_some_and(|it| it == name)
                    && samples.iter().all(|(time, _)| {
                        let place = self.times.binary_search_by_key(time, |(time, _)| *time);
                        place.is_ok()
                    })
            });
            named.flat_map(|(_, samples)| samples)
        };
        let is = |bits: u64, test: fn(f64) -> bool| bits != STALE && test(f64::from_bits(bits));
        let failed = schedule("up").filter(|(_, bits)| is(*bits, |value| value == 0.0));
        let failed: BTreeSet<i64> = failed.map(|(time, _)| *time).collect();
        let begun = schedule(SCHEDULE).filter(|(_, bits)| is(*bits, |value| value > 0.0));
        let begun = begun.filter(|(time, _)| failed.contains(time));
        begun
            .filter_map(|(time, _)| match self.place(*time) {
                Place::Scrape(number) => Some(number),
                Place::At(_) => None,
            })
            .collect()
    }

    fn last(&self) -> i64 {
        self.first + i64::try_from(self.times.len()).unwrap() - 1
    }

    fn place(&self, time_ms: i64) -> Place {
        let found = self.times.binary_search_by_key(&time_ms, |(time, _)| *time);
        found.map_or(Place::At(time_ms), |index| {
            Place::Scrape(self.first + i64::try_from(index).unwrap())
        })
    }

    /// Scrapes from number 1 on, without ends of targets.
    fn scrapes(&self) -> usize {
        let numbered = (self.first..).zip(&self.times);
        numbered
            .filter(|(number, (_, is_end))| *number >= 1 && !is_end)
            .count()
    }

    /// Distances between scrapes by the number of the second.
    fn distances(&self) -> Vec<(i64, i64)> {
        let pairs = self.times.windows(2).zip(self.first + 1..);
        let pairs = pairs.filter(|(pair, number)| !pair[0].1 && !pair[1].1 && *number > 1);
        pairs
            .map(|(pair, number)| (number, pair[1].0 - pair[0].0))
            .collect()
    }

    fn samples(&self, samples: &[(i64, u64)], last: i64) -> BTreeMap<Place, u64> {
        let placed = samples
            .iter()
            .map(|(time, bits)| (self.place(*time), *bits));
        let is_common = |place: &Place| match place {
            Place::Scrape(number) => (1..=last).contains(number),
            Place::At(_) => true,
        };
        placed.filter(|(place, _)| is_common(place)).collect()
    }
}

/// Compares both databases' series of one target; `served` is how many scrapes the target saw.
pub(super) fn compare(
    target: &str,
    [reference, ours]: [Series; 2],
    served: Option<[u64; 2]>,
    values: Values,
    compared: &mut Compared,
) {
    let (reference, ours) = (Half::new(reference), Half::new(ours));
    let mut pair = Pair {
        target,
        last: reference.last().min(ours.last()),
        aborted: reference.aborted(),
        values,
        compared,
    };
    pair.distances(&reference, &ours);
    if let Some(served) = served {
        pair.lost(&reference, &ours, served);
    }
    let mut others = ours.series.clone();
    for (labels, samples) in &reference.series {
        let wanted = reference.samples(samples, pair.last);
        let found = others.remove(labels).or_else(|| {
            let found = others.remove(&with_float_bounds(labels)?)?;
            pair.compared.bounds += 1;
            Some(found)
        });
        match found {
            Some(found) => {
                let found = ours.samples(&found, pair.last);
                pair.samples(labels, wanted, found);
            }
            None if wanted.is_empty() => {}
            None if wanted.values().all(|bits| *bits == STALE) => {
                pair.samples(labels, wanted, BTreeMap::new());
            }
            None => pair.differs(Kind::MissingSeries, labels, &sketch(&wanted)),
        }
    }
    for (labels, samples) in &others {
        let found = ours.samples(samples, pair.last);
        if !found.is_empty() {
            pair.differs(Kind::ExtraSeries, labels, &sketch(&found));
        }
    }
}

struct Pair<'a> {
    target: &'a str,
    /// The last scrape that both have.
    last: i64,
    /// Scrapes that the reference gave up after some samples.
    aborted: BTreeSet<i64>,
    values: Values,
    compared: &'a mut Compared,
}

impl Pair<'_> {
    fn differs(&mut self, kind: Kind, labels: &Labels, text: &str) {
        let name = labels.get("__name__").cloned().unwrap_or_default();
        let others = labels.iter().filter(|(name, _)| *name != "__name__");
        let others = others.map(|(name, value)| format!("{name}={value:?}"));
        let others = others.collect::<Vec<_>>().join(",");
        self.compared.differences.push(Difference {
            target: self.target.to_owned(),
            kind,
            text: format!("{name}{{{others}}} {text}"),
            metric: name,
            is_aborted: false,
        });
    }

    /// The same at a scrape, which may be one that was given up, or the next.
    fn differs_at(&mut self, place: Place, kind: Kind, labels: &Labels, text: &str) {
        self.differs(kind, labels, &format!("{place:?}: {text}"));
        let (Place::Scrape(number), Some(added)) = (place, self.compared.differences.last_mut())
        else {
            return;
        };
        let is_here = self.aborted.contains(&number);
        let is_behind = self.aborted.contains(&(number - 1));
        let is_second = self.aborted.contains(&(number - 2));
        added.is_aborted = match kind {
            Kind::ExtraMarker => is_here,
            Kind::MissingMarker => is_behind,
            Kind::Value => added.metric == ADDED && (is_here || is_behind || is_second),
            _ => false,
        };
    }

    fn distances(&mut self, reference: &Half, ours: &Half) {
        let lists = [reference.distances(), ours.distances()];
        let mut sorted: Vec<i64> = lists[0].iter().map(|(_, distance)| *distance).collect();
        sorted.sort_unstable();
        let Some(interval) = sorted.get(sorted.len() / 2).copied() else {
            return;
        };
        for (side, list) in lists.iter().enumerate() {
            for (number, distance) in list {
                let deviation = (distance - interval).abs();
                let most = &mut self.compared.deviation_ms[side];
                *most = deviation.max(*most);
                if side == 1 && deviation > DISTANCE_TOLERANCE_MS {
                    let text = format!("scrape {number}: {distance} ms after the one before it");
                    self.differs(Kind::Distance, &Labels::new(), &text);
                }
            }
        }
    }

    /// A scrape may be on its way when a scraper is stopped, or its database read.
    fn lost(&mut self, reference: &Half, ours: &Half, served: [u64; 2]) {
        for (half, served, side) in [
            (reference, served[0], "reference"),
            (ours, served[1], "ours"),
        ] {
            let stored = u64::try_from(half.scrapes()).unwrap();
            if stored > served || stored + 1 < served {
                let text = format!("{side}: {served} scrapes made, {stored} stored");
                self.differs(Kind::Lost, &Labels::new(), &text);
            }
        }
        self.compared.scrapes += usize::try_from(self.last.max(0)).unwrap();
    }

    fn samples(
        &mut self,
        labels: &Labels,
        mut wanted: BTreeMap<Place, u64>,
        mut found: BTreeMap<Place, u64>,
    ) {
        self.cut(labels, &mut wanted, &mut found);
        self.compared.series += 1;
        let name = labels.get("__name__").map_or("", String::as_str);
        let is_free = self.values == Values::Different || name == DURATION;
        for (place, wanted) in &wanted {
            self.compared.samples += 1;
            self.compared.timed += usize::from(matches!(place, Place::At(_)));
            self.compared.markers += usize::from(*wanted == STALE);
            let found = found.remove(place);
            let kind = match found {
                Some(found) if found == *wanted => continue,
                Some(STALE) => Kind::ExtraMarker,
                _ if *wanted == STALE => Kind::MissingMarker,
                Some(_) if is_free => continue,
                Some(_) => Kind::Value,
                None => Kind::MissingSample,
            };
            let found = found.map_or_else(|| "nothing".to_owned(), show);
            let text = format!("reference {}, ours {found}", show(*wanted));
            self.differs_at(*place, kind, labels, &text);
        }
        for (place, found) in found {
            let kind = if found == STALE {
                Kind::ExtraMarker
            } else {
                Kind::ExtraSample
            };
            let text = format!("reference nothing, ours {}", show(found));
            self.differs_at(place, kind, labels, &text);
        }
    }

    /// Takes away what one side has more at the end, of samples with times of their own.
    fn cut(
        &mut self,
        labels: &Labels,
        wanted: &mut BTreeMap<Place, u64>,
        found: &mut BTreeMap<Place, u64>,
    ) {
        let last = |samples: &BTreeMap<Place, u64>| match samples.last_key_value() {
            Some((place @ Place::At(_), _)) => Some(*place),
            _ => None,
        };
        let (Some(one), Some(other)) = (last(wanted), last(found)) else {
            return;
        };
        let end = one.min(other);
        for samples in [wanted, found] {
            let before = samples.len();
            samples.retain(|place, _| matches!(place, Place::Scrape(_)) || *place <= end);
            if before - samples.len() > AHEAD_MAX {
                let count = before - samples.len();
                let text = format!("{count} samples behind the other side's last");
                self.differs(Kind::MissingSample, labels, &text);
            }
        }
    }
}

/// Writes bounds of histograms and summaries as Prometheus 3 does: always as floats.
fn with_float_bounds(labels: &Labels) -> Option<Labels> {
    let mut labels = labels.clone();
    let mut is_changed = false;
    for name in ["le", "quantile"] {
        if let Some(value) = labels.get_mut(name)
            && value.parse::<f64>().is_ok_and(f64::is_finite)
            && !value.contains(['.', 'e'])
        {
            value.push_str(".0");
            is_changed = true;
        }
    }
    is_changed.then_some(labels)
}

fn show(bits: u64) -> String {
    let value = f64::from_bits(bits);
    if bits == STALE {
        "stale".to_owned()
    } else if value.is_nan() {
        format!("NaN ({bits:x})")
    } else {
        format!("{value:?}")
    }
}

fn sketch(samples: &BTreeMap<Place, u64>) -> String {
    let first = samples.iter().take(2);
    let first = first.map(|(place, bits)| format!("{place:?} {}", show(*bits)));
    let first = first.collect::<Vec<_>>().join(", ");
    format!("{} samples, first {first}", samples.len())
}
