//! What is pushed for a scrape: text format 0.0.4 as a Pushgateway takes it.
//!
//! A gateway refuses a whole push for one thing it does not like, so that is left out here:
//! timestamps, names outside of the old character set, reserved names, and series that stand
//! twice. `OpenMetrics` types that it does not know become the nearest old one. A label with the
//! name of one in the grouping key would be overwritten; it moves to `exported_…`, as in a scrape.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use crate::exposition::{Entry, FamilyKind, Parser, SyntaxError};
use crate::model::Format;
use crate::sink::labels::{NAME, TargetLabels};
use crate::sink::removed::{Removal, Removals};

/// The gateway writes these itself for each group and drops what is pushed.
const RESERVED: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

/// A body and what was left out of it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) text: String,
    pub(super) removals: Removals,
}

/// What a body says of its families.
#[derive(Default)]
struct Declared<'a> {
    kinds: HashMap<Cow<'a, str>, FamilyKind>,
    helps: HashMap<Cow<'a, str>, Cow<'a, str>>,
}

/// The old format's families, in the order of their first samples.
#[derive(Default)]
struct Families {
    families: Vec<Family>,
    places: HashMap<String, usize>,
}

struct Family {
    name: String,
    kind: &'static str,
    help: Option<String>,
    lines: String,
}

/// Where a sample belongs in the old format.
struct Home<'s> {
    /// The name of its family there.
    family: &'s str,
    /// The name by which its help was declared.
    declared: &'s str,
    kind: &'static str,
}

/// Translates an exposition.
pub(super) fn translate(
    text: &[u8],
    format: Format,
    labels: &TargetLabels<'_>,
) -> Result<Body, SyntaxError> {
    // A type may stand after its samples, so there are two passes.
    let declared = Declared::read(text, format)?;
    let mut families = Families::default();
    let mut removals = Removals::default();
    let mut seen = HashSet::new();
    let mut parser = Parser::new(text, format);
    while let Some(entry) = parser.next() {
        let Entry::Sample(sample) = entry? else {
            continue;
        };
        let resolved = labels.resolve(sample.name, sample.labels);
        if let Some(removal) = removal(sample.name, &resolved) {
            removals.add(removal);
            continue;
        }
        let series = series(sample.name, &resolved, labels);
        if !seen.insert(series.clone()) {
            removals.add(Removal::Duplicate);
            continue;
        }
        if sample.timestamp_ms.is_some() {
            removals.add(Removal::Timestamp);
        }
        let family = families.family(&declared.home(sample.name), &declared);
        family.lines.push_str(&series);
        family.lines.push(' ');
        push_value(&mut family.lines, sample.value);
        family.lines.push('\n');
    }
    Ok(Body {
        text: families.write(),
        removals,
    })
}

impl<'a> Declared<'a> {
    fn read(text: &'a [u8], format: Format) -> Result<Self, SyntaxError> {
        let mut declared = Self::default();
        let mut parser = Parser::new(text, format);
        while let Some(entry) = parser.next() {
            match entry? {
                Entry::Type { family, kind } => {
                    declared.kinds.entry(family).or_insert(kind);
                }
                Entry::Help { family, text } => {
                    declared.helps.entry(family).or_insert(text);
                }
                Entry::Unit { .. } | Entry::Comment(_) | Entry::Sample(_) => {}
            }
        }
        Ok(declared)
    }

    /// Finds a sample's family in the old format.
    ///
    /// The gateway looks for a histogram or summary first, as is done here. Where `OpenMetrics`
    /// has a suffix that the old format does not know, the sample is a family of its own.
    fn home<'s>(&self, name: &'s str) -> Home<'s> {
        const SUFFIXES: [&str; 5] = ["_bucket", "_sum", "_count", "_total", "_info"];
        for suffix in SUFFIXES {
            let Some(base) = name.strip_suffix(suffix) else {
                continue;
            };
            let of = |kind| Home {
                family: base,
                declared: base,
                kind,
            };
            let alone = |kind| Home {
                family: name,
                declared: base,
                kind,
            };
            match (self.kinds.get(base), suffix) {
                (Some(FamilyKind::Histogram), "_bucket" | "_sum" | "_count") => {
                    return of("histogram");
                }
                (Some(FamilyKind::Summary), "_sum" | "_count") => return of("summary"),
                (Some(FamilyKind::Counter), "_total") => return alone("counter"),
                (Some(FamilyKind::Info), "_info") => return alone("gauge"),
                _ => {}
            }
        }
        let kind = match self.kinds.get(name) {
            Some(FamilyKind::Counter) => "counter",
            Some(FamilyKind::Gauge | FamilyKind::Info | FamilyKind::StateSet) => "gauge",
            Some(FamilyKind::Histogram) => "histogram",
            Some(FamilyKind::Summary) => "summary",
            Some(FamilyKind::GaugeHistogram | FamilyKind::Unknown) | None => "untyped",
        };
        Home {
            family: name,
            declared: name,
            kind,
        }
    }
}

impl Families {
    fn family(&mut self, home: &Home<'_>, declared: &Declared<'_>) -> &mut Family {
        let place = if let Some(place) = self.places.get(home.family) {
            *place
        } else {
            let place = self.families.len();
            let help = declared.helps.get(home.declared);
            self.families.push(Family {
                name: home.family.to_owned(),
                kind: home.kind,
                help: help.map(ToString::to_string),
                lines: String::new(),
            });
            self.places.insert(home.family.to_owned(), place);
            place
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "places hold only what was pushed above"
        )]
        &mut self.families[place]
    }

    fn write(&self) -> String {
        let mut text = String::new();
        for family in &self.families {
            if let Some(help) = &family.help {
                let help = help.replace('\\', "\\\\").replace('\n', "\\n");
                for part in ["# HELP ", &family.name, " ", &help, "\n"] {
                    text.push_str(part);
                }
            }
            for part in [
                "# TYPE ",
                &family.name,
                " ",
                family.kind,
                "\n",
                &family.lines,
            ] {
                text.push_str(part);
            }
        }
        text
    }
}

/// Says why the gateway would not take a series.
fn removal(name: &str, labels: &[(Cow<'_, str>, &str)]) -> Option<Removal> {
    if RESERVED.contains(&name) {
        return Some(Removal::ReservedName);
    }
    if !is_name(name, true) {
        return Some(Removal::InvalidName);
    }
    for (name, _) in labels.iter().filter(|(name, _)| name != NAME) {
        if name.starts_with("__") {
            return Some(Removal::ReservedName);
        }
        if !is_name(name, false) {
            return Some(Removal::InvalidName);
        }
    }
    None
}

/// Tells whether a name keeps to the old character set.
fn is_name(name: &str, colons: bool) -> bool {
    let is_start =
        |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (colons && byte == b':');
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_start) && bytes.all(|byte| is_start(byte) || byte.is_ascii_digit())
}

/// Writes a series without the labels that stand in the grouping key.
fn series(name: &str, resolved: &[(Cow<'_, str>, &str)], key: &TargetLabels<'_>) -> String {
    let mut text = name.to_owned();
    let own = resolved
        .iter()
        .filter(|(name, _)| name != NAME && !key.has(name));
    let mut separator = '{';
    for (name, value) in own {
        text.push(separator);
        text.push_str(name);
        text.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    text
}

/// Writes a value so that it reads back as the same.
fn push_value(text: &mut String, value: f64) {
    // Beyond these the digits without an exponent are many and say nothing.
    const PLAIN: std::ops::Range<f64> = 1e-5..1e21;
    let written = if value.is_nan() {
        write!(text, "NaN")
    } else if value.is_infinite() {
        write!(text, "{}", if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if value == 0.0 || PLAIN.contains(&value.abs()) {
        write!(text, "{value}")
    } else {
        write!(text, "{value:e}")
    };
    // Writing to a string cannot fail.
    written.unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    #[track_caller]
    fn check(format: Format, exposed: &str, expected: &str, removed: &[Removal]) {
        let target = Labels::of_target("j", "i");
        let none = Labels::default();
        let labels = TargetLabels::new(&target, None, &none);
        let body = translate(exposed.as_bytes(), format, &labels).unwrap();
        assert_eq!(body.text, expected);
        let mut removals = Removals::default();
        for removal in removed {
            removals.add(*removal);
        }
        assert_eq!(body.removals, removals);
    }

    #[test]
    fn timestamps_go_and_values_stay() {
        check(
            Format::Text,
            "# HELP a A \\\\ \\n.\n# TYPE a counter\na{z=\"1\",b=\"\\\"\\\\\\n\"} 1.5 1000\nn NaN\np +Inf\nm -Inf\n\
             big 1e300\nsmall 5e-324\nwhole 3e20\nzero -0\n",
            "# HELP a A \\\\ \\n.\n# TYPE a counter\na{b=\"\\\"\\\\\\n\",z=\"1\"} 1.5\n\
             # TYPE n untyped\nn NaN\n# TYPE p untyped\np +Inf\n# TYPE m untyped\nm -Inf\n\
             # TYPE big untyped\nbig 1e300\n# TYPE small untyped\nsmall 5e-324\n\
             # TYPE whole untyped\nwhole 300000000000000000000\n# TYPE zero untyped\nzero -0\n",
            &[Removal::Timestamp],
        );
    }

    #[test]
    fn interleaved_families_are_joined() {
        check(
            Format::Text,
            "a{x=\"1\"} 1\nb 1\na{x=\"2\"} 2\n# TYPE a gauge\n",
            "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\n# TYPE b untyped\nb 1\n",
            &[],
        );
    }

    #[test]
    fn histograms_and_summaries_keep_their_parts() {
        check(
            Format::Text,
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n\
             # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 1\ns_bucket 1\n\
             # TYPE s_count gauge\ns_count 1\n",
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n\
             # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 1\n\
             # TYPE s_bucket untyped\ns_bucket 1\n",
            &[Removal::Duplicate],
        );
    }

    #[test]
    fn what_the_gateway_refuses_is_left_out() {
        check(
            Format::Text,
            "push_time_seconds 1\npush_failure_time_seconds 1\n{\"utf.8\"} 1\na{\"b.c\"=\"1\"} 1\n\
             a{__b=\"1\"} 1\na:b 1\na:b 2\n",
            "# TYPE a:b untyped\na:b 1\n",
            &[
                Removal::ReservedName,
                Removal::ReservedName,
                Removal::InvalidName,
                Removal::InvalidName,
                Removal::ReservedName,
                Removal::Duplicate,
            ],
        );
    }

    #[test]
    fn a_label_of_the_grouping_key_is_exported() {
        check(
            Format::Text,
            "a{job=\"mine\",instance=\"\"} 1\na{job=\"other\"} 2\n",
            "# TYPE a untyped\na{exported_job=\"mine\"} 1\na{exported_job=\"other\"} 2\n",
            &[],
        );
    }

    #[test]
    fn openmetrics_becomes_the_old_format() {
        check(
            Format::OpenMetrics,
            "# HELP c C.\n# TYPE c counter\n# UNIT c \nc_total 1 # {a=\"b\"} 1\nc_created 5\n\
             # TYPE i info\ni_info{v=\"1\"} 1\n# TYPE s stateset\ns{s=\"a\"} 1\n\
             # TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 1\ng_gcount 1\ng_gsum 2\n\
             # TYPE u unknown\nu 1 1.5\n# EOF\n",
            "# HELP c_total C.\n# TYPE c_total counter\nc_total 1\n# TYPE c_created untyped\nc_created 5\n\
             # TYPE i_info gauge\ni_info{v=\"1\"} 1\n# TYPE s gauge\ns{s=\"a\"} 1\n\
             # TYPE g_bucket untyped\ng_bucket{le=\"+Inf\"} 1\n# TYPE g_gcount untyped\ng_gcount 1\n\
             # TYPE g_gsum untyped\ng_gsum 2\n# TYPE u untyped\nu 1\n",
            &[Removal::Timestamp],
        );
    }

    #[test]
    fn garbage_is_an_error() {
        let (target, none) = (Labels::default(), Labels::default());
        let labels = TargetLabels::new(&target, None, &none);
        assert!(translate(b"<html>\n", Format::Text, &labels).is_err());
    }
}
