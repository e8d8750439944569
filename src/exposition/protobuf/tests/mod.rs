//! Bodies of generated messages: what they say as text, and as native histograms.

mod native;
mod refused;

use proptest::prelude::*;
use prost::Message as _;

use super::client_model::{
    Bucket, BucketSpan, COUNTER, Counter, Exemplar, GAUGE, GAUGE_HISTOGRAM, HISTOGRAM, LabelPair,
    MetricFamily, Quantile, SUMMARY, Simple, Summary, Timestamp, UNTYPED, body, family, metric,
    native_histogram,
};
use super::*;
use crate::exposition::check as check_text;

type RawHistogram = client_model::Histogram;
type RawMetric = client_model::Metric;

const OPTIONS: Options = Options {
    native_histograms: true,
    classic_histograms: false,
    honor_timestamps: true,
    last: None,
    text_limit: 1 << 20,
};

#[track_caller]
fn check_with(families: &[MetricFamily], options: &Options, format: Format, expected: &str) {
    let read = read(&body(families), options).unwrap();
    let text = String::from_utf8(read.text).unwrap();
    assert_eq!((read.format, &*text), (format, expected));
    check_text(text.as_bytes(), format).unwrap();
}

#[track_caller]
fn check(families: &[MetricFamily], expected: &str) {
    check_with(families, &OPTIONS, Format::Text, expected);
}

#[track_caller]
fn check_openmetrics(families: &[MetricFamily], expected: &str) {
    check_with(families, &OPTIONS, Format::OpenMetrics, expected);
}

#[track_caller]
fn check_refused(body: &[u8], expected: &str) {
    let error = read(body, &OPTIONS).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

fn gauge(value: f64, labels: &[(&str, &str)]) -> RawMetric {
    RawMetric {
        gauge: Some(Simple { value: Some(value) }),
        ..metric(labels)
    }
}

fn of_histogram(histogram: RawHistogram) -> RawMetric {
    RawMetric {
        histogram: Some(histogram),
        ..metric(&[])
    }
}

fn exemplar(id: &str, value: f64, seconds: Option<i64>) -> Exemplar {
    Exemplar {
        label: metric(&[("trace_id", id)]).label,
        value: Some(value),
        timestamp: seconds.map(|seconds| Timestamp {
            seconds,
            nanos: 250_000_000,
        }),
    }
}

fn bucket(count: u64, bound: f64) -> Bucket {
    Bucket {
        cumulative_count: Some(count),
        upper_bound: Some(bound),
        ..Bucket::default()
    }
}

fn classic() -> RawHistogram {
    RawHistogram {
        sample_count: Some(9),
        sample_sum: Some(12.5),
        bucket: vec![bucket(3, 0.5), bucket(7, 1.0), bucket(8, 1e6)],
        ..RawHistogram::default()
    }
}

#[test]
fn nothing_is_a_body_too() {
    check(&[], "");
    check(&[family("a", GAUGE, vec![])], "");
}

#[test]
fn numbers_keep_their_names_labels_and_times() {
    let mut counter = metric(&[("b", "x"), ("a", "\\ \" \n ü"), ("c.d", "")]);
    counter.counter = Some(Counter {
        value: Some(5.0),
        ..Counter::default()
    });
    counter.timestamp_ms = Some(1_700_000_000_123);
    let mut untyped = metric(&[]);
    untyped.untyped = Some(Simple { value: Some(-0.0) });
    let mut families = [
        family("requests_total", COUNTER, vec![counter]),
        family(
            "my metric",
            GAUGE,
            vec![gauge(1e300, &[]), gauge(0.1, &[("x", "1")])],
        ),
        family("u", UNTYPED, vec![untyped, metric(&[("x", "NaN")])]),
        family(
            "special",
            GAUGE,
            vec![
                gauge(f64::NAN, &[("x", "1")]),
                gauge(f64::INFINITY, &[("x", "2")]),
                gauge(f64::NEG_INFINITY, &[("x", "3")]),
            ],
        ),
    ];
    families[0].help = Some("So \\ many\n\"requests\".".to_owned());
    let text = "# HELP requests_total So \\\\ many\\n\"requests\".\n\
        # TYPE requests_total counter\n\
        requests_total{b=\"x\",a=\"\\\\ \\\" \\n ü\",\"c.d\"=\"\"} 5 1700000000123\n\
        # TYPE \"my metric\" gauge\n{\"my metric\"} 1e300\n{\"my metric\",x=\"1\"} 0.1\n\
        # TYPE u untyped\nu -0\nu{x=\"NaN\"} 0\n\
        # TYPE special gauge\nspecial{x=\"1\"} NaN\nspecial{x=\"2\"} +Inf\nspecial{x=\"3\"} -Inf\n";
    check(&families, text);
    let options = Options {
        honor_timestamps: false,
        ..OPTIONS
    };
    let without = text.replace(" 1700000000123", "");
    check_with(&families, &options, Format::Text, &without);
    let options = Options {
        last: Some(Format::OpenMetrics),
        ..OPTIONS
    };
    let openmetrics = text.replace("1700000000123", "1700000000.1235");
    let openmetrics = openmetrics.replace("untyped", "unknown") + "# EOF\n";
    check_with(&families, &options, Format::OpenMetrics, &openmetrics);
}

#[test]
fn histograms_and_summaries_have_their_parts() {
    let mut summary = metric(&[("x", "y")]);
    summary.summary = Some(Summary {
        sample_count: Some(7),
        sample_sum: Some(2.5),
        quantile: [(0.5, 0.25), (1.0, 2.0), (0.999, f64::NAN)]
            .map(|(quantile, value)| Quantile {
                quantile: Some(quantile),
                value: Some(value),
            })
            .to_vec(),
        ..Summary::default()
    });
    let mut with_last = classic();
    with_last.bucket.push(bucket(10, f64::INFINITY));
    with_last.bucket.push(bucket(11, 7.0));
    let mut float = classic();
    float.sample_count_float = Some(9.5);
    float.bucket[0].cumulative_count_float = Some(3.25);
    check(
        &[
            family("s", SUMMARY, vec![summary, metric(&[])]),
            family("h", HISTOGRAM, vec![of_histogram(classic())]),
            family("last", HISTOGRAM, vec![of_histogram(with_last)]),
            family("float", HISTOGRAM, vec![of_histogram(float)]),
            family("no", HISTOGRAM, vec![metric(&[])]),
        ],
        "# TYPE s summary\ns{x=\"y\",quantile=\"0.5\"} 0.25\ns{x=\"y\",quantile=\"1.0\"} 2\n\
         s{x=\"y\",quantile=\"0.999\"} NaN\ns_sum{x=\"y\"} 2.5\ns_count{x=\"y\"} 7\n\
         s_sum 0\ns_count 0\n\
         # TYPE h histogram\nh_bucket{le=\"0.5\"} 3\nh_bucket{le=\"1.0\"} 7\n\
         h_bucket{le=\"1e+06\"} 8\nh_bucket{le=\"+Inf\"} 9\nh_sum 12.5\nh_count 9\n\
         # TYPE last histogram\nlast_bucket{le=\"0.5\"} 3\nlast_bucket{le=\"1.0\"} 7\n\
         last_bucket{le=\"1e+06\"} 8\nlast_bucket{le=\"+Inf\"} 10\nlast_sum 12.5\nlast_count 9\n\
         # TYPE float histogram\nfloat_bucket{le=\"0.5\"} 3.25\nfloat_bucket{le=\"1.0\"} 7\n\
         float_bucket{le=\"1e+06\"} 8\nfloat_bucket{le=\"+Inf\"} 9.5\nfloat_sum 12.5\n\
         float_count 9.5\n\
         # TYPE no histogram\nno_bucket{le=\"+Inf\"} 0\nno_sum 0\nno_count 0\n",
    );
}

#[test]
fn what_only_openmetrics_has_is_written_as_openmetrics() {
    let mut counter = metric(&[]);
    counter.counter = Some(Counter {
        value: Some(5.0),
        exemplar: Some(exemplar("a\"b", 0.5, Some(1_700_000_000))),
        created_timestamp: Some(Timestamp::default()),
    });
    check_openmetrics(
        &[
            family("a", GAUGE, vec![gauge(1.0, &[])]),
            family("c_total", COUNTER, vec![counter]),
        ],
        "# TYPE a gauge\na 1\n# TYPE c_total counter\n\
         c_total 5 # {trace_id=\"a\\\"b\"} 0.5 1700000000.2505\n# EOF\n",
    );
    let mut with_exemplar = classic();
    with_exemplar.bucket[1].exemplar = Some(exemplar("x", 0.75, None));
    check_openmetrics(
        &[family("h", HISTOGRAM, vec![of_histogram(with_exemplar)])],
        "# TYPE h histogram\nh_bucket{le=\"0.5\"} 3\nh_bucket{le=\"1.0\"} 7 # {trace_id=\"x\"} 0.75\n\
         h_bucket{le=\"1e+06\"} 8\nh_bucket{le=\"+Inf\"} 9\nh_sum 12.5\nh_count 9\n# EOF\n",
    );
    let mut early = gauge(1.0, &[]);
    early.timestamp_ms = Some(-1);
    check_openmetrics(
        &[family("a", GAUGE, vec![early])],
        "# TYPE a gauge\na 1 -0.0015\n# EOF\n",
    );
    let mut with_unit = family("a_seconds", GAUGE, vec![gauge(1.0, &[])]);
    with_unit.unit = Some("seconds".to_owned());
    check_openmetrics(
        std::slice::from_ref(&with_unit),
        "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1\n# EOF\n",
    );
    with_unit.unit = Some("bytes".to_owned());
    check(&[with_unit], "# TYPE a_seconds gauge\na_seconds 1\n");
    check_openmetrics(
        &[family("g", GAUGE_HISTOGRAM, vec![metric(&[])])],
        "# TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 0\ng_sum 0\ng_count 0\n# EOF\n",
    );
}
