//! Native histograms and exemplars as an endpoint gets them.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use super::*;
use crate::exposition::protobuf::{Buckets, CUSTOM_SCHEMA, Counts, Histogram, HistogramExemplar};
use crate::model::{Format, Labels, Tally, Text};
use crate::relabel::Rules;
use crate::sink::remote_write::Besides;
use crate::sink::remote_write::messages::{self, BucketSpan, Count, WriteRequest, ZeroCount};
use crate::sink::remote_write::series::SeriesHasher;
use crate::wire::{Columns, NativeHistogram, Shape, match_body};

/// One target's scrapes one after the other.
struct Target {
    encoder: Encoder,
    shared: Shared,
    state: Option<TargetState>,
    time_ms: i64,
    labels: Arc<Labels>,
    removals: Vec<(&'static str, u64)>,
}

const BOTH: Besides = Besides {
    exemplars: true,
    native_histograms: true,
};

impl Target {
    fn new(besides: Besides) -> Self {
        Self {
            encoder: Encoder::default(),
            shared: Shared {
                hasher: SeriesHasher::new(),
                publisher_label: false,
                external_labels: Labels::default(),
                write_relabel: Rules::default(),
                besides,
            },
            state: None,
            time_ms: 1_000,
            labels: Arc::new(Labels::of_target("j", "i")),
            removals: Vec::new(),
        }
    }

    /// Writes what came of the next scrape; a second passes between two of them.
    fn put(&mut self, outcome: Outcome<Body>) -> WriteRequest {
        let scrape = Scrape {
            target: Arc::clone(&self.labels),
            time_ms: self.time_ms,
            outcome,
        };
        let mut out = Vec::new();
        let before = self.state.as_ref();
        let learned = self
            .encoder
            .learn("site", &scrape, before, &self.shared)
            .unwrap();
        let encoded = self
            .encoder
            .put(&mut out, "site", &scrape, before, &self.shared)
            .unwrap();
        let request = WriteRequest::decode(&out[..]).unwrap();
        assert_eq!(request.timeseries.len(), encoded.series);
        let removed = crate::sink::removed::Removed::default();
        removed.add(&encoded.removals);
        self.removals = removed.counts();
        self.removals.retain(|(_, count)| *count > 0);
        // What is learned is as good as what was sent.
        match if self.time_ms % 2000 == 0 {
            learned
        } else {
            encoded.after
        } {
            After::Same => {}
            After::State(state) => self.state = Some(state),
            After::Gone => self.state = None,
        }
        self.time_ms += 1_000;
        request
    }

    fn expose(&mut self, text: &str, histograms: &[(&str, Vec<u8>)]) -> WriteRequest {
        let format = if text.ends_with("# EOF\n") {
            Format::OpenMetrics
        } else {
            Format::Text
        };
        let shape = Shape::build(Arc::clone(&self.labels), text.as_bytes(), format).unwrap();
        let mut column = shape.template().clone();
        match_body(shape.page(), text.as_bytes(), &mut column).unwrap();
        for (series, message) in histograms {
            column.add_histogram(NativeHistogram {
                series: (*series).into(),
                message: message.clone().into(),
            });
        }
        let shape = Arc::new(shape);
        self.put(Outcome::Exposed {
            body: Body::Columns(Columns { shape, column }),
            duration: Duration::from_millis(250),
        })
    }

    fn expose_text(&mut self, text: &str) -> WriteRequest {
        self.put(Outcome::Exposed {
            body: Body::Text(Text {
                text: text.to_owned().into(),
                format: Format::OpenMetrics,
            }),
            duration: Duration::from_millis(250),
        })
    }

    fn fail(&mut self) -> WriteRequest {
        self.put(Outcome::Failed {
            reason: FailureReason::Refused,
            duration: Duration::from_millis(500),
            tally: Tally::default(),
        })
    }
}

fn name(series: &messages::TimeSeries) -> &str {
    let mut labels = series.labels.iter();
    let name = labels.find(|label| label.name == "__name__").unwrap();
    &name.value
}

/// The histograms of a request: name, time, and `stale` or the number of observations.
#[track_caller]
fn check_histograms(request: &WriteRequest, expected: &[&str]) {
    let series = request.timeseries.iter();
    let found: Vec<String> = series
        .flat_map(|series| {
            let histograms = series.histograms.iter();
            histograms.map(|histogram| {
                let state = match (histogram.sum.to_bits() == STALE.to_bits(), histogram.count) {
                    (true, Some(Count::Whole(0))) => "stale".to_owned(),
                    (true, Some(Count::Float(0.0))) => "stale float".to_owned(),
                    (false, Some(Count::Whole(count))) => count.to_string(),
                    (false, Some(Count::Float(count))) => format!("{count:?}"),
                    other => panic!("{other:?}"),
                };
                format!("{}:{state}@{}", name(series), histogram.timestamp)
            })
        })
        .collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_value(request: &WriteRequest, of: &str, expected: f64) {
    let mut series = request.timeseries.iter();
    let series = series.find(|series| name(series) == of).unwrap();
    assert_eq!(series.samples[0].value.to_bits(), expected.to_bits());
}

/// The exemplars of a request: name, labels, value and time.
#[track_caller]
fn check_exemplars(request: &WriteRequest, expected: &[&str]) {
    let series = request.timeseries.iter();
    let found: Vec<String> = series
        .flat_map(|series| {
            let exemplars = series.exemplars.iter();
            exemplars.map(|exemplar| {
                let labels = exemplar.labels.iter();
                let labels = labels.map(|label| format!("{}={}", label.name, label.value));
                let labels: Vec<_> = labels.collect();
                let (value, time) = (exemplar.value, exemplar.timestamp);
                format!("{}{{{}}}:{value}@{time}", name(series), labels.join(","))
            })
        })
        .collect();
    assert_eq!(found, expected);
}

fn histogram(count: u64) -> Histogram {
    Histogram {
        counts: Counts::Whole(Buckets {
            count,
            zero_count: 1,
            positive: vec![(-1, count - 3), (4, 1)],
            negative: vec![(2, 1)],
        }),
        sum: 12.5,
        schema: 3,
        zero_threshold: 0.001,
        custom_bounds: Vec::new(),
        is_gauge: false,
        timestamp_ms: None,
        created_ms: Some(1),
        exemplars: Vec::new(),
    }
}

fn float(count: f64) -> Histogram {
    Histogram {
        counts: Counts::Float(Buckets {
            count,
            zero_count: 0.5,
            positive: vec![(0, 1.5)],
            negative: vec![(-3, 0.25), (-2, 0.25)],
        }),
        is_gauge: true,
        ..histogram(9)
    }
}

#[test]
fn a_generated_decoder_reads_the_same() {
    let mut target = Target::new(BOTH);
    let custom = Histogram {
        counts: Counts::Whole(Buckets {
            count: 4,
            zero_count: 0,
            positive: vec![(1, 3), (2, 1)],
            negative: Vec::new(),
        }),
        schema: CUSTOM_SCHEMA,
        zero_threshold: 0.0,
        custom_bounds: vec![0.5, 1.0],
        timestamp_ms: Some(-7),
        ..histogram(9)
    };
    let request = target.expose(
        "a 1\n",
        &[
            ("h", histogram(9).encode()),
            ("{\"my.float\"}", float(2.5).encode()),
            ("custom", custom.encode()),
        ],
    );
    let histograms: Vec<_> = request
        .timeseries
        .iter()
        .filter(|series| !series.histograms.is_empty())
        .collect();
    let [whole, float, custom] = histograms[..] else {
        panic!("{histograms:?}");
    };
    let span = |offset, length| BucketSpan { offset, length };
    let expected = messages::Histogram {
        count: Some(Count::Whole(9)),
        sum: 12.5,
        schema: 3,
        zero_threshold: 0.001,
        zero_count: Some(ZeroCount::Whole(1)),
        negative_spans: vec![span(2, 1)],
        negative_deltas: vec![1],
        positive_spans: vec![span(-1, 1), span(4, 1)],
        positive_deltas: vec![6, -5],
        timestamp: 1000,
        ..messages::Histogram::default()
    };
    assert_eq!(whole.histograms, std::slice::from_ref(&expected));
    let of_doubles = messages::Histogram {
        count: Some(Count::Float(2.5)),
        zero_count: Some(ZeroCount::Float(0.5)),
        negative_spans: vec![span(-3, 2)],
        negative_deltas: vec![],
        negative_counts: vec![0.25, 0.25],
        positive_spans: vec![span(0, 1)],
        positive_deltas: vec![],
        positive_counts: vec![1.5],
        reset_hint: 3,
        ..expected.clone()
    };
    assert_eq!(float.histograms, [of_doubles]);
    let with_bounds = messages::Histogram {
        count: Some(Count::Whole(4)),
        zero_count: Some(ZeroCount::Whole(0)),
        schema: CUSTOM_SCHEMA,
        zero_threshold: 0.0,
        negative_spans: vec![],
        negative_deltas: vec![],
        positive_spans: vec![span(1, 2)],
        positive_deltas: vec![3, -2],
        custom_values: vec![0.5, 1.0],
        timestamp: -7,
        ..expected
    };
    assert_eq!(custom.histograms, [with_bounds]);
    check_value(&request, "scrape_samples_scraped", 4.0);
    check_value(&request, "scrape_series_added", 4.0);
    assert_eq!(request.timeseries.last(), Some(custom), "its own time");
}

#[test]
fn a_histogram_has_the_labels_of_its_target() {
    let mut target = Target::new(BOTH);
    let series = "h{x=\"y\",job=\"mine\"}";
    let request = target.expose("", &[(series, histogram(9).encode())]);
    let labels = request.timeseries[0].labels.iter();
    let labels: Vec<_> = labels.map(|label| (&*label.name, &*label.value)).collect();
    let expected = [
        ("__name__", "h"),
        ("exported_job", "mine"),
        ("instance", "i"),
        ("job", "j"),
        ("x", "y"),
    ];
    assert_eq!(labels, expected);
}

#[test]
fn a_histogram_that_is_gone_is_ended() {
    let mut target = Target::new(BOTH);
    let (whole, doubles) = (histogram(9).encode(), float(2.5).encode());
    let timed = Histogram {
        timestamp_ms: Some(77),
        ..histogram(9)
    };
    let timed = timed.encode();
    let all = [("h", whole), ("f", doubles), ("t", timed)];
    let request = target.expose("a 1\n", &all);
    check_histograms(&request, &["h:9@1000", "f:2.5@1000", "t:9@77"]);
    let request = target.expose("a 1\n", &all);
    check_histograms(&request, &["h:9@2000", "f:2.5@2000", "t:9@77"]);
    check_value(&request, "scrape_series_added", 0.0);
    // Another order, and one less.
    let request = target.expose("a 1\n", &[all[2].clone(), all[0].clone()]);
    check_histograms(&request, &["h:9@3000", "f:stale float@3000", "t:9@77"]);
    let request = target.expose("a 1\n", &[]);
    check_histograms(&request, &["h:stale@4000"]);
    check_histograms(&target.expose("a 1\n", &[]), &[]);

    target.expose("", &all[..2]);
    let request = target.fail();
    check_histograms(&request, &["h:stale@7000", "f:stale float@7000"]);
    check_histograms(&target.fail(), &[]);
    let request = target.expose("", &all[..1]);
    check_histograms(&request, &["h:9@9000"]);
    check_value(&request, "scrape_series_added", 0.0);
    let request = target.put(Outcome::Gone);
    check_histograms(&request, &["h:stale@10000"]);
}

#[test]
fn a_histogram_with_times_of_its_own_is_ended_where_that_is_wanted() {
    let mut target = Target::new(BOTH);
    target.labels = Arc::new(Labels::new([
        ("job", "j"),
        ("instance", "i"),
        ("__track_timestamps_staleness__", "true"),
    ]));
    let timed = Histogram {
        timestamp_ms: Some(77),
        ..histogram(9)
    };
    target.expose("", &[("t", timed.encode())]);
    check_histograms(&target.expose("", &[]), &["t:stale@2000"]);
}

#[test]
fn a_histogram_that_begins_to_have_times_of_its_own_is_ended() {
    let mut target = Target::new(BOTH);
    let timed = Histogram {
        timestamp_ms: Some(77),
        ..histogram(9)
    };
    target.expose("", &[("t", histogram(9).encode())]);
    let request = target.expose("", &[("t", timed.encode())]);
    check_histograms(&request, &["t:9@77", "t:stale@2000"]);
    check_value(&request, "scrape_series_added", 0.0);
    check_histograms(&target.expose("", &[]), &[]);
}

#[test]
fn what_is_not_wanted_is_counted_and_nothing_else() {
    let mut target = Target::new(Besides::default());
    let text = "a 1 # {x=\"y\"} 1\n# EOF\n";
    let histograms = [("h", histogram(9).encode())];
    for added in [2.0, 0.0] {
        let request = target.expose(text, &histograms);
        check_histograms(&request, &[]);
        check_exemplars(&request, &[]);
        check_value(&request, "scrape_samples_scraped", 2.0);
        check_value(&request, "scrape_series_added", added);
        assert_eq!(target.removals, [("native_histogram", 1), ("exemplar", 1)]);
    }
    check_histograms(&target.expose(text, &[]), &[]);
    target.expose_text(text);
    assert_eq!(target.removals, [("exemplar", 1)]);
    check_histograms(&target.fail(), &[]);
}

#[test]
fn what_cannot_be_read_or_stands_twice_is_counted() {
    let mut target = Target::new(BOTH);
    let good = histogram(9).encode();
    let request = target.expose(
        "",
        &[
            ("h{a=\"b\",c=\"d\"}", good.clone()),
            ("h{c=\"d\",a=\"b\"}", good.clone()),
            ("h{", good.clone()),
            ("h 5", good.clone()),
            ("# h", good.clone()),
            ("damaged", b"\xff".to_vec()),
            ("unknown_schema", vec![0x28, 99, 0x0a, 0]),
        ],
    );
    check_histograms(&request, &["h:9@1000"]);
    assert_eq!(target.removals, [("duplicate", 1), ("bad_histogram", 5)]);
}

#[test]
fn an_exemplar_is_sent_when_it_is_new() {
    let mut target = Target::new(BOTH);
    let body = |exemplar: &str| format!("a 1\nb 2 5 # {exemplar}\nc 3 # {{}} 7\n# EOF\n");
    let first = "{z=\"1\",a=\"\\\"\"} 0.5";
    let request = target.expose(&body(first), &[]);
    let expected = ["c{}:7@1000", "b{a=\",z=1}:0.5@5000"];
    check_exemplars(&request, &expected);
    for series in request.timeseries.iter().rev().take(1) {
        assert_eq!(name(series), "b", "exemplars stand behind the sample");
    }
    check_exemplars(&target.expose(&body(first), &[]), &[]);
    // Whichever way it comes.
    check_exemplars(&target.expose_text(&body(first)), &[]);
    let second = "{z=\"1\",a=\"\\\"\"} 0.5 1700000000.125";
    let request = target.expose_text(&body(second));
    check_exemplars(&request, &["b{a=\",z=1}:0.5@1700000000125"]);
    check_exemplars(&target.expose(&body(second), &[]), &[]);
    target.fail();
    check_exemplars(&target.expose(&body(second), &[]), &[]);
}

#[test]
fn exemplars_of_native_histograms_go_with_them() {
    let mut target = Target::new(BOTH);
    let exemplar = |id: &str, timestamp_ms| HistogramExemplar {
        labels: vec![("trace_id".to_owned(), id.to_owned())],
        value: 0.5,
        timestamp_ms,
    };
    let with = |exemplars| {
        let histogram = Histogram {
            exemplars,
            ..histogram(9)
        };
        histogram.encode()
    };
    let first = with(vec![exemplar("a", 5), exemplar("b", 6)]);
    let request = target.expose("", &[("h", first.clone())]);
    let expected = ["h{trace_id=a}:0.5@5", "h{trace_id=b}:0.5@6"];
    check_exemplars(&request, &expected);
    check_exemplars(&target.expose("", &[("h", first)]), &[]);
    let second = with(vec![exemplar("b", 6), exemplar("c", 7)]);
    let request = target.expose("", &[("h", second)]);
    check_exemplars(&request, &["h{trace_id=c}:0.5@7"]);
}

#[test]
fn bounds_are_spelled_as_prometheus_stores_them() {
    #[track_caller]
    fn check(request: &WriteRequest, expected: &str) {
        let labels = request.timeseries.iter().flat_map(|series| &series.labels);
        let bounds = labels.filter(|label| label.name == "le" || label.name == "quantile");
        let bounds: Vec<_> = bounds.map(|label| &*label.value).collect();
        assert_eq!(bounds.join(" "), expected);
    }
    let mut target = Target::new(BOTH);
    let first = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# TYPE g gauge\ng{le=\"1\"} 1\n";
    check(&target.expose(first, &[]), "1.0 1");
    let second = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 1\n\
        # TYPE s summary\ns{quantile=\"1\"} 1\ns{le=\"1\"} 2\n";
    check(&target.expose(second, &[]), "1.0 2.0 1.0 1 1");
    let third = format!("{second}# EOF\n");
    check(&target.expose_text(&third), "1.0 2.0 1.0 1");
    // Where the poller has relabelled there is nothing left to do.
    let mut target = Target::new(BOTH);
    target.labels = Arc::new(Labels::new([("__metric_relabel__", "true")]));
    check(&target.expose(second, &[]), "1 2 1 1");
    check(&target.expose_text(&third), "1 2 1 1");
}
