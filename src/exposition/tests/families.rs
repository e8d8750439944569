//! How a body is grouped, and how groups are written.

use super::super::{
    Families, FamilyKind, Names, Timestamps, WriteOptions, Written, check, write_text,
};
use crate::model::Format;

const PUSH: WriteOptions = WriteOptions {
    timestamps: Timestamps::Omit,
    names: Names::LeaveOut,
};

#[track_caller]
fn groups(body: &str, format: Format, expected: &[(&str, FamilyKind, &[&str])]) {
    let families = Families::parse(body.as_bytes(), format).unwrap();
    let found: Vec<_> = families
        .iter()
        .map(|family| {
            let samples: Vec<_> = family.samples.iter().map(|sample| &*sample.name).collect();
            (&*family.name, family.kind, samples)
        })
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, kind, samples)| (*name, *kind, samples.to_vec()))
        .collect();
    assert_eq!(found, expected, "{body}");
}

#[track_caller]
fn writes(body: &str, format: Format, expected: &str) {
    let written = writes_with(body, format, PUSH, expected);
    let left_out = Written {
        samples: 0,
        ..written
    };
    assert_eq!(left_out, Written::default(), "{body}");
}

#[track_caller]
fn writes_with(body: &str, format: Format, options: WriteOptions, expected: &str) -> Written {
    let families = Families::parse(body.as_bytes(), format).unwrap();
    let mut out = String::new();
    let written = write_text(&families, options, &mut out);
    assert_eq!(out, expected, "{body}");
    let summary = check(out.as_bytes(), Format::Text).unwrap();
    assert_eq!(summary.samples, written.samples, "{body}");
    written
}

#[test]
fn text_groups_by_name_and_by_suffixes_of_histograms_and_summaries() {
    groups(
        "a 1\na{b=\"c\"} 2\n",
        Format::Text,
        &[("a", FamilyKind::Unknown, &["a", "a"])],
    );
    groups(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\nh_created 1\nh_other 1\n",
        Format::Text,
        &[
            (
                "h",
                FamilyKind::Histogram,
                &["h_bucket", "h_sum", "h_count"],
            ),
            ("h_created", FamilyKind::Unknown, &["h_created"]),
            ("h_other", FamilyKind::Unknown, &["h_other"]),
        ],
    );
    groups(
        "# TYPE s summary\ns{quantile=\"1\"} 1\ns_sum 1\ns_count 1\ns_bucket 1\n",
        Format::Text,
        &[
            ("s", FamilyKind::Summary, &["s", "s_sum", "s_count"]),
            ("s_bucket", FamilyKind::Unknown, &["s_bucket"]),
        ],
    );
    groups(
        "# TYPE c counter\nc 1\nc_total 1\n",
        Format::Text,
        &[
            ("c", FamilyKind::Counter, &["c"]),
            ("c_total", FamilyKind::Unknown, &["c_total"]),
        ],
    );
}

#[test]
fn openmetrics_groups_by_the_suffixes_of_each_type() {
    groups(
        "# TYPE c counter\nc_total 1\nc_created 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\n\
         h_count 1\nh_sum 1\nh_created 1\n# TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\n\
         g_gcount 1\ng_gsum 1\n# TYPE s summary\ns_count 1\ns_sum 1\ns_created 1\n# TYPE i info\n\
         i_info 1\n# TYPE t stateset\nt{t=\"on\"} 1\n# TYPE u unknown\nu 1\nu_total 1\n# EOF\n",
        Format::OpenMetrics,
        &[
            ("c", FamilyKind::Counter, &["c_total", "c_created"]),
            (
                "h",
                FamilyKind::Histogram,
                &["h_bucket", "h_count", "h_sum", "h_created"],
            ),
            (
                "g",
                FamilyKind::GaugeHistogram,
                &["g_bucket", "g_gcount", "g_gsum"],
            ),
            ("s", FamilyKind::Summary, &["s_count", "s_sum", "s_created"]),
            ("i", FamilyKind::Info, &["i_info"]),
            ("t", FamilyKind::StateSet, &["t"]),
            ("u", FamilyKind::Unknown, &["u"]),
            ("u_total", FamilyKind::Unknown, &["u_total"]),
        ],
    );
}

#[test]
fn families_that_stand_apart_are_brought_together() {
    groups(
        "a 1\nb 2\na{x=\"y\"} 3\n# TYPE a gauge\n",
        Format::Text,
        &[
            ("a", FamilyKind::Gauge, &["a", "a"]),
            ("b", FamilyKind::Unknown, &["b"]),
        ],
    );
    groups(
        "x 1\nh_count 1\ny 1\n# TYPE h summary\n# TYPE y counter\n# TYPE y gauge\n",
        Format::Text,
        &[
            ("x", FamilyKind::Unknown, &["x"]),
            ("h", FamilyKind::Summary, &["h_count"]),
            ("y", FamilyKind::Gauge, &["y"]),
        ],
    );
}

#[test]
fn writes_each_type() {
    writes("a 1", Format::Text, "# TYPE a untyped\na 1\n");
    writes(
        "# HELP a b\\\\c\\nd \"e\"\n# TYPE a counter\na{x=\"\\\\\\n\\\"ü\",y=\"\"} 1 2\n",
        Format::Text,
        "# HELP a b\\\\c\\nd \"e\"\n# TYPE a counter\na{x=\"\\\\\\n\\\"ü\",y=\"\"} 1\n",
    );
    writes(
        "# TYPE h histogram\nh_count 2\nx 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 0.5\n",
        Format::Text,
        "# TYPE h histogram\nh_count 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 0.5\n\
         # TYPE x untyped\nx 1\n",
    );
    writes("# HELP a b\n# TYPE b gauge\n", Format::Text, "");
    let blank = "# HELP a \n# TYPE a untyped\na 1\n";
    writes("# HELP a- \t\na 1\n", Format::Text, blank);
    writes(blank, Format::Text, blank);
}

#[test]
fn openmetrics_falls_apart_into_what_text_has() {
    writes(
        "# HELP c d\n# TYPE c counter\nc_total 1 # {a=\"b\"} 1\nc_created 2\n# EOF",
        Format::OpenMetrics,
        "# HELP c_total d\n# TYPE c_total counter\nc_total 1\n\
         # HELP c_created d\n# TYPE c_created untyped\nc_created 2\n",
    );
    writes(
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_count 1\nh_sum 1\nh_created 5\n# EOF",
        Format::OpenMetrics,
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_count 1\nh_sum 1\n\
         # TYPE h_created untyped\nh_created 5\n",
    );
    writes(
        "# TYPE g gaugehistogram\ng_bucket{le=\"1.0\"} 1\ng_gcount 1\n# EOF",
        Format::OpenMetrics,
        "# TYPE g_bucket untyped\ng_bucket{le=\"1.0\"} 1\n# TYPE g_gcount untyped\ng_gcount 1\n",
    );
    writes(
        "# TYPE i info\ni_info{a=\"b\"} 1\n# TYPE t stateset\nt{t=\"on\"} 1\n# EOF",
        Format::OpenMetrics,
        "# TYPE i_info gauge\ni_info{a=\"b\"} 1\n# TYPE t gauge\nt{t=\"on\"} 1\n",
    );
}

#[test]
fn what_does_not_fit_a_histogram_or_summary_is_written_untyped() {
    #[track_caller]
    fn untyped(body: &str) {
        let families = Families::parse(body.as_bytes(), Format::Text).unwrap();
        let mut out = String::new();
        let written = write_text(&families, PUSH, &mut out);
        assert_eq!(written.samples, body.lines().count() - 1, "{body}");
        assert!(
            !out.contains(" histogram") && !out.contains(" summary"),
            "{out}"
        );
    }
    untyped("# TYPE h histogram\nh 1\nh_count 1\n");
    untyped("# TYPE h histogram\nh_bucket 1\nh_count 1\n");
    untyped("# TYPE h histogram\nh_bucket{le=\"many\"} 1\nh_count 1\n");
    untyped("# TYPE h histogram\nh_bucket{le=\"NaN\"} 1\n");
    untyped("# TYPE h histogram\nh_bucket{le=\"1\"} 0.5\n");
    untyped("# TYPE h histogram\nh_count -1\n");
    untyped("# TYPE h histogram\nh_count NaN\n");
    untyped("# TYPE h histogram\nh_sum{le=\"1\"} 1\n");
    untyped("# TYPE s summary\ns 1\ns_sum 1\n");
    untyped("# TYPE s summary\ns{quantile=\"half\"} 1\ns_sum 1\n");
    untyped("# TYPE s summary\ns_count 1e300\n");
}

#[test]
fn counts_what_is_left_out() {
    let written = writes_with(
        "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\",z=\"\"} 2\na 3\n",
        Format::Text,
        PUSH,
        "# TYPE a untyped\na{x=\"1\",y=\"2\"} 1\na 3\n",
    );
    assert_eq!((written.samples, written.repeated), (2, 1));

    let written = writes_with(
        "{\"a.b\"} 1\nc{\"d.e\"=\"f\"} 1\nc 2\ng{\"x.y\"=\"\"} 1\n",
        Format::Text,
        PUSH,
        "# TYPE c untyped\nc 2\n",
    );
    assert_eq!((written.samples, written.bad_names), (1, 3));

    let written = writes_with(
        "# TYPE h histogram\n# TYPE h_count gauge\nh_sum 1\nh_count 1\n",
        Format::Text,
        PUSH,
        "# TYPE h histogram\nh_sum 1\n",
    );
    assert_eq!((written.samples, written.colliding), (1, 1));
}

#[test]
fn writes_names_in_quotes_and_timestamps_when_asked() {
    let options = WriteOptions {
        timestamps: Timestamps::Keep,
        names: Names::Quote,
    };
    let written = writes_with(
        "# HELP \"a.b\" c\n# TYPE \"a.b\" gauge\n{\"a.b\",c=\"d\",\"e\\\"f\"=\"g\"} 1 2.5\n\
         {\"a.b\"} 1 -1\nx 3 -0.001\n# EOF",
        Format::OpenMetrics,
        options,
        "# HELP \"a.b\" c\n# TYPE \"a.b\" gauge\n{\"a.b\",c=\"d\",\"e\\\"f\"=\"g\"} 1 2500\n",
    );
    assert_eq!((written.samples, written.bad_timestamps), (1, 2));
}

#[test]
fn writes_values_that_read_back() {
    #[track_caller]
    fn value(value: &str, expected: &str) {
        writes(
            &format!("a {value}"),
            Format::Text,
            &format!("# TYPE a untyped\na {expected}\n"),
        );
    }
    value("0", "0");
    value("-0", "-0");
    value("1e3", "1000");
    value("1e16", "10000000000000000");
    value("1e17", "1e17");
    value("1.5e300", "1.5e300");
    value("0.1", "0.1");
    value("1e-5", "0.00001");
    value("4.9e-6", "4.9e-6");
    value("5e-324", "5e-324");
    value("-1.7976931348623157e308", "-1.7976931348623157e308");
    value("nan", "NaN");
    value("inf", "+Inf");
    value("-inf", "-Inf");
}
