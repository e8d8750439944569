//! Values and the text that says the same give the same bytes, whatever came before.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::model::Labels;
use crate::model::{FailureReason, Format, Note, Tally, Text};
use crate::relabel::{Action, Rule, RuleSettings, Rules};
use crate::sink::remote_write::Besides;
use crate::sink::remote_write::messages::WriteRequest;
use crate::sink::remote_write::series::SeriesHasher;
use crate::wire::{Column, Columns, Shape, ShapeStore, Value, match_body};

/// A target that wants everything.
const RESERVED: [(&str, &str); 6] = [
    ("job", "j"),
    ("instance", "i"),
    ("__honor_labels__", "true"),
    ("__track_timestamps_staleness__", "true"),
    ("__scrape_timeout__", "10"),
    ("__scrape_sample_limit__", "100"),
];

/// Series that random targets expose; the first of them get equal labels in pairs.
fn key(number: usize) -> String {
    match number {
        0 => "a".to_owned(),
        1 => "a{x=\"\"}".to_owned(),
        2 => "b{x=\"1\",y=\"2\"}".to_owned(),
        3 => "b{y=\"2\",x=\"1\"}".to_owned(),
        4 => "c{job=\"mine\"}".to_owned(),
        5 => "c{exported_job=\"mine\"}".to_owned(),
        6 => "up".to_owned(),
        7 => "scrape_series_added{instance=\"x\"}".to_owned(),
        9 => "__scrape_samples_scraped__".to_owned(),
        10 => "__scrape_body_size_bytes__".to_owned(),
        11 => "d{job=\"\",instance=\"other\"}".to_owned(),
        12 => "__scrape_samples_scraped__{a=\"b\"}".to_owned(),
        8 => format!("long{{l=\"{}\"}}", "ä\\n".repeat(100)),
        _ => format!("s_bucket{{n=\"{number}\",le=\"1\"}}"),
    }
}

const KEYS: usize = 200;

/// The first key that no other has the labels of.
const DISTINCT: usize = 6;

const VALUES: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    -17.0,
    0.1,
    1.7e9,
    123_456.789,
    1e30,
    5e-324,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    STALE,
    f64::from_bits(0xfff8_0000_0000_dead),
];

/// Times of samples' own: usual, short, long, and one that no text can spell.
const TIMES: [i64; 5] = [1_700_000_000_123, 0, 77, 1 << 43, -5];

/// Exemplars of some series.
const EXEMPLARS: [&str; 4] = [
    "",
    " # {trace_id=\"a\"} 1",
    " # {b=\"1\",a=\"x\\\"y\"} 1.5 1700000000.125",
    " # {} NaN -0.5",
];

/// What the endpoint gets.
const BOTH: Besides = Besides {
    exemplars: true,
    native_histograms: true,
};

/// A series, its value and its own time, by their places in the lists.
type Sample = (usize, usize, Option<usize>);

#[derive(Debug, Clone)]
enum Step {
    /// A text arrives.
    Text(Vec<Sample>),
    /// Another shape becomes the target's, and values of all its series arrive.
    Shape(Format, Vec<Sample>),
    /// A shape of before becomes the target's again.
    Back(usize),
    /// The same page comes once more in memory of its own.
    Anew,
    /// Values arrive; those that are `None` are absent.
    Columns(Vec<Option<usize>>),
    /// The same again.
    Same,
    Failed,
    Gone,
    Noted(Note),
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let key = prop_oneof![1 => 0..DISTINCT, 60 => DISTINCT..KEYS];
    let time = prop_oneof![9 => Just(None), 1 => (0..4_usize).prop_map(Some)];
    (key, 0..VALUES.len(), time)
}

fn any_step() -> impl Strategy<Value = Step> {
    let samples = || proptest::collection::vec(any_sample(), 0..120);
    let format = prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)];
    let value = || prop_oneof![1 => Just(None), 9 => (0..VALUES.len()).prop_map(Some)];
    prop_oneof![
        2 => samples().prop_map(Step::Text),
        3 => (format, samples()).prop_map(|(format, samples)| Step::Shape(format, samples)),
        1 => (0..4_usize).prop_map(Step::Back),
        1 => Just(Step::Anew),
        6 => proptest::collection::vec(value(), 120).prop_map(Step::Columns),
        2 => Just(Step::Same),
        1 => Just(Step::Failed),
        1 => Just(Step::Gone),
        1 => Just(Step::Noted(Note::Expired)),
        1 => Just(Step::Noted(Note::Silent)),
    ]
}

fn body_of(format: Format, samples: &[Sample]) -> String {
    let lines = samples.iter().map(|(series, value, time)| {
        let value = match VALUES[*value] {
            value if value.is_nan() => "NaN".to_owned(),
            value if value.is_infinite() => format!("{value:+}"),
            value => value.to_string(),
        };
        let time = time.map(|time| match format {
            Format::Text => format!(" {}", TIMES[time]),
            Format::OpenMetrics => format!(" {}.{:03}5", TIMES[time] / 1000, TIMES[time] % 1000),
        });
        let exemplar = match format {
            Format::OpenMetrics => EXEMPLARS[series % EXEMPLARS.len()],
            Format::Text => "",
        };
        let time = time.unwrap_or_default();
        format!("{} {value}{time}{exemplar}\n", key(*series))
    });
    let end = match format {
        Format::Text => "",
        Format::OpenMetrics => "# EOF\n",
    };
    lines.collect::<String>() + end
}

/// One target's scrapes as they come, and the same as texts.
struct Pair {
    fast: (Encoder, Option<TargetState>),
    slow: (Encoder, Option<TargetState>),
    shared: Shared,
    shapes: ShapeStore,
    known: Vec<Arc<Shape>>,
    column: Column,
    time_ms: i64,
    target: Arc<Labels>,
}

impl Pair {
    fn new(time_ms: i64) -> Self {
        Self {
            target: Arc::new(Labels::of_target("j", "i")),
            fast: (Encoder::default(), None),
            slow: (Encoder::default(), None),
            shared: Shared {
                hasher: SeriesHasher::new(),
                publisher_label: true,
                external_labels: Labels::new([("region", "eu")]),
                write_relabel: Rules::default(),
                besides: BOTH,
            },
            shapes: ShapeStore::default(),
            known: Vec::new(),
            column: Column::default(),
            time_ms,
        }
    }

    /// Turns a step into what came of a scrape; `None` if there is none.
    fn outcome(&mut self, step: Step) -> Option<Outcome<Body>> {
        let text = |text: String| {
            Body::Text(Text {
                text: text.into(),
                format: Format::Text,
            })
        };
        let body = match step {
            Step::Text(samples) => text(body_of(Format::Text, &samples)),
            Step::Shape(format, mut samples) => {
                let mut seen = std::collections::HashSet::new();
                samples.retain(|(series, ..)| seen.insert(*series));
                let body = body_of(format, &samples);
                let shape = self.build(&body, format);
                self.known.push(self.shapes.insert(shape).unwrap());
                let shape = self.known.last().unwrap();
                match_body(shape.page(), body.as_bytes(), &mut self.column).unwrap();
                self.columns()?
            }
            Step::Back(ago) => {
                let at = self.known.len().checked_sub(ago + 1)?;
                let shape = self.known.remove(at);
                self.column = shape.template().clone();
                self.known.push(shape);
                self.columns()?
            }
            Step::Anew => {
                let last = self.known.pop()?;
                let text = last.template().clone();
                let mut body = Vec::new();
                last.write_text(&text, &mut body);
                let body = String::from_utf8(body).unwrap();
                let again = self.build(&body, last.page().format());
                self.known.push(Arc::new(again));
                self.columns()?
            }
            Step::Columns(values) => {
                let page = Arc::clone(self.known.last()?.page());
                self.column.clear(page.len(), page.has_times());
                for (at, value) in values.iter().enumerate().take(page.len()) {
                    if let Some(value) = value {
                        self.column.set(at, Value::new(VALUES[*value]));
                        // One in some hundred is early.
                        let time = if *value == 0 && at == 0 { 4 } else { value % 4 };
                        self.column.set_time(at, TIMES[time]);
                    }
                }
                self.columns()?
            }
            Step::Same => self.columns()?,
            Step::Failed => {
                return Some(Outcome::Failed {
                    reason: FailureReason::Refused,
                    duration: Duration::from_millis(500),
                    tally: Tally::default(),
                });
            }
            Step::Gone => return Some(Outcome::Gone),
            Step::Noted(note) => return Some(Outcome::Noted(note)),
        };
        Some(Outcome::Exposed {
            body,
            duration: Duration::from_millis(250),
        })
    }

    fn build(&self, body: &str, format: Format) -> Shape {
        Shape::build(Arc::clone(&self.target), body.as_bytes(), format).unwrap()
    }

    fn columns(&self) -> Option<Body> {
        Some(Body::Columns(Columns {
            shape: Arc::clone(self.known.last()?),
            column: self.column.clone(),
        }))
    }

    /// Writes a scrape both ways; what is `primed` is learned only.
    #[track_caller]
    fn check(&mut self, outcome: Outcome<Body>, is_primed: bool) {
        self.time_ms += 1000;
        let scrape = |outcome| Scrape {
            target: Arc::clone(&self.target),
            time_ms: self.time_ms,
            outcome,
        };
        let as_text = match outcome.clone() {
            Outcome::Exposed { body, duration } => Outcome::Exposed {
                body: Body::Text(body.to_text()),
                duration,
            },
            other => other,
        };
        let (encoder, state) = &mut self.fast;
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        let (as_it_is, as_text) = (scrape(outcome), scrape(as_text));
        let encoded = encoder.put(&mut fast, "site", &as_it_is, state.as_ref(), &self.shared);
        let mut again = Vec::new();
        let retried = encoder.put(&mut again, "site", &as_it_is, state.as_ref(), &self.shared);
        assert_eq!(fast, again, "a second try");
        drop(retried);
        let learned = encoder.learn("site", &as_it_is, state.as_ref(), &self.shared);
        let (encoder, slow_state) = &mut self.slow;
        let slow_encoded = encoder.put(
            &mut slow,
            "site",
            &as_text,
            slow_state.as_ref(),
            &self.shared,
        );
        let show = |bytes: &[u8]| WriteRequest::decode(bytes).unwrap();
        if fast != slow {
            assert_eq!(show(&fast), show(&slow));
        }
        assert_eq!(fast, slow);
        match (encoded, slow_encoded) {
            (Ok(fast), Ok(slow)) => {
                assert_eq!(fast.series, slow.series);
                assert_eq!(fast.timed_len, slow.timed_len);
                assert_eq!(fast.removals, slow.removals);
                let after = if is_primed {
                    learned.unwrap()
                } else {
                    fast.after
                };
                commit(state, after);
                commit(slow_state, slow.after);
            }
            (Err(fast), Err(slow)) => assert_eq!(fast.to_string(), slow.to_string()),
            (fast, slow) => panic!("{fast:?} is not {slow:?}"),
        }
    }
}

/// Drops some series, and makes some pairs of others equal.
fn write_relabel() -> Rules {
    let rule = |action, regex: &str, replacement: &str| {
        Rule::new(RuleSettings {
            action,
            source_labels: vec!["n".to_owned()],
            regex: Some(regex.to_owned()),
            target_label: "n".to_owned(),
            replacement: replacement.to_owned(),
            ..RuleSettings::default()
        })
    };
    Rules::new(vec![
        rule(Action::Drop, "1?[0-9]3|4.", "$1").unwrap(),
        rule(Action::Replace, "(17[0-9])[0-9]?", "$1").unwrap(),
        rule(Action::Replace, "1[89]([0-9])", "15$1").unwrap(),
    ])
}

fn commit(state: &mut Option<TargetState>, after: After) {
    match after {
        After::Same => {}
        After::State(after) => *state = Some(after),
        After::Gone => *state = None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 5000 }))]

    #[test]
    fn values_are_written_as_their_text_is(
        is_usual: bool,
        is_reserved: bool,
        is_relabeled: bool,
        steps in proptest::collection::vec((any_step(), proptest::bool::weighted(0.2)), 1..24),
    ) {
        let mut pair = Pair::new(if is_usual { 1_700_000_000_000 } else { 0 });
        if is_reserved {
            pair.target = Arc::new(Labels::new(RESERVED));
        }
        if is_relabeled {
            pair.shared.write_relabel = write_relabel();
        }
        for (step, is_primed) in steps {
            if let Some(outcome) = pair.outcome(step) {
                pair.check(outcome, is_primed);
            }
        }
    }
}

#[test]
fn an_unchanged_scrape_shares_what_is_kept() {
    let mut pair = Pair::new(0);
    let samples: Vec<Sample> = (DISTINCT..DISTINCT + 70)
        .map(|key| (key, 2, None))
        .collect();
    let steps = [
        Step::Shape(Format::Text, samples),
        Step::Same,
        Step::Columns(vec![Some(3); 70]),
    ];
    let mut kept = Vec::new();
    for step in steps {
        let outcome = pair.outcome(step).unwrap();
        pair.check(outcome, false);
        let Some(Last::Columns(series, presence)) =
            pair.fast.1.as_ref().map(|state| state.last.clone())
        else {
            panic!("{:?}", pair.fast.1);
        };
        kept.push((series, presence));
    }
    for (series, presence) in &kept {
        assert!(Arc::ptr_eq(series, &kept[0].0));
        assert!(presence.is_same(&kept[0].1));
    }
}

#[test]
fn series_with_equal_labels_go_the_way_of_a_text() {
    let mut pair = Pair::new(0);
    let samples: Vec<Sample> = vec![(0, 2, None), (1, 3, None), (9, 2, None)];
    for step in [
        Step::Shape(Format::Text, samples),
        Step::Columns(vec![None, Some(2), Some(2)]),
        Step::Columns(vec![Some(2), Some(3), None]),
    ] {
        let outcome = pair.outcome(step).unwrap();
        pair.check(outcome, false);
        let last = pair.fast.1.as_ref().map(|state| &state.last);
        assert!(matches!(last, Some(Last::Colliding(..))), "{last:?}");
    }
}
