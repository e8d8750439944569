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

use super::Config;
use super::edition::{Edition, EditionError, Report, RewriteError, TextEdition};
use super::series::{RefusedSeries, SeriesRules};
use super::shapes::Shapes;
use super::tally::tally;
use crate::exposition::{self, SyntaxError};
use crate::model::{FailureReason, Labels, Tally, Text};
use crate::wire::{Body, Column, Columns, Misfit, Shape, match_body};

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
pub(super) struct Reading {
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
pub(super) struct Exposition {
    pub(super) body: Body,
    /// Samples that the target exposes.
    pub(super) samples: usize,
    /// Samples that are published.
    pub(super) published: usize,
    /// Why it is text.
    pub(super) cause: Option<Cause>,
}

/// Why an exposition travels as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is none that a shape can hold.
    Misfit(Misfit),
    /// Its lines change too often.
    Churn,
    /// There is no room for another shape.
    Memory,
}

/// Why a body is not published.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
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

/// What stands between a body and its columns.
enum NoColumns {
    Text(Cause),
    Refused(RefusedSeries),
}

impl Cause {
    /// Returns the label value: a closed set.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Misfit(misfit) => misfit.reason(),
            Self::Churn => "churn",
            Self::Memory => "memory",
        }
    }
}

impl ReadError {
    pub(super) fn reason(&self) -> FailureReason {
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
    pub(super) fn new(target: Arc<Labels>, config: Arc<Config>) -> Self {
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

    /// Reads the body of a scrape at a time.
    pub(super) fn read(
        &mut self,
        text: &Text,
        time_ms: i64,
        shapes: &Shapes,
    ) -> Result<Exposition, ReadError> {
        let time_max_ms = time_ms.saturating_add(AHEAD_MS_MAX);
        match self.columns(text, time_max_ms, shapes) {
            Ok((columns, samples, published)) => {
                self.text = None;
                self.check_samples(published)?;
                Ok(Exposition {
                    body: Body::Columns(columns),
                    samples,
                    published,
                    cause: None,
                })
            }
            Err(NoColumns::Refused(refused)) => Err(refused.into()),
            Err(NoColumns::Text(cause)) => self.as_text(text, time_max_ms, cause),
        }
    }

    /// Counts what is reported of a body that could not be read.
    pub(super) fn tally(&self, text: &Text) -> Tally {
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
        time_max_ms: i64,
        cause: Cause,
    ) -> Result<Exposition, ReadError> {
        let summary = exposition::check(&text.text, text.format)?;
        let samples = summary.samples;
        let is_late = summary.latest_ms.is_some_and(|time| time > time_max_ms);
        let (body, published) = if is_late || self.rewrites(summary.latest_ms.is_some()) {
            let report = self.report(samples, text);
            let (body, format) = (&text.text, text.format);
            let texts = &mut self.texts;
            let written = texts.rewrite(body, format, &self.rules, report, time_max_ms)?;
            let text = Text {
                text: written.text.into(),
                format,
            };
            (text, written.samples)
        } else {
            (text.clone(), samples)
        };
        self.check_samples(published)?;
        self.text = match self.text {
            Some((_, left)) if left > 0 => Some((cause, left - 1)),
            // Comparing lines costs little, and the next body may have known ones only.
            _ if cause == Cause::Churn => None,
            _ => Some((cause, TEXT_SCRAPES)),
        };
        Ok(Exposition {
            body: Body::Text(body),
            samples,
            published,
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
        }
    }

    /// Returns values by shape, with how many the target exposes and how many are published.
    fn columns(
        &mut self,
        text: &Text,
        time_max_ms: i64,
        shapes: &Shapes,
    ) -> Result<(Columns, usize, usize), NoColumns> {
        if let Some((cause, left)) = self.text
            && left > 0
        {
            return Err(cause.into());
        }
        let mut column = Column::default();
        let (shape, matched) = match self.match_known(text, &mut column)? {
            Some(known) => known,
            None => self.learn(text, &mut column, shapes)?,
        };
        let samples = matched;
        let has_times = shape.page().has_times();
        let late = if has_times && self.rules.config().honor_timestamps {
            column.drop_later_than(time_max_ms)
        } else {
            0
        };
        if !self.has_edition(has_times) {
            return Ok((Columns { shape, column }, samples, samples - late));
        }
        let report = self.report(samples, text);
        let edited = self
            .edition
            .as_ref()
            .and_then(|edition| edition.apply(&column, report));
        let column = match edited {
            Some(column) => column,
            None => self.edit(&shape, text, &column, report, shapes)?,
        };
        let shape = match &self.edition {
            Some(edition) => Arc::clone(edition.shape()),
            None => shape,
        };
        let published = column.samples().saturating_sub(report.len());
        Ok((Columns { shape, column }, samples, published))
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
            let report = self.report(matched.samples, text);
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
    ) -> Result<Column, NoColumns> {
        if !self.may_change() {
            return Err(Cause::Churn.into());
        }
        self.publish_by(own, text, report, shapes)?;
        self.changed();
        let edition = self.edition.as_ref();
        let column = edition.and_then(|edition| edition.apply(column, report));
        column.ok_or(NoColumns::Text(Cause::Misfit(Misfit::Unreadable)))
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
mod tests {
    use super::super::Metrics;
    use super::super::tests::config;
    use super::*;
    use crate::model::Format;
    use crate::relabel::{Action, Rule, RuleSettings, Rules};
    use crate::wire::Value;

    const TIME_MS: i64 = 1_700_000_000_000;

    /// A target, and what it exposed so far.
    struct Lab {
        shapes: Shapes,
        reading: Reading,
    }

    impl Lab {
        fn new() -> Self {
            Self::with(|_config| {})
        }

        fn with(change: impl FnOnce(&mut Config)) -> Self {
            let mut config = config();
            change(&mut config);
            let target = Arc::new(Labels::of_target("node", "db1"));
            Self {
                shapes: Shapes::new(Metrics::default()),
                reading: Reading::new(target, Arc::new(config)),
            }
        }

        /// Compares what is published, as text without comments.
        #[track_caller]
        fn check_published(&mut self, body: &str, expected: &str) {
            let read = self.read(body);
            let text = match &read.body {
                Body::Columns(Columns { shape, column }) => {
                    let mut text = Vec::new();
                    shape.write_text(column, &mut text);
                    String::from_utf8(text).unwrap()
                }
                Body::Text(text) => String::from_utf8(text.text.to_vec()).unwrap(),
            };
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            assert_eq!(lines.collect::<Vec<_>>().join(" | "), expected, "{body}");
        }

        fn read(&mut self, body: &str) -> Exposition {
            self.try_read(body, Format::Text).unwrap()
        }

        fn try_read(&mut self, body: &str, format: Format) -> Result<Exposition, ReadError> {
            let text = body.to_owned().into();
            let text = Text { text, format };
            self.reading.read(&text, TIME_MS, &self.shapes)
        }

        #[track_caller]
        fn check(&mut self, body: &str, expected: &[Option<f64>]) {
            let read = self.read(body);
            let Body::Columns(Columns { column, .. }) = &read.body else {
                panic!("{body} is text: {:?}", read.cause);
            };
            let values: Vec<_> = column.iter().map(Value::get).collect();
            assert_eq!(values, expected, "{body}");
            assert_eq!(read.samples, expected.iter().flatten().count(), "{body}");
            assert_eq!(read.cause, None, "{body}");
        }

        #[track_caller]
        fn check_text(&mut self, body: &str, cause: Cause) {
            let read = self.read(body);
            assert_eq!(read.cause, Some(cause), "{body}");
            let Body::Text(text) = read.body else {
                panic!("{body} is columns");
            };
            assert_eq!(text.text, body);
        }
    }

    #[test]
    fn the_same_lines_keep_their_shape() {
        let mut lab = Lab::new();
        lab.check("a 1\nb 2\n", &[Some(1.0), Some(2.0)]);
        let first = lab.reading.shape.clone().unwrap();
        lab.check("a 3\nb 4\n", &[Some(3.0), Some(4.0)]);
        lab.check("b 5\n", &[None, Some(5.0)]);
        assert!(Arc::ptr_eq(lab.reading.shape.as_ref().unwrap(), &first));
    }

    #[test]
    fn new_lines_extend_the_shape() {
        let mut lab = Lab::new();
        lab.check("a 1\nb 2\n", &[Some(1.0), Some(2.0)]);
        lab.check("a 1\nb 2\nc 3\n", &[Some(1.0), Some(2.0), Some(3.0)]);
        lab.check("a 1\nc 4\n", &[Some(1.0), None, Some(4.0)]);
    }

    #[test]
    fn nothing_is_an_exposition_too() {
        let mut lab = Lab::new();
        lab.check("", &[]);
        lab.check("", &[]);
        lab.check("a 1\n", &[Some(1.0)]);
        lab.check("", &[None]);
    }

    #[test]
    fn another_format_is_another_shape() {
        let mut lab = Lab::new();
        lab.check("a 1\n", &[Some(1.0)]);
        let read = lab.try_read("a 1\n# EOF\n", Format::OpenMetrics).unwrap();
        assert_eq!((read.samples, read.cause), (1, None));
        lab.check("a 2\n", &[Some(2.0)]);
    }

    #[test]
    fn what_no_shape_holds_is_text_and_tried_again_later() {
        let mut lab = Lab::new();
        let repeated = Cause::Misfit(Misfit::Repeated);
        lab.check("a 1\n", &[Some(1.0)]);
        lab.check_text("a 1\na 2 3\n", Cause::Misfit(Misfit::Repeated));
        // What would fit again is text for a while.
        for _ in 0..TEXT_SCRAPES {
            lab.check_text("a 1\n", repeated);
        }
        lab.check("a 2\n", &[Some(2.0)]);
        lab.check("a 3\n", &[Some(3.0)]);
    }

    #[test]
    fn a_body_that_is_no_exposition_is_an_error_and_forgotten() {
        let mut lab = Lab::new();
        lab.check("a 1\n", &[Some(1.0)]);
        lab.try_read("<html>\n", Format::Text).unwrap_err();
        lab.check("a 2\n", &[Some(2.0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_changes_all_the_time_becomes_text() {
        let mut lab = Lab::new();
        let body = |n: u32| format!("a{{id=\"{n}\"}} 1\n");
        for n in 0..CHANGES_MAX {
            assert_eq!(lab.read(&body(n)).cause, None);
        }
        for n in 100..110 {
            lab.check_text(&body(n), Cause::Churn);
        }
        // Lines that are known are no change.
        assert_eq!(lab.read(&body(CHANGES_MAX - 1)).cause, None);
        tokio::time::advance(CHANGES_TIME).await;
        assert_eq!(lab.read(&body(200)).cause, None);
    }

    #[test]
    fn without_room_for_shapes_all_is_text() {
        let mut lab = Lab::new();
        lab.shapes = Shapes::with_limit(Metrics::default(), 10);
        lab.check_text("a 1\n", Cause::Memory);
    }

    /// Drops `go_…`, and renames `old` to `new`.
    fn relabelling(config: &mut Config) {
        let by_name = RuleSettings {
            source_labels: vec!["__name__".to_owned()],
            ..RuleSettings::default()
        };
        config.metric_relabel = Rules::new(vec![
            Rule::new(RuleSettings {
                regex: Some("go_.*".to_owned()),
                action: Action::Drop,
                ..by_name.clone()
            })
            .unwrap(),
            Rule::new(RuleSettings {
                regex: Some("old".to_owned()),
                target_label: "__name__".to_owned(),
                replacement: "new".to_owned(),
                ..by_name
            })
            .unwrap(),
        ]);
    }

    const SCRAPED: &str = "__scrape_samples_scraped__";

    #[test]
    fn relabelled_series_are_published_by_their_new_names() {
        let mut lab = Lab::with(relabelling);
        let body = "# HELP old An old name\ngo_a 1\nold{l=\"1\"} 2\nb 3\n";
        let expected = format!("{SCRAPED} 3 | new{{l=\"1\"}} 2 | b 3");
        lab.check_published(body, &expected);
        let shape = lab
            .reading
            .edition
            .as_ref()
            .map(|edition| Arc::clone(edition.shape()));
        let expected = format!("{SCRAPED} 3 | new{{l=\"1\"}} 5 | b 6");
        lab.check_published("b 6\ngo_a 4\nold{l=\"1\"} 5\n", &expected);
        let after = lab
            .reading
            .edition
            .as_ref()
            .map(|edition| Arc::clone(edition.shape()));
        assert!(
            Arc::ptr_eq(&shape.unwrap(), &after.unwrap()),
            "other values alone"
        );
    }

    #[test]
    fn series_that_come_and_go_are_relabelled_when_they_come() {
        let mut lab = Lab::with(relabelling);
        lab.check_published("old 1\ngo_a 1\n", &format!("{SCRAPED} 2 | new 1"));
        lab.check_published("old 1\ngo_b 1\n", &format!("{SCRAPED} 2 | new 1"));
        let both = format!("{SCRAPED} 2 | new 2 | c 7");
        lab.check_published("old 2\nc 7\n", &both);
        lab.check_published("go_a 1\n", &format!("{SCRAPED} 1"));
        lab.check_published("c 8\n", &format!("{SCRAPED} 1 | c 8"));
        lab.check_published("", &format!("{SCRAPED} 0"));
        let read = lab.read("go_a 1\nc 1\n");
        assert_eq!((read.samples, read.published), (2, 1));
    }

    #[test]
    fn of_two_series_that_become_one_the_first_is_published() {
        let mut lab = Lab::with(relabelling);
        lab.check_published("old 1\nnew 2\n", &format!("{SCRAPED} 2 | new 1"));
        lab.check_published("new 3\n", &format!("{SCRAPED} 1 | new 3"));
        lab.check_published("old 4\n", &format!("{SCRAPED} 1 | new 4"));
    }

    #[test]
    fn what_travels_as_text_is_relabelled_too() {
        let mut lab = Lab::with(relabelling);
        let body = "# TYPE old gauge\nold 1 5\nold 2 6\ngo_a 1\n";
        let expected = format!("{SCRAPED} 3 | new 1 5 | new 2 6");
        lab.check_published(body, &expected);
    }

    #[test]
    fn explicit_timestamps_may_be_left_out() {
        let mut lab = Lab::with(|config| config.honor_timestamps = false);
        lab.check_published(
            "a 1 1600000000000\nb 2\n",
            &format!("{SCRAPED} 2 | a 1 | b 2"),
        );
        lab.check_published(
            "a 3 1600000000001\nb 4\n",
            &format!("{SCRAPED} 2 | a 3 | b 4"),
        );
        lab.check_published("b 4\n", &format!("{SCRAPED} 1 | b 4"));
    }

    #[test]
    fn timestamps_far_ahead_are_left_out() {
        let mut lab = Lab::new();
        let (near, far) = (TIME_MS + AHEAD_MS_MAX, TIME_MS + AHEAD_MS_MAX + 1);
        lab.check_published(&format!("a 1 {near}\nb 2 {far}\n"), &format!("a 1 {near}"));
        let text = format!("a 1 {near}\na 2 {far}\nb 2 {far}\n");
        lab.check_published(&text, &format!("{SCRAPED} 3 | a 1 {near}"));
    }

    #[test]
    fn exemplars_move_with_their_series() {
        let mut lab = Lab::with(relabelling);
        let body = "c_total 1 # {a=\"1\"} 1\ngo_a 1\nold_total 2 # {a=\"2\"} 2\n# EOF\n";
        let read = lab.try_read(body, Format::OpenMetrics).unwrap();
        let Body::Columns(Columns { shape, column }) = read.body else {
            panic!("{:?}", read.cause);
        };
        let mut text = Vec::new();
        shape.write_text(&column, &mut text);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            format!("{SCRAPED} 3\nc_total 1 # {{a=\"1\"}} 1\nold_total 2 # {{a=\"2\"}} 2\n# EOF\n")
        );
    }

    #[test]
    fn the_size_of_the_body_is_told_when_it_is_wanted() {
        let mut lab = Lab::with(|config| config.extra_scrape_metrics = true);
        let expected = format!("{SCRAPED} 1 | __scrape_body_size_bytes__ 4 | a 1");
        lab.check_published("a 1\n", &expected);
    }

    #[track_caller]
    fn check_refused(lab: &mut Lab, body: &str, reason: FailureReason) {
        let error = lab.try_read(body, Format::Text).unwrap_err();
        assert_eq!(error.reason(), reason, "{body}: {error}");
    }

    #[test]
    fn too_many_samples_fail_the_scrape() {
        let mut lab = Lab::with(|config| {
            relabelling(config);
            config.limits.samples = Some(2);
        });
        lab.read("a 1\nb 1\ngo_a 1\n");
        check_refused(&mut lab, "a 1\nb 1\nc 1\n", FailureReason::SampleLimit);
        // As text, too.
        check_refused(
            &mut lab,
            "a 1\nb 1\nc 1\nc 2\nd 1\n",
            FailureReason::SampleLimit,
        );
        lab.read("a 1\nc 1\n");
    }

    #[test]
    fn a_label_beyond_the_limits_fails_the_scrape() {
        let mut lab = Lab::with(|config| config.limits.label_value_length = Some(5));
        lab.check("a{b=\"12345\"} 1\n", &[Some(1.0)]);
        check_refused(&mut lab, "a{b=\"123456\"} 1\n", FailureReason::LabelLimit);
        check_refused(
            &mut lab,
            "a{b=\"123456\"} 1\na{b=\"123456\"} 1\n",
            FailureReason::LabelLimit,
        );
        lab.check("a{b=\"12345\"} 2\n", &[Some(2.0)]);
    }
}
