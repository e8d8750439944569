//! A body grouped by metric family.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model::Format;

use super::entry::{Entry, FamilyKind, Label, Sample};
use super::error::SyntaxError;
use super::parser::Parser;

/// The metric families of a body, in the order of their first line.
///
/// Lines of one family that stand apart from each other are brought together.
#[derive(Debug, Clone, PartialEq)]
pub struct Families<'a> {
    families: Vec<Family<'a>>,
    exemplars: usize,
}

/// A metric family: what metadata says of it, and its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Family<'a> {
    /// The name that metadata uses: for a counter of `OpenMetrics`, without `_total`.
    pub name: Cow<'a, str>,
    /// The type; the last one if the body has several.
    pub kind: FamilyKind,
    /// The help text; the last one if the body has several.
    pub help: Option<Cow<'a, str>>,
    /// The unit; `OpenMetrics` only.
    pub unit: Option<&'a str>,
    /// The samples in the order of the body, perhaps none.
    pub samples: Vec<FamilySample<'a>>,
}

/// A sample of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilySample<'a> {
    /// The sample's own name: the family's, perhaps with a suffix.
    pub name: Cow<'a, str>,
    /// The labels in the order of the body.
    pub labels: Vec<Label<'a>>,
    /// The value.
    pub value: f64,
    /// Milliseconds since the Unix epoch, if the body says.
    pub timestamp_ms: Option<i64>,
}

impl<'a> Families<'a> {
    /// Reads and groups a body.
    pub fn parse(body: &'a [u8], format: Format) -> Result<Self, SyntaxError> {
        let mut grouping = Grouping::default();
        let mut samples = Vec::new();
        let mut parser = Parser::new(body, format);
        let mut place = 0;
        let mut exemplars = 0;
        while let Some(entry) = parser.next() {
            place += 1;
            match entry? {
                Entry::Help { family, text } => {
                    if let Some(family) = grouping.declared(family, place) {
                        family.help = Some(text);
                    }
                }
                Entry::Type { family, kind } => {
                    if let Some(family) = grouping.declared(family, place) {
                        family.kind = kind;
                    }
                }
                Entry::Unit { family, unit } => {
                    if let Some(family) = grouping.declared(family, place) {
                        family.unit = Some(unit);
                    }
                }
                Entry::Comment(_) => {}
                Entry::Sample(sample) => {
                    exemplars += usize::from(sample.exemplar.is_some());
                    samples.push((place, FamilySample::copy(&sample)));
                }
            }
        }
        // A sample's family depends on types, which may stand behind it: hence two passes.
        for (place, sample) in samples {
            grouping.add(sample, place, format);
        }
        Ok(Self {
            families: grouping.finish(),
            exemplars,
        })
    }

    /// Returns how many exemplars the body has; they are not kept.
    pub fn exemplars(&self) -> usize {
        self.exemplars
    }

    /// Iterates over the families.
    pub fn iter(&self) -> std::slice::Iter<'_, Family<'a>> {
        self.families.iter()
    }

    /// Iterates over the families, to change their samples.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Family<'a>> {
        self.families.iter_mut()
    }
}

impl<'f, 'a> IntoIterator for &'f Families<'a> {
    type Item = &'f Family<'a>;
    type IntoIter = std::slice::Iter<'f, Family<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'f, 'a> IntoIterator for &'f mut Families<'a> {
    type Item = &'f mut Family<'a>;
    type IntoIter = std::slice::IterMut<'f, Family<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<'a> FamilySample<'a> {
    fn copy(sample: &Sample<'_, 'a>) -> Self {
        // A name that stands in front of the braces can be borrowed for as long as the body.
        let name = match sample.text.get(..sample.name.len()) {
            Some(name) if name == sample.name => Cow::Borrowed(name),
            _ => Cow::Owned(sample.name.to_owned()),
        };
        Self {
            name,
            labels: sample.labels.to_vec(),
            value: sample.value,
            timestamp_ms: sample.timestamp_ms,
        }
    }

    /// Returns a label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        let label = self.labels.iter().find(|label| label.name == name)?;
        Some(&label.value)
    }
}

#[derive(Default)]
struct Grouping<'a> {
    families: Vec<Family<'a>>,
    /// Where each family's first line stands, beside `families`.
    places: Vec<usize>,
    index: HashMap<Cow<'a, str>, usize>,
    /// The sample before and its family: samples of one name mostly follow each other.
    last: Option<(Cow<'a, str>, usize)>,
}

impl<'a> Grouping<'a> {
    fn declared(&mut self, name: Cow<'a, str>, place: usize) -> Option<&mut Family<'a>> {
        let at = self.find_or_begin(name, place);
        self.families.get_mut(at)
    }

    fn find_or_begin(&mut self, name: Cow<'a, str>, place: usize) -> usize {
        if let Some(&at) = self.index.get(&name) {
            return at;
        }
        let at = self.families.len();
        self.families.push(Family {
            name: name.clone(),
            kind: FamilyKind::Unknown,
            help: None,
            unit: None,
            samples: Vec::new(),
        });
        self.places.push(place);
        self.index.insert(name, at);
        at
    }

    fn add(&mut self, sample: FamilySample<'a>, place: usize, format: Format) {
        let at = match &self.last {
            Some((name, at)) if *name == sample.name => *at,
            _ => {
                let at = match self.find(&sample.name, format) {
                    Some(at) => at,
                    None => self.find_or_begin(sample.name.clone(), place),
                };
                self.last = Some((sample.name.clone(), at));
                at
            }
        };
        if let Some(first) = self.places.get_mut(at) {
            *first = place.min(*first);
        }
        if let Some(family) = self.families.get_mut(at) {
            family.samples.push(sample);
        }
    }

    /// Finds the family of a sample: the one of its name, or one whose type adds a suffix.
    fn find(&self, name: &str, format: Format) -> Option<usize> {
        if let Some(&at) = self.index.get(name) {
            return Some(at);
        }
        let (stem, suffix) = name.rsplit_once('_')?;
        let &at = self.index.get(stem)?;
        let family = self.families.get(at)?;
        has_suffix(family.kind, suffix, format).then_some(at)
    }

    fn finish(self) -> Vec<Family<'a>> {
        let mut placed: Vec<_> = self.places.into_iter().zip(self.families).collect();
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, family)| family).collect()
    }
}

/// Tells whether samples of a type carry a suffix behind the family's name.
fn has_suffix(kind: FamilyKind, suffix: &str, format: Format) -> bool {
    match kind {
        FamilyKind::Histogram if matches!(suffix, "bucket" | "sum" | "count") => true,
        FamilyKind::Summary if matches!(suffix, "sum" | "count") => true,
        _ if format == Format::Text => false,
        FamilyKind::Histogram | FamilyKind::Summary => suffix == "created",
        FamilyKind::Counter => matches!(suffix, "total" | "created"),
        FamilyKind::GaugeHistogram => matches!(suffix, "bucket" | "gsum" | "gcount"),
        FamilyKind::Info => suffix == "info",
        FamilyKind::Gauge | FamilyKind::StateSet | FamilyKind::Unknown => false,
    }
}
