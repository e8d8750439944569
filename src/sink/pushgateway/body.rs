//! What is pushed for a scrape: text format 0.0.4 as a Pushgateway takes it.
//!
//! A gateway refuses a whole push for one thing it does not like, so that is left out: here what
//! only a gateway minds, by the writer what no reader of the format takes. A label with the name of
//! one in the grouping key would be overwritten; it moves to `exported_…`, as in a scrape.

use std::borrow::Cow;

use crate::exposition::{
    Families, FamilySample, Label, Names, SyntaxError, Timestamps, WriteOptions, write_text,
};
use crate::model::Format;
use crate::model::labels::{BODY_SIZE, SAMPLES_KEPT, SAMPLES_SCRAPED};
use crate::sink::labels::{NAME, TargetLabels};
use crate::sink::removed::{Removal, Removals};

/// The gateway writes these itself for each group and drops what is pushed.
const RESERVED: [&str; 2] = ["push_time_seconds", "push_failure_time_seconds"];

/// A label name that begins so makes the gateway refuse the push.
const RESERVED_PREFIX: &str = "__";

/// A body and what was left out of it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) text: String,
    pub(super) removals: Removals,
}

/// Translates an exposition; `key` holds the labels of the group.
pub(super) fn translate(
    text: &[u8],
    format: Format,
    key: &TargetLabels<'_>,
) -> Result<Body, SyntaxError> {
    const OPTIONS: WriteOptions = WriteOptions {
        timestamps: Timestamps::Omit,
        names: Names::LeaveOut,
    };
    let mut families = Families::parse(text, format)?;
    let mut removals = Removals::default();
    removals.add_many(Removal::Exemplar, families.exemplars());
    for family in &mut families {
        family.samples.retain_mut(|sample| {
            if is_report(sample) {
                return false;
            }
            if is_reserved(sample) {
                removals.add(Removal::ReservedName);
                return false;
            }
            if sample.timestamp_ms.is_some() {
                removals.add(Removal::Timestamp);
            }
            export_labels(sample, key);
            true
        });
    }
    let mut text = String::with_capacity(text.len());
    let written = write_text(&families, OPTIONS, &mut text);
    removals.add_many(Removal::InvalidName, written.bad_names);
    removals.add_many(Removal::Duplicate, written.repeated);
    removals.add_many(Removal::Colliding, written.colliding);
    Ok(Body { text, removals })
}

/// Tells whether the sample is the poller's word about the scrape, which is no series.
fn is_report(sample: &FamilySample<'_>) -> bool {
    matches!(&*sample.name, SAMPLES_SCRAPED | SAMPLES_KEPT | BODY_SIZE) && sample.labels.is_empty()
}

/// Tells whether the gateway keeps a name of the sample for itself.
fn is_reserved(sample: &FamilySample<'_>) -> bool {
    let mut labels = sample.labels.iter();
    RESERVED.contains(&&*sample.name) || labels.any(|label| label.name.starts_with(RESERVED_PREFIX))
}

/// Makes room for the labels of the grouping key.
fn export_labels(sample: &mut FamilySample<'_>, key: &TargetLabels<'_>) {
    if !sample.labels.iter().any(|label| key.has(&label.name)) {
        return;
    }
    let resolved = key.resolve_in_group(&sample.name, &sample.labels);
    let own = resolved
        .iter()
        .filter(|(name, _)| name != NAME && !key.has(name));
    let own = own.map(|(name, value)| Label {
        name: Cow::Owned(name.clone().into_owned()),
        value: Cow::Owned((*value).to_owned()),
    });
    sample.labels = own.collect();
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
            "# HELP a A \\\\ \\n.\n# TYPE a counter\na{z=\"1\",b=\"\\\"\\\\\\n\"} 1.5\n\
             # TYPE n untyped\nn NaN\n# TYPE p untyped\np +Inf\n# TYPE m untyped\nm -Inf\n\
             # TYPE big untyped\nbig 1e300\n# TYPE small untyped\nsmall 5e-324\n\
             # TYPE whole untyped\nwhole 3e20\n# TYPE zero untyped\nzero -0\n",
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
             # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\n\
             # TYPE s_bucket untyped\ns_bucket 1\n",
            &[Removal::Colliding, Removal::Colliding],
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
    fn what_the_poller_says_of_the_scrape_is_no_series() {
        check(
            Format::Text,
            "a 1\n__scrape_samples_scraped__ 2\n__scrape_body_size_bytes__ 30\n",
            "# TYPE a untyped\na 1\n",
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
            "# HELP c_total C.\n# TYPE c_total counter\nc_total 1\n# HELP c_created C.\n# TYPE c_created untyped\nc_created 5\n\
             # TYPE i_info gauge\ni_info{v=\"1\"} 1\n# TYPE s gauge\ns{s=\"a\"} 1\n\
             # TYPE g_bucket untyped\ng_bucket{le=\"+Inf\"} 1\n# TYPE g_gcount untyped\ng_gcount 1\n\
             # TYPE g_gsum untyped\ng_gsum 2\n# TYPE u untyped\nu 1\n",
            &[Removal::Timestamp, Removal::Exemplar],
        );
    }

    #[test]
    fn garbage_is_an_error() {
        let (target, none) = (Labels::default(), Labels::default());
        let labels = TargetLabels::new(&target, None, &none);
        assert!(translate(b"<html>\n", Format::Text, &labels).is_err());
    }
}
