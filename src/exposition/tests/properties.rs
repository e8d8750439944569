//! What holds for any bytes, and for any samples.

use std::fmt::Write;

use proptest::prelude::*;

use super::super::{
    Families, Names, Parser, Timestamps, WriteOptions, check, format_of, write_text,
};
use crate::model::Format;

const KEEP_ALL: WriteOptions = WriteOptions {
    timestamps: Timestamps::Keep,
    names: Names::Quote,
};

/// Text that is mostly made of what the formats give a meaning to.
fn near_exposition() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "a",
        "b_total",
        "_bucket",
        "{",
        "}",
        "\"",
        "\\",
        "\n",
        " ",
        "\t",
        ",",
        "=",
        "#",
        "# ",
        "# HELP ",
        "# TYPE ",
        "# UNIT ",
        "# EOF",
        "# EOF\n",
        "counter",
        "histogram",
        "1",
        "-2.5",
        "NaN",
        "+Inf",
        "1e3",
        "le=\"1\"",
        " # {",
        "ü",
        "\0",
        "\r",
        "{\"x y\"",
        "\\n",
        "_",
        ".",
    ]);
    let bytes = prop_oneof![
        8 => pieces.prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(bytes, 0..40).prop_map(|parts| parts.concat())
}

/// A sample as the text format has it: name, labels, value, timestamp.
type Flat<V> = (String, Vec<(String, String)>, V, Option<i64>);

fn sample() -> impl Strategy<Value = Flat<f64>> {
    let name = prop_oneof!["[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", "[^\0]{1,6}"];
    let label = ("([a-zA-Z_][a-zA-Z0-9_]{0,4}|[^\0]{1,6})", ".*");
    let labels =
        prop::collection::vec(label, 0..4).prop_map(|mut labels: Vec<(String, String)>| {
            labels.sort();
            labels.dedup_by(|a, b| a.0 == b.0);
            labels.retain(|(name, _)| name != "__name__");
            labels
        });
    (name, labels, any::<f64>(), prop::option::of(0..=i64::MAX))
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    format!("\"{}\"", text.replace('"', "\\\""))
}

/// Reads samples in an order of their own, with values as bits.
fn samples(body: &str) -> Vec<Flat<u64>> {
    let families = Families::parse(body.as_bytes(), Format::Text).unwrap();
    let mut samples: Vec<_> = families
        .iter()
        .flat_map(|family| &family.samples)
        .map(|sample| {
            let labels = sample
                .labels
                .iter()
                .map(|label| (label.name.to_string(), label.value.to_string()))
                .collect();
            (
                sample.name.to_string(),
                labels,
                sample.value.to_bits(),
                sample.timestamp_ms,
            )
        })
        .collect();
    samples.sort();
    samples
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Text, Format::OpenMetrics] {
            let _read = Families::parse(&body, format);
        }
    }

    #[test]
    fn what_is_refused_is_refused_within_the_body(body in near_exposition()) {
        for format in [Format::Text, Format::OpenMetrics] {
            match check(&body, format) {
                Ok(summary) => prop_assert!(summary.samples <= body.len()),
                Err(error) => {
                    let line = body.split(|byte| *byte == b'\n').nth(error.line - 1);
                    let length = line.map(<[u8]>::len);
                    prop_assert!(length.is_some_and(|length| error.column <= length + 1));
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read(body in near_exposition()) {
        for format in [Format::Text, Format::OpenMetrics] {
            for names in [Names::Quote, Names::LeaveOut] {
                for timestamps in [Timestamps::Keep, Timestamps::Omit] {
                    let Ok(families) = Families::parse(&body, format) else {
                        continue;
                    };
                    let mut out = String::new();
                    let written = write_text(&families, WriteOptions { timestamps, names }, &mut out);
                    let summary = check(out.as_bytes(), Format::Text);
                    prop_assert_eq!(summary.map(|summary| summary.samples), Ok(written.samples));
                }
            }
        }
    }

    #[test]
    fn samples_survive_writing(
        samples_in in prop::collection::vec(sample(), 0..8),
    ) {
        let mut body = String::new();
        for (name, labels, value, timestamp) in &samples_in {
            write!(body, "{{{}", quoted(name)).unwrap();
            for (name, value) in labels {
                write!(body, ",{}={}", quoted(name), quoted(value)).unwrap();
            }
            write!(body, "}} {value:?}").unwrap();
            if let Some(timestamp) = timestamp {
                write!(body, " {timestamp}").unwrap();
            }
            body.push('\n');
        }
        let families = Families::parse(body.as_bytes(), Format::Text).unwrap();
        let mut out = String::new();
        let written = write_text(&families, KEEP_ALL, &mut out);
        prop_assert_eq!(written.samples + written.repeated, samples_in.len());
        if written.repeated == 0 {
            prop_assert_eq!(samples(&body), samples(&out));
        }
    }

    #[test]
    fn numbers_are_read_as_the_standard_library_does(value in any::<f64>(), digits in 0..20_usize) {
        for word in [format!("{value:e}"), format!("{value:.digits$}"), format!("{value:?}")] {
            let body = format!("a {word}");
            let mut parser = Parser::new(body.as_bytes(), Format::Text);
            let Some(Ok(super::super::Entry::Sample(sample))) = parser.next() else {
                panic!("{word} is refused");
            };
            let expected: f64 = word.parse().unwrap();
            prop_assert!(
                sample.value.to_bits() == expected.to_bits()
                    || sample.value.is_nan() && expected.is_nan()
            );
        }
    }

    #[test]
    fn any_content_type_has_a_format(header in ".{0,40}") {
        prop_assert_eq!(format_of(Some(&header)), Format::Text);
    }
}
