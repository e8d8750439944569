//! The crate prometheus-parse beside ours: where both agree, and where it is wrong.

use std::collections::HashMap;

use prometheus_parse::{Scrape, Value};

use super::super::{Entry, Parser};
use super::corpus::{PAGES, page};
use super::render;
use crate::model::Format;

/// A sample as both can be compared: name, labels sorted, bits of the value.
type Flat = (String, Vec<(String, String)>, u64);

/// The same, as a table has it.
type Expected<'e> = (&'e str, &'e [(&'e str, &'e str)], f64);

fn peer_scrape(body: &str) -> Scrape {
    Scrape::parse(body.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

/// Writes bounds and quantiles as numbers, since the crate keeps only those.
fn as_bound(name: &str, value: &str) -> String {
    let number: Option<f64> = match name {
        "le" | "quantile" => value.parse().ok(),
        _ => None,
    };
    number.map_or_else(|| value.to_owned(), |number| format!("{number:?}"))
}

/// Takes its histograms and summaries apart again. It leaves a space before a label's name.
fn peer(body: &str) -> Vec<Flat> {
    let mut samples = Vec::new();
    for sample in peer_scrape(body).samples {
        let mut labels: Vec<(String, String)> = sample
            .labels
            .iter()
            .map(|(name, value)| (name.trim().to_owned(), as_bound(name.trim(), value)))
            .collect();
        labels.sort();
        let mut with = |suffix: &str, extra: Option<(&str, f64)>, value: f64| {
            let mut labels = labels.clone();
            if let Some((name, bound)) = extra {
                labels.push((name.to_owned(), format!("{bound:?}")));
                labels.sort();
            }
            samples.push((
                format!("{}{suffix}", sample.metric),
                labels,
                value.to_bits(),
            ));
        };
        match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => {
                with("", None, value);
            }
            Value::Histogram(counts) => {
                for count in counts {
                    with("_bucket", Some(("le", count.less_than)), count.count);
                }
            }
            Value::Summary(counts) => {
                for count in counts {
                    with("", Some(("quantile", count.quantile)), count.count);
                }
            }
        }
    }
    samples
}

/// Our samples by name.
fn ours(body: &str) -> HashMap<String, Vec<Flat>> {
    let mut samples: HashMap<String, Vec<Flat>> = HashMap::new();
    let mut parser = Parser::new(body.as_bytes(), Format::Text);
    while let Some(entry) = parser.next() {
        let Entry::Sample(sample) = entry.unwrap() else {
            continue;
        };
        let mut labels: Vec<_> = sample
            .labels
            .iter()
            .map(|label| (label.name.to_string(), as_bound(&label.name, &label.value)))
            .collect();
        labels.sort();
        let name = sample.name.to_owned();
        let value = if sample.value.is_nan() {
            f64::NAN
        } else {
            sample.value
        };
        let flat = (name.clone(), labels, value.to_bits());
        samples.entry(name).or_default().push(flat);
    }
    samples
}

#[test]
fn every_sample_of_a_real_page_that_it_reads_is_ours_too() {
    for name in PAGES {
        let page = page(name);
        let ours = ours(&page);
        let theirs = peer(&page);
        assert!(!theirs.is_empty());
        for (name, labels, value) in theirs {
            // It loses labels whose values have `,` or `=`; those it keeps must be ours.
            let is_ours = ours.get(&name).is_some_and(|samples| {
                samples.iter().any(|(_, our_labels, our_value)| {
                    *our_value == value && labels.iter().all(|label| our_labels.contains(label))
                })
            });
            assert!(is_ours, "{name} {labels:?} {}", f64::from_bits(value));
        }
    }
}

/// Compares what each makes of a body; ours as [`render`] writes it.
#[track_caller]
fn differ(body: &str, format: Format, ours: &str, theirs: &[Expected<'_>]) {
    assert_eq!(render(body.as_bytes(), format).unwrap().trim_end(), ours);
    let expected: Vec<Flat> = theirs
        .iter()
        .map(|(name, labels, value)| {
            let labels = labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            ((*name).to_owned(), labels, value.to_bits())
        })
        .collect();
    assert_eq!(peer(body), expected, "{body}");
}

#[test]
fn it_loses_samples() {
    let text = Format::Text;
    differ("job:rate:5m 1", text, "job:rate:5m{} 1.0", &[]);
    differ("foo{} 1", text, "foo{} 1.0", &[]);
    differ("foo{a=\"}\"} 1", text, "foo{a=\"}\",} 1.0", &[]);
    differ("foo {a=\"b\"} 1", text, "foo{a=\"b\",} 1.0", &[]);
    differ("foo{a=\"b\"}1", text, "foo{a=\"b\",} 1.0", &[]);
    differ("{\"foo.bar\"} 1", text, "foo.bar{} 1.0", &[]);
}

#[test]
fn it_loses_labels() {
    let text = Format::Text;
    let lost: &[Expected<'_>] = &[("foo", &[], 1.0)];
    differ("foo{a=\"b=c\"} 1", text, "foo{a=\"b=c\",} 1.0", lost);
    differ(
        "foo{a=\"b,c\"} 1",
        text,
        "foo{a=\"b,c\",} 1.0",
        &[("foo", &[("a", "b")], 1.0)],
    );
}

#[test]
fn it_does_not_undo_escapes() {
    differ(
        r#"foo{a="b\\c\nd"} 1"#,
        Format::Text,
        r#"foo{a="b\\c\nd",} 1.0"#,
        &[("foo", &[("a", r"b\\c\nd")], 1.0)],
    );
    differ(
        r#"foo{a="\""} 1"#,
        Format::Text,
        r#"foo{a="\"",} 1.0"#,
        &[("foo", &[("a", "\\")], 1.0)],
    );
}

#[test]
fn it_does_not_know_openmetrics() {
    // The exemplar is lost, and the timestamp in seconds too.
    let body = "foo_total 1 1.5 # {trace_id=\"x\"} 2\n# EOF\n";
    let ours = "foo_total{} 1.0 @1500 # {trace_id=\"x\",} 2.0";
    differ(body, Format::OpenMetrics, ours, &[("foo_total", &[], 1.0)]);
    let timestamp = peer_scrape(body).samples[0].timestamp;
    assert_ne!(timestamp.timestamp_millis(), 1500);
}

#[test]
fn it_refuses_nothing() {
    #[track_caller]
    fn accepts(body: &str, samples: usize) {
        render(body.as_bytes(), Format::Text).unwrap_err();
        assert_eq!(peer(body).len(), samples, "{body}");
    }
    accepts("<html>\n<p>Not Found</p>\n</html>\n", 0);
    accepts("404 1\n", 1);
    accepts("foo 1 2 3 and so on\n", 1);
    accepts("foo one\nbar 1\n", 1);
    accepts("foo{a=\"1\",a=\"2\"} 1\n", 1);
    accepts("foo{a=\"b\n", 0);
    accepts("foo 1e999\n", 1);
    accepts("1foo 1\n", 1);
}
