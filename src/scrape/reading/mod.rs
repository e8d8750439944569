//! From a body to what a lane carries of it: values by the target's shape, or the text.
//!
//! | body | what is done |
//! | --- | --- |
//! | the lines of the last one | only numbers are read |
//! | other lines | the shape is extended, and the values are read by it |
//! | no plain lines: a series twice, too many | it is parsed and travels as text |
//!
//! Where the configuration says something of series, their values are brought to the places of
//! another shape, that of what is published, or the text is written anew; see `edition`.
//!
//! What a shape cannot hold now it cannot hold the next time either, so the costly attempt is made
//! only now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::exposition::protobuf::NativeHistogram;
use crate::exposition::{self, SyntaxError};
use crate::model::{FailureReason, Labels, Tally, Text};
use crate::scrape::Config;
use crate::scrape::edition::{Edited, Edition, EditionError, Report, RewriteError, TextEdition};
use crate::scrape::series::{RefusedSeries, SeriesRules};
use crate::scrape::shapes::Shapes;
use crate::scrape::tally::tally;
use crate::wire::{self, Body, Column, Columns, Misfit, Shape, match_body};

/// Scrapes that travel as text before a shape is tried again: it then costs a tenth more.
const TEXT_SCRAPES: u32 = 10;

/// A target's shape may change so often in a minute; what changes more often, such as a target
/// with ids in its labels, travels as text: each new shape is a message, and stays in the memory
/// of all receivers.
const CHANGES_MAX: u32 = 6;

const CHANGES_TIME: Duration = Duration::from_secs(60);

/// Samples whose explicit timestamp is further ahead than this are left out, as in Prometheus
/// (`maxAheadTime` in `scrape/scrape.go`).
const AHEAD_MS_MAX: i64 = 10 * 60 * 1000;

/// What a target exposes, as it was at the last scrape.
#[derive(Debug)]
pub(in crate::scrape) struct Reading {
    target: Arc<Labels>,
    rules: SeriesRules,
    /// The target's own lines.
    shape: Option<Arc<Shape>>,
    /// What is published, where it is not the same.
    edition: Option<Edition>,
    texts: TextEdition,
    /// Why the last body travelled as text, and how many more do so unseen.
    text: Option<(Cause, u32)>,
    /// Since when shapes are counted, and how many there were.
    changes: Option<(Instant, u32)>,
}

/// An exposition as it is handed on.
#[derive(Debug)]
pub(in crate::scrape) struct Exposition {
    pub(in crate::scrape) body: Body,
    /// Samples that the target exposes.
    pub(in crate::scrape) samples: usize,
    /// Samples that are published.
    pub(in crate::scrape) published: usize,
    /// Native histograms that are not, since no text has them.
    pub(in crate::scrape) lost_histograms: usize,
    /// Why it is text.
    pub(in crate::scrape) cause: Option<Cause>,
}

/// Why an exposition travels as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scrape) enum Cause {
    /// It is none that a shape can hold.
    Misfit(Misfit),
    /// Its lines change too often.
    Churn,
    /// There is no room for another shape.
    Memory,
}

/// Why a body is not published.
#[derive(Debug, thiserror::Error)]
pub(in crate::scrape) enum ReadError {
    /// It is no exposition.
    #[error("cannot read the exposition")]
    Syntax(#[from] SyntaxError),
    /// A series is not as the configuration wants it.
    #[error("a series is refused")]
    Series(#[from] RefusedSeries),
    /// There are too many samples.
    #[error("the exposition has {count} samples; `sample_limit` is {limit}")]
    SampleLimit {
        /// Samples after relabelling.
        count: usize,
        /// Samples that there may be.
        limit: u64,
    },
}

/// The samples of a body.
#[derive(Debug, Clone, Copy)]
struct Counts {
    /// That the target exposes.
    samples: usize,
    /// That pass the rules: what `sample_limit` limits.
    kept: usize,
    /// That are published.
    published: usize,
}

impl Counts {
    /// Counts the samples of a body that is published as it is.
    fn all(samples: usize) -> Self {
        Self {
            samples,
            kept: samples,
            published: samples,
        }
    }
}

/// What stands between a body and its columns.
enum NoColumns {
    Text(Cause),
    Refused(RefusedSeries),
}

impl Cause {
    /// Returns the label value: a closed set.
    pub(in crate::scrape) fn as_str(self) -> &'static str {
        match self {
            Self::Misfit(misfit) => misfit.reason(),
            Self::Churn => "churn",
            Self::Memory => "memory",
        }
    }
}

impl ReadError {
    pub(in crate::scrape) fn reason(&self) -> FailureReason {
        match self {
            Self::Syntax(_) => FailureReason::BadSyntax,
            Self::Series(RefusedSeries::NoName | RefusedSeries::BadName(_)) => {
                FailureReason::BadName
            }
            Self::Series(_) => FailureReason::LabelLimit,
            Self::SampleLimit { .. } => FailureReason::SampleLimit,
        }
    }
}

impl From<RewriteError> for ReadError {
    fn from(error: RewriteError) -> Self {
        match error {
            RewriteError::Syntax(error) => Self::Syntax(error),
            RewriteError::Series(error) => Self::Series(error),
        }
    }
}

impl From<Cause> for NoColumns {
    fn from(cause: Cause) -> Self {
        Self::Text(cause)
    }
}

impl From<EditionError> for NoColumns {
    fn from(error: EditionError) -> Self {
        match error {
            EditionError::Refused(refused) => Self::Refused(refused),
            EditionError::Misfit(misfit) => Self::Text(Cause::Misfit(misfit)),
        }
    }
}

impl Reading {
    pub(in crate::scrape) fn new(target: Arc<Labels>, config: Arc<Config>) -> Self {
        Self {
            rules: SeriesRules::new(&target, config),
            target,
            shape: None,
            edition: None,
            texts: TextEdition::default(),
            text: None,
            changes: None,
        }
    }

    /// Reads the body of a scrape at a time, and the native histograms beside it.
    pub(in crate::scrape) fn read(
        &mut self,
        text: &Text,
        histograms: Vec<NativeHistogram>,
        time_ms: i64,
        shapes: &Shapes,
    ) -> Result<Exposition, ReadError> {
        let time_max_ms = time_ms.saturating_add(AHEAD_MS_MAX);
        let beside = histograms.len();
        let read = self.columns(text, beside, time_max_ms, shapes);
        let read = read.and_then(|(mut columns, mut counts)| {
            let kept = self.add_histograms(&mut columns.column, histograms)?;
            counts.samples += beside;
            counts.kept += kept;
            counts.published += kept;
            Ok((columns, counts))
        });
        match read {
            Ok((columns, counts)) => {
                self.text = None;
                self.check_samples(counts.kept)?;
                Ok(Exposition {
                    body: Body::Columns(columns),
                    samples: counts.samples,
                    published: counts.published,
                    lost_histograms: 0,
                    cause: None,
                })
            }
            Err(NoColumns::Refused(refused)) => Err(refused.into()),
            Err(NoColumns::Text(cause)) => self.as_text(text, beside, time_max_ms, cause),
        }
    }

    /// Puts native histograms beside values; returns how many are published.
    fn add_histograms(
        &mut self,
        column: &mut Column,
        histograms: Vec<NativeHistogram>,
    ) -> Result<usize, NoColumns> {
        let mut kept = 0;
        for NativeHistogram { series, message } in histograms {
            let series = if self.rules.are_trivial() {
                Some(series)
            } else {
                self.texts.publish(&series, &self.rules)?
            };
            if let Some(series) = series {
                column.add_histogram(wire::NativeHistogram { series, message });
                kept += 1;
            }
        }
        Ok(kept)
    }

    /// Counts what is reported of a body that could not be read.
    pub(in crate::scrape) fn tally(&self, text: &Text) -> Tally {
        tally(text, &self.rules)
    }

    fn check_samples(&self, count: usize) -> Result<(), ReadError> {
        match self.rules.config().limits.samples {
            Some(limit) if count as u64 > limit => Err(ReadError::SampleLimit { count, limit }),
            _ => Ok(()),
        }
    }

    fn as_text(
        &mut self,
        text: &Text,
        histograms: usize,
        time_max_ms: i64,
        cause: Cause,
    ) -> Result<Exposition, ReadError> {
        let summary = exposition::check(&text.text, text.format)?;
        let samples = summary.samples + histograms;
        let is_late = summary.latest_ms.is_some_and(|time| time > time_max_ms);
        let (body, counts) = if is_late || self.rewrites(summary.latest_ms.is_some()) {
            let report = self.report(samples, text);
            let (body, format) = (&text.text, text.format);
            let texts = &mut self.texts;
            let written = texts.rewrite(body, format, &self.rules, report, time_max_ms)?;
            let text = Text {
                text: written.text.into(),
                format,
            };
            let counts = Counts {
                samples,
                kept: written.kept,
                published: written.samples,
            };
            (text, counts)
        } else {
            (text.clone(), Counts::all(summary.samples))
        };
        self.check_samples(counts.kept)?;
        self.text = match self.text {
            Some((_, left)) if left > 0 => Some((cause, left - 1)),
            // Comparing lines costs little, and the next body may have known ones only.
            _ if cause == Cause::Churn => None,
            _ => Some((cause, TEXT_SCRAPES)),
        };
        Ok(Exposition {
            body: Body::Text(body),
            samples,
            published: counts.published,
            lost_histograms: histograms,
            cause: Some(cause),
        })
    }

    /// Tells whether series are not published as they are exposed, or must be looked at first.
    fn rewrites(&self, has_times: bool) -> bool {
        !self.rules.are_trivial() || self.has_edition(has_times)
    }

    /// Tells whether series are not published as they are exposed.
    fn has_edition(&self, has_times: bool) -> bool {
        let config = self.rules.config();
        !config.metric_relabel.is_empty()
            || config.extra_scrape_metrics
            || (has_times && !config.honor_timestamps)
    }

    fn report(&self, samples: usize, text: &Text) -> Report {
        let wants_size = self.rules.config().extra_scrape_metrics;
        Report {
            samples,
            body_size: wants_size.then_some(text.text.len()),
            late: 0,
        }
    }

    /// Returns values by shape.
    fn columns(
        &mut self,
        text: &Text,
        histograms: usize,
        time_max_ms: i64,
        shapes: &Shapes,
    ) -> Result<(Columns, Counts), NoColumns> {
        if let Some((cause, left)) = self.text
            && left > 0
        {
            return Err(cause.into());
        }
        let mut column = Column::default();
        let (shape, matched) = match self.match_known(text, &mut column)? {
            Some(known) => known,
            None => self.learn(text, histograms, &mut column, shapes)?,
        };
        let samples = matched;
        let has_times = shape.page().has_times();
        let late = if has_times && self.rules.config().honor_timestamps {
            column.drop_later_than(time_max_ms)
        } else {
            0
        };
        if late == 0 && !self.has_edition(has_times) {
            return Ok((Columns { shape, column }, Counts::all(samples)));
        }
        let report = Report {
            late,
            ..self.report(samples + histograms, text)
        };
        let edited = self
            .edition
            .as_ref()
            .and_then(|edition| edition.apply(&column, report));
        let Edited {
            column,
            published,
            kept,
        } = match edited {
            Some(edited) => edited,
            None => self.edit(&shape, text, &column, report, shapes)?,
        };
        let shape = match &self.edition {
            Some(edition) => Arc::clone(edition.shape()),
            None => shape,
        };
        let counts = Counts {
            samples,
            kept,
            published,
        };
        Ok((Columns { shape, column }, counts))
    }

    /// Reads values by the lines of the last scrape; `None` if there are others.
    fn match_known(
        &self,
        text: &Text,
        column: &mut Column,
    ) -> Result<Option<(Arc<Shape>, usize)>, NoColumns> {
        let known = self.shape.as_ref();
        let Some(shape) = known.filter(|shape| shape.page().format() == text.format) else {
            return Ok(None);
        };
        match match_body(shape.page(), &text.text, column) {
            Ok(matched) => Ok(Some((Arc::clone(shape), matched.samples))),
            Err(Misfit::Changed(_)) => Ok(None),
            Err(misfit) => Err(Cause::Misfit(misfit).into()),
        }
    }

    /// Learns the lines of a body.
    fn learn(
        &mut self,
        text: &Text,
        histograms: usize,
        column: &mut Column,
        shapes: &Shapes,
    ) -> Result<(Arc<Shape>, usize), NoColumns> {
        if !self.may_change() {
            return Err(Cause::Churn.into());
        }
        let body = &*text.text;
        let known = self.shape.as_ref();
        let known = known.filter(|shape| shape.page().format() == text.format);
        let built = match known {
            Some(shape) => shape.extend(body),
            None => Shape::build(Arc::clone(&self.target), body, text.format),
        };
        let built = built.map_err(Cause::Misfit)?;
        if !self.rules.are_trivial() && !self.has_edition(built.page().has_times()) {
            Edition::check(
                &self.rules,
                built.page(),
                known.map(|known| &**known.page()),
            )?;
        }
        let shape = shapes.keep(built).ok_or(Cause::Memory)?;
        let matched = match_body(shape.page(), body, column).map_err(Cause::Misfit)?;
        if self.has_edition(shape.page().has_times()) {
            let report = self.report(matched.samples + histograms, text);
            self.publish_by(&shape, text, report, shapes)?;
        }
        self.changed();
        self.shape = Some(Arc::clone(&shape));
        Ok((shape, matched.samples))
    }

    /// Makes the shape of what is published.
    fn publish_by(
        &mut self,
        own: &Arc<Shape>,
        text: &Text,
        report: Report,
        shapes: &Shapes,
    ) -> Result<(), NoColumns> {
        let before = self.shape.as_ref().zip(self.edition.as_ref());
        let before = before.map(|(shape, edition)| (&**shape.page(), edition));
        let (rules, page) = (&self.rules, own.page());
        let built = Edition::build(rules, &self.target, page, before, &text.text, report);
        let (shape, fates) = built?;
        let shape = shapes.keep(shape).ok_or(Cause::Memory)?;
        self.edition = Some(Edition::new(shape, fates));
        Ok(())
    }

    /// Makes the shape of what is published anew, since a series is back that it never had.
    fn edit(
        &mut self,
        own: &Arc<Shape>,
        text: &Text,
        column: &Column,
        report: Report,
        shapes: &Shapes,
    ) -> Result<Edited, NoColumns> {
        if !self.may_change() {
            return Err(Cause::Churn.into());
        }
        self.publish_by(own, text, report, shapes)?;
        self.changed();
        let edition = self.edition.as_ref();
        let edited = edition.and_then(|edition| edition.apply(column, report));
        edited.ok_or(NoColumns::Text(Cause::Misfit(Misfit::Unreadable)))
    }

    fn may_change(&self) -> bool {
        self.changes
            .is_none_or(|(since, count)| count < CHANGES_MAX || since.elapsed() >= CHANGES_TIME)
    }

    fn changed(&mut self) {
        self.changes = match self.changes {
            Some((since, count)) if since.elapsed() < CHANGES_TIME => Some((since, count + 1)),
            _ => Some((Instant::now(), 1)),
        };
    }
}

#[cfg(test)]
mod tests;
