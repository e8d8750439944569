use std::collections::HashMap;
use std::time::Duration;

use prost::Message as _;

use super::*;
use crate::model::Labels;
use crate::model::{FailureReason, Format, Note, Tally, Text};
use crate::relabel::{Action, Rule, RuleSettings, Rules};
use crate::sink::remote_write::Besides;
use crate::sink::remote_write::messages::WriteRequest;
use crate::sink::remote_write::series::SeriesHasher;
use crate::sink::removed::Removal;
use crate::wire::Body;

/// Writes one target's scrapes one after the other.
struct Target {
    encoder: Encoder,
    shared: Shared,
    state: Option<TargetState>,
    time_ms: i64,
    /// Beside `job` and `instance`.
    reserved: Vec<(&'static str, &'static str)>,
    /// Of the last scrape.
    removals: Removals,
}

impl Target {
    fn new() -> Self {
        Self {
            encoder: Encoder::default(),
            shared: Shared {
                hasher: SeriesHasher::new(),
                publisher_label: false,
                external_labels: Labels::default(),
                write_relabel: Rules::default(),
                besides: Besides::default(),
            },
            state: None,
            time_ms: 1_000,
            reserved: Vec::new(),
            removals: Removals::default(),
        }
    }

    /// Writes what came of the next scrape; a second passes between two of them.
    fn put(&mut self, outcome: Outcome<Body>) -> String {
        let own = [("job", "j"), ("instance", "i")];
        let labels = own.into_iter().chain(self.reserved.iter().copied());
        let scrape = Scrape {
            target: Arc::new(Labels::new(labels)),
            time_ms: self.time_ms,
            outcome,
        };
        let mut out = Vec::new();
        let before = self.state.as_ref();
        let encoded = self
            .encoder
            .put(&mut out, "site", &scrape, before, &self.shared)
            .unwrap();
        let request = WriteRequest::decode(&out[..]).unwrap();
        assert_eq!(request.timeseries.len(), encoded.series);
        self.removals = encoded.removals;
        match encoded.after {
            After::Same => {}
            After::State(state) => self.state = Some(state),
            After::Gone => self.state = None,
        }
        self.time_ms += 1_000;
        show(&request)
    }

    fn expose(&mut self, text: &str) -> String {
        self.put(Outcome::Exposed {
            body: Body::Text(Text {
                text: text.to_owned().into(),
                format: Format::Text,
            }),
            duration: Duration::from_millis(250),
        })
    }

    fn fail(&mut self) -> String {
        self.put(Outcome::Failed {
            reason: FailureReason::Refused,
            duration: Duration::from_millis(500),
            tally: Tally::default(),
        })
    }
}

/// One series per word: name, labels but job and instance, value, and time if it is not the
/// first one's; the report comes as its five values.
fn show(request: &WriteRequest) -> String {
    let mut words = Vec::new();
    for series in &request.timeseries {
        let labels = series.labels.iter();
        let mut labels: HashMap<_, _> = labels.map(|label| (&*label.name, &*label.value)).collect();
        assert!(series.labels.is_sorted_by(|one, next| one.name < next.name));
        for (label, usual) in [("job", "j"), ("instance", "i")] {
            if labels.get(label) == Some(&usual) {
                labels.remove(label);
            } else {
                labels.entry(label).or_insert("NONE");
            }
        }
        let name = labels.remove("__name__").unwrap();
        let mut rest: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        rest.sort();
        let [sample] = &series.samples[..] else {
            panic!("{series:?}")
        };
        let value = match sample.value.to_bits() {
            0x7ff0_0000_0000_0002 => "stale".to_owned(),
            0x7ff8_0000_0000_0001 => "nan".to_owned(),
            _ => sample.value.to_string(),
        };
        let value = format!("{value}@{}", sample.timestamp);
        if REPORT.contains(&name) && rest.is_empty() {
            words.push(format!("{}:{value}", name.trim_start_matches("scrape_")));
        } else {
            words.push(format!("{name}{{{}}}:{value}", rest.join(",")));
        }
    }
    words.join(" ")
}

fn report<const N: usize>(values: [&str; N], time_ms: i64) -> String {
    let words = REPORT.iter().zip(values);
    let words = words
        .map(|(name, value)| format!("{}:{value}@{time_ms}", name.trim_start_matches("scrape_")));
    words.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(written: &str, samples: &str, report: &str) {
    assert_eq!(written, format!("{samples} {report}").trim());
}

#[test]
fn samples_come_first_then_the_report_then_samples_with_a_time_of_their_own() {
    let mut target = Target::new();
    let written = target.expose("c 2.5 77\na 1\nb{x=\"y\"} NaN\n");
    let about = report(["1", "0.25", "3", "3", "3"], 1000);
    check(
        &written,
        "a{}:1@1000 b{x=y}:nan@1000",
        &format!("{about} c{{}}:2.5@77"),
    );
    let written = target.expose("c 2.5 78\na 1\nb{x=\"y\"} 2\n");
    let about = report(["1", "0.25", "3", "3", "0"], 2000);
    check(
        &written,
        "a{}:1@2000 b{x=y}:2@2000",
        &format!("{about} c{{}}:2.5@78"),
    );
}

#[test]
fn an_exposed_stale_marker_is_any_other_nan_elsewhere() {
    let mut target = Target::new();
    let written = target.expose("a nan\nb NAN\n");
    check(
        &written,
        "a{}:nan@1000 b{}:nan@1000",
        &report(["1", "0.25", "2", "2", "2"], 1000),
    );
}

#[test]
fn a_vanished_series_is_ended_after_the_samples() {
    let mut target = Target::new();
    target.expose("a 1\nb 1\nc 1\nt 1 5\n");
    let written = target.expose("a 1\nc 1\n");
    check(
        &written,
        "a{}:1@2000 c{}:1@2000 b{}:stale@2000",
        &report(["1", "0.25", "2", "2", "0"], 2000),
    );
    let written = target.expose("b 1\n");
    check(
        &written,
        "b{}:1@3000 a{}:stale@3000 c{}:stale@3000",
        &report(["1", "0.25", "1", "1", "1"], 3000),
    );
}

#[test]
fn a_failed_scrape_ends_all_series_once() {
    let mut target = Target::new();
    target.expose("a 1\nb 1\n");
    let down = ["0", "0.5", "0", "0", "0"];
    check(
        &target.fail(),
        "a{}:stale@2000 b{}:stale@2000",
        &report(down, 2000),
    );
    check(&target.fail(), "", &report(down, 3000));
    // As in Prometheus, whose cache outlives a failed scrape: what comes back is not added.
    let written = target.expose("a 1\nc 1\n");
    check(
        &written,
        "a{}:1@4000 c{}:1@4000",
        &report(["1", "0.25", "2", "2", "1"], 4000),
    );
}

#[test]
fn a_body_that_is_bad_from_some_place_on_is_counted_up_to_there() {
    let mut target = Target::new();
    let half_way = Outcome::Failed {
        reason: FailureReason::BadSyntax,
        duration: Duration::from_millis(500),
        tally: Tally {
            scraped: 7,
            kept: 5,
        },
    };
    let expected = report(["0", "0.5", "7", "5", "0"], 1000);
    check(&target.put(half_way), "", &expected);
}

#[test]
fn a_target_that_never_answered_is_down() {
    let mut target = Target::new();
    check(
        &target.fail(),
        "",
        &report(["0", "0.5", "0", "0", "0"], 1000),
    );
}

#[test]
fn a_target_that_is_gone_ends_with_its_report() {
    let mut target = Target::new();
    target.expose("a 1\nb 1\n");
    check(
        &target.put(Outcome::Gone),
        "a{}:stale@2000 b{}:stale@2000",
        &report(["stale"; 5], 2000),
    );
    assert_eq!(target.put(Outcome::Gone), "");
    target.fail();
    check(&target.put(Outcome::Gone), "", &report(["stale"; 5], 5000));
}

#[test]
fn a_silent_target_is_left_alone() {
    let mut target = Target::new();
    target.expose("a 1\n");
    assert_eq!(target.put(Outcome::Noted(Note::Expired)), "");
    check(
        &target.expose("a 1\n"),
        "a{}:1@3000",
        &report(["1", "0.25", "1", "1", "0"], 3000),
    );
}

#[test]
fn the_series_of_a_silent_lane_end_and_live_again() {
    let mut target = Target::new();
    assert_eq!(target.put(Outcome::Noted(Note::Silent)), "");
    target.expose("a 1\nt 1 5\n");
    check(
        &target.put(Outcome::Noted(Note::Silent)),
        "a{}:stale@3000",
        &report(["stale"; 5], 3000),
    );
    let about = report(["1", "0.25", "2", "2", "1"], 4000);
    check(
        &target.expose("a 1\nb 1\n"),
        "a{}:1@4000 b{}:1@4000",
        &about,
    );
    target.fail();
    check(
        &target.put(Outcome::Noted(Note::Silent)),
        "",
        &report(["stale"; 5], 6000),
    );
}

#[test]
fn whether_a_site_is_up_is_a_series_without_a_target() {
    let mut target = Target::new();
    target.shared.external_labels = Labels::new([("region", "eu"), ("publisher", "other")]);
    for publisher_label in [false, true] {
        target.shared.publisher_label = publisher_label;
        let scrape = Scrape {
            target: Arc::new(Labels::new([("publisher", "site")])),
            time_ms: 5,
            outcome: Outcome::Noted(Note::Site { is_up: true }),
        };
        let mut out = Vec::new();
        let encoder = &mut target.encoder;
        let encoded = encoder.put(&mut out, "site", &scrape, None, &target.shared);
        assert!(matches!(encoded.unwrap().after, After::Same));
        let request = WriteRequest::decode(&out[..]).unwrap();
        let [series] = &request.timeseries[..] else {
            panic!("{request:?}")
        };
        let labels = series.labels.iter();
        let labels: Vec<_> = labels.map(|label| (&*label.name, &*label.value)).collect();
        let expected = [
            ("__name__", "prometheus_streams_site_up"),
            ("publisher", "site"),
            ("region", "eu"),
        ];
        assert_eq!(labels, expected);
        assert_eq!(
            (series.samples[0].value, series.samples[0].timestamp),
            (1.0, 5)
        );
    }
}

/// Drops series by name, and takes a label from all others.
fn write_relabel(dropped: &str, label: &str) -> Rules {
    let rule = |action, source_labels: &[&str], regex: &str| {
        let source_labels = source_labels.iter().map(|name| (*name).to_owned());
        Rule::new(RuleSettings {
            action,
            source_labels: source_labels.collect(),
            regex: Some(regex.to_owned()),
            ..RuleSettings::default()
        })
    };
    Rules::new(vec![
        rule(Action::Drop, &["__name__"], dropped).unwrap(),
        rule(Action::LabelDrop, &[], label).unwrap(),
    ])
}

#[test]
fn what_relabel_rules_drop_is_scraped_but_never_written() {
    let mut target = Target::new();
    target.shared.write_relabel = write_relabel("b|t|scrape_.*", "x");
    let about = |value, time_ms| format!("up:{value}@{time_ms}");
    check(
        &target.expose("a{x=\"1\"} 1\nb 2\nt 3 5\nc 4\n"),
        "a{}:1@1000 c{}:4@1000",
        &about("1", 1000),
    );
    check(
        &target.expose("a{x=\"1\"} 1\n"),
        "a{}:1@2000 c{}:stale@2000",
        &about("1", 2000),
    );
    check(&target.fail(), "a{}:stale@3000", &about("0", 3000));
    target.expose("a 1\nb 2\n");
    check(
        &target.put(Outcome::Gone),
        "a{}:stale@5000",
        &about("stale", 5000),
    );
}

#[test]
fn of_series_that_relabel_rules_make_equal_the_first_counts() {
    let mut target = Target::new();
    target.shared.write_relabel = write_relabel("scrape_.*", "x");
    let written = target.expose("a{x=\"1\"} 1\na{x=\"2\"} 2\n");
    check(&written, "a{}:1@1000", "up:1@1000");
    assert_eq!(target.removals, of(Removal::Duplicate, 1));
    let written = target.expose("a{x=\"2\"} 2\n");
    check(&written, "a{}:2@2000", "up:1@2000");
    target = Target::new();
    target.shared.write_relabel = write_relabel("b", "x");
    let about = report(["1", "0.25", "2", "2", "2"], 1000);
    check(&target.expose("a 1\nb 1\n"), "a{}:1@1000", &about);
    assert_eq!(target.removals, of(Removal::Relabeled, 1));
}

fn of(removal: Removal, count: usize) -> Removals {
    let mut removals = Removals::default();
    removals.add_many(removal, count);
    removals
}

#[test]
fn duplicates_are_scraped_but_not_written() {
    let mut target = Target::new();
    let written = target.expose("a 1\na 2\na{x=\"\"} 3\n");
    check(
        &written,
        "a{}:1@1000",
        &report(["1", "0.25", "3", "3", "1"], 1000),
    );
}

#[test]
fn the_report_has_the_labels_of_the_target() {
    let mut target = Target::new();
    target.shared.publisher_label = true;
    target.shared.external_labels = Labels::new([("region", "eu")]);
    let written = target.expose("up{publisher=\"p\"} 5\n");
    assert!(written.starts_with("up{exported_publisher=p,publisher=site,region=eu}:5@1000 "));
    assert!(
        written.contains(" up{publisher=site,region=eu}:1@1000 "),
        "{written}"
    );
}

#[test]
fn the_poller_says_how_many_samples_there_were_before_relabelling() {
    let mut target = Target::new();
    let written = target.expose("a 1\n__scrape_samples_scraped__ 7\n");
    check(
        &written,
        "a{}:1@1000",
        &report(["1", "0.25", "7", "1", "1"], 1000),
    );
    let written = target.expose("__scrape_samples_scraped__ 8\n__scrape_body_size_bytes__ 9\n");
    check(
        &written,
        "a{}:stale@2000",
        &report(["1", "0.25", "8", "0", "0"], 2000),
    );
    let written = target
        .expose("__scrape_samples_scraped__ 8\n__scrape_samples_post_metric_relabeling__ 5\na 1\n");
    let expected = report(["1", "0.25", "8", "5", "1"], 3000);
    check(&written, "a{}:1@3000", &expected);
    target.state = None;
    let written = target.expose("__scrape_samples_scraped__{x=\"y\"} 8\n");
    check(
        &written,
        "__scrape_samples_scraped__{x=y}:8@4000",
        &report(["1", "0.25", "1", "1", "1"], 4000),
    );
}

#[test]
fn extra_series_about_the_scrape_are_written_where_they_are_wanted() {
    let mut target = Target::new();
    target.reserved = vec![("__scrape_timeout__", "2.5")];
    let written = target.expose("a 1\n__scrape_body_size_bytes__ 4\n");
    let about = report(["1", "0.25", "1", "1", "1", "2.5", "0", "4"], 1000);
    check(&written, "a{}:1@1000", &about);
    target.reserved.push(("__scrape_sample_limit__", "10"));
    target.state = None;
    check(
        &target.fail(),
        "",
        &report(["0", "0.5", "0", "0", "0", "2.5", "10", "0"], 2000),
    );
    let too_large = Outcome::Failed {
        reason: FailureReason::BodyTooLarge,
        duration: Duration::from_millis(500),
        tally: Tally::default(),
    };
    check(
        &target.put(too_large),
        "",
        &report(["0", "0.5", "0", "0", "0", "2.5", "10", "-1"], 3000),
    );
    check(&target.put(Outcome::Gone), "", &report(["stale"; 8], 4000));
}

#[test]
fn series_with_times_of_their_own_are_ended_where_that_is_wanted() {
    let mut target = Target::new();
    target.reserved = vec![("__track_timestamps_staleness__", "true")];
    target.expose("a 1\nt 1 5\nu 1 6\n");
    let about = report(["1", "0.25", "2", "2", "0"], 2000);
    check(
        &target.expose("a 1\nu 1 6\n"),
        "a{}:1@2000",
        &format!("{about} u{{}}:1@6 t{{}}:stale@2000"),
    );
    let about = report(["0", "0.5", "0", "0", "0"], 3000);
    check(
        &target.fail(),
        "a{}:stale@3000",
        &format!("{about} u{{}}:stale@3000"),
    );
}

#[test]
fn a_series_that_begins_to_have_times_of_its_own_is_ended_behind_its_sample() {
    let mut target = Target::new();
    target.expose("a 1\nt 1\n");
    let about = |time_ms| report(["1", "0.25", "2", "2", "0"], time_ms);
    check(
        &target.expose("a 1\nt 2 5\n"),
        "a{}:1@2000",
        &format!("{} t{{}}:2@5 t{{}}:stale@2000", about(2000)),
    );
    check(
        &target.expose("a 1\nt 3 6\n"),
        "a{}:1@3000",
        &format!("{} t{{}}:3@6", about(3000)),
    );
    check(
        &target.expose("a 1\nt 4\n"),
        "a{}:1@4000 t{}:4@4000",
        &about(4000),
    );
    // What lies behind the sample's own time would be refused.
    check(
        &target.expose("a 1\nt 5 5000\n"),
        "a{}:1@5000",
        &format!("{} t{{}}:5@5000", about(5000)),
    );
}

#[test]
fn where_labels_are_honored_a_series_may_have_another_job_or_none() {
    let mut target = Target::new();
    target.reserved = vec![("__honor_labels__", "true")];
    check(
        &target.expose("a{job=\"mine\",x=\"1\"} 1\na{job=\"\"} 2\na 3\n"),
        "a{job=mine,x=1}:1@1000 a{job=NONE}:2@1000 a{}:3@1000",
        &report(["1", "0.25", "3", "3", "3"], 1000),
    );
}

#[test]
fn what_cannot_be_read_writes_nothing() {
    let mut target = Target::new();
    let scrape = Scrape {
        target: Arc::new(Labels::of_target("j", "i")),
        time_ms: 0,
        outcome: Outcome::Exposed {
            body: Body::Text(Text {
                text: "a 1\n<html>\n".into(),
                format: Format::Text,
            }),
            duration: Duration::ZERO,
        },
    };
    let mut out = b"before".to_vec();
    let error = target
        .encoder
        .put(&mut out, "site", &scrape, None, &target.shared)
        .unwrap_err();
    assert_eq!(error.reason(), "bad_syntax");
    assert!(error.to_string().contains("line 2"), "{error}");
    assert_eq!(out, b"before");
}

#[test]
fn the_same_state_and_scrape_give_the_same_bytes() {
    let mut target = Target::new();
    target.expose("a 1\nb 1\n");
    let state = target.state.clone();
    let first = target.expose("b 1\nc 1\n");
    target.state = state;
    target.time_ms -= 1_000;
    assert_eq!(target.expose("b 1\nc 1\n"), first);
}
