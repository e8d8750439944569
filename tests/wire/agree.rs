//! What the fast path accepts, the exposition parser reads the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_streams::exposition::{Entry, Parser};
use prometheus_streams::model::{Format, Labels};
use prometheus_streams::wire::{Column, Shape, match_body};
use proptest::prelude::*;

/// The bits of each series' value, its timestamp, and its exemplar as the parser reads it.
type Samples = BTreeMap<String, (u64, Option<i64>, Option<String>)>;

/// Reads a body with the parser; `None` when it is refused or no shape's.
fn parsed(body: &str, format: Format) -> Option<Samples> {
    let mut samples = Samples::new();
    let mut parser = Parser::new(body.as_bytes(), format);
    while let Some(entry) = parser.next() {
        if let Entry::Sample(sample) = entry.ok()? {
            let exemplar = sample.exemplar.map(|exemplar| format!("{exemplar:?}"));
            let value = (sample.value.to_bits(), sample.timestamp_ms, exemplar);
            if samples.insert(sample.text.to_owned(), value).is_some() {
                return None;
            }
        }
    }
    Some(samples)
}

/// Reads a column as the parser reads a body.
fn matched(shape: &Shape, column: &Column) -> Samples {
    let page = shape.page();
    let values = page.keys().zip(column.iter()).enumerate();
    let present = values.filter_map(|(at, (key, value))| {
        let time = column.time(at).filter(|_| page.has_time(at));
        let exemplar = column
            .exemplars()
            .iter()
            .find(|each| each.series as usize == at);
        let exemplar = exemplar.and_then(|exemplar| {
            let alone = format!("x 1 # {}\n# EOF\n", exemplar.text);
            parsed(&alone, Format::OpenMetrics)?.remove("x")?.2
        });
        Some((key.to_owned(), (value.get()?.to_bits(), time, exemplar)))
    });
    present.collect()
}

const KEYS: [&str; 6] = [
    "a",
    "b{}",
    "b{x=\"} 1\"}",
    "c {y=\"\\\"\"}",
    "a:b",
    "h_bucket{le=\"1\"}",
];

fn any_body() -> impl Strategy<Value = String> {
    let blank = prop_oneof![8 => Just(" "), 1 => Just("\t"), 1 => Just("  "), 1 => Just("")];
    let value = prop_oneof![
        6 => any::<u16>().prop_map(|value| value.to_string()),
        3 => any::<f32>().prop_map(|value| format!("{value:e}")),
        2 => any::<f64>().prop_map(|value| value.to_string()),
        1 => "[-+.0-9einfNaINFx_]{0,6}",
    ];
    let tail = prop_oneof![
        12 => Just(String::new()),
        1 => Just(" ".to_owned()),
        3 => any::<u32>().prop_map(|time| format!(" {time}")),
        1 => "[ 0-9.#-]{0,6}",
        1 => Just(" # {} 1".to_owned()),
        1 => Just(" # {a=\"b # {\"} -2 1.5".to_owned()),
        1 => Just(" 5 # {a=\"}\"} NaN".to_owned()),
        1 => " # \\{[a=\"]{0,4}\\} [0-9x]{0,2}[ .0-9]{0,3}",
    ];
    let sample = (0..KEYS.len(), blank, value, tail)
        .prop_map(|(key, blank, value, tail)| format!("{}{blank}{value}{tail}\n", KEYS[key]));
    let line = prop_oneof![
        12 => sample,
        1 => Just("# HELP a An a.\n".to_owned()),
        1 => Just("# TYPE b gauge\n".to_owned()),
        1 => Just("# EOF\n".to_owned()),
        1 => Just("\n".to_owned()),
    ];
    (proptest::collection::vec(line, 0..8), any::<bool>())
        .prop_map(|(lines, ends)| lines.concat() + if ends { "# EOF\n" } else { "" })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_matched_is_what_is_parsed(
        first in any_body(),
        bodies in proptest::collection::vec(any_body(), 1..6),
        is_openmetrics: bool,
    ) {
        let format = if is_openmetrics { Format::OpenMetrics } else { Format::Text };
        let mut shape = None;
        for body in std::iter::once(&first).chain(&bodies) {
            let expected = parsed(body, format);
            let built = match &shape {
                None => Shape::build(Arc::new(Labels::default()), body.as_bytes(), format),
                Some(shape) => {
                    let mut column = Column::default();
                    match match_body(Shape::page(shape), body.as_bytes(), &mut column) {
                        Ok(_) => {
                            prop_assert_eq!(Some(matched(shape, &column)), expected, "{}", body);
                            continue;
                        }
                        Err(_) => shape.extend(body.as_bytes()),
                    }
                }
            };
            // Every plain body has a shape, by which it reads the same, also when written again.
            match built {
                Ok(built) => {
                    let mut column = Column::default();
                    match_body(built.page(), body.as_bytes(), &mut column).unwrap();
                    prop_assert_eq!(Some(matched(&built, &column)), expected.clone(), "{}", body);
                    let mut text = Vec::new();
                    built.write_text(&column, &mut text);
                    let text = String::from_utf8(text).unwrap();
                    prop_assert_eq!(parsed(&text, format), expected, "{}", text);
                    shape = Some(built);
                }
                Err(misfit) => prop_assert!(expected.is_none(), "{}: {}", misfit, body),
            }
        }
    }
}
