//! Bodies in, what is published out.

use super::*;
use crate::model::Format;
use crate::relabel::{Action, Rule, RuleSettings, Rules};
use crate::scrape::Metrics;
use crate::scrape::tests::config;
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
        self.reading.read(&text, Vec::new(), TIME_MS, &self.shapes)
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

const KEPT: &str = "__scrape_samples_post_metric_relabeling__";

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
    lab.check_published("old 1\nnew 2\n", &format!("{SCRAPED} 2 | {KEPT} 2 | new 1"));
    lab.check_published("new 3\n", &format!("{SCRAPED} 1 | {KEPT} 1 | new 3"));
    lab.check_published("old 4\n", &format!("{SCRAPED} 1 | {KEPT} 1 | new 4"));
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
    let expected = format!("{SCRAPED} 2 | {KEPT} 2 | a 1 {near}");
    lab.check_published(&format!("a 1 {near}\nb 2 {far}\n"), &expected);
    let text = format!("a 1 {near}\na 2 {far}\nb 2 {far}\n");
    let expected = format!("{KEPT} 3 | {SCRAPED} 3 | a 1 {near}");
    lab.check_published(&text, &expected);
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
    // Of two that rules make equal one is published.
    check_refused(&mut lab, "a 1\nold 1\nnew 1\n", FailureReason::SampleLimit);
}

#[test]
fn a_sample_far_ahead_is_one_for_the_limit() {
    let mut lab = Lab::with(|config| config.limits.samples = Some(2));
    let far = TIME_MS + AHEAD_MS_MAX + 1;
    lab.read(&format!("a 1\nb 1 {far}\n"));
    for text in ["a 1\nc 1\n", "a 1\na 1\n"] {
        let text = format!("{text}b 1 {far}\n");
        check_refused(&mut lab, &text, FailureReason::SampleLimit);
    }
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

#[test]
fn native_histograms_are_published_beside_the_values() {
    let histograms = |names: &[&str]| {
        let native = |name: &&str| NativeHistogram {
            series: (*name).into(),
            message: bytes::Bytes::from_static(b"x"),
        };
        names.iter().map(native).collect::<Vec<_>>()
    };
    let text = |body: &str| Text {
        text: body.to_owned().into(),
        format: Format::Text,
    };
    let mut lab = Lab::with(|config| {
        relabelling(config);
        config.limits.samples = Some(3);
    });
    let mut read = |body: &str, names: &[&str]| {
        let (text, beside) = (text(body), histograms(names));
        lab.reading.read(&text, beside, TIME_MS, &lab.shapes)
    };
    let published = |read: &Exposition| match &read.body {
        Body::Columns(columns) => {
            let series = columns.column.histograms().iter();
            series.map(|one| one.series.to_string()).collect::<Vec<_>>()
        }
        Body::Text(_) => panic!("{:?}", read.cause),
    };
    let both = read("a 1\n", &["old{l=\"1\"}", "go_gc"]).unwrap();
    assert_eq!(published(&both), ["new{l=\"1\"}"]);
    assert_eq!((both.samples, both.published), (3, 2));
    let error = read("a 1\nb 1\n", &["old", "c"]).unwrap_err();
    assert_eq!(error.reason(), FailureReason::SampleLimit);
    let as_text = read("a 1\na 2\n", &["old"]).unwrap();
    assert_eq!(as_text.lost_histograms, 1);
}
