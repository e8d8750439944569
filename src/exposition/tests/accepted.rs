//! What is read, and as what.

use super::super::{Entry, Parser, check as check_body};
use super::render;
use crate::model::Format;

#[track_caller]
fn text(body: impl AsRef<[u8]>, expected: &[&str]) {
    check(body.as_ref(), Format::Text, expected);
}

/// Checks a body without its last line.
#[track_caller]
fn openmetrics(body: impl AsRef<[u8]>, expected: &[&str]) {
    let body = [body.as_ref(), b"# EOF\n"].concat();
    check(&body, Format::OpenMetrics, expected);
}

#[track_caller]
fn both(body: &str, expected: &[&str]) {
    text(body, expected);
    openmetrics(body, expected);
}

#[track_caller]
fn check(body: &[u8], format: Format, expected: &[&str]) {
    let shown = String::from_utf8_lossy(body);
    match render(body, format) {
        Ok(entries) => assert_eq!(entries.lines().collect::<Vec<_>>(), expected, "{shown:?}"),
        Err(error) => panic!("{shown:?}: {error}"),
    }
}

#[test]
fn reads_names_and_labels() {
    both("a 1\n", &["a{} 1.0"]);
    both("a{} 1\n", &["a{} 1.0"]);
    both("_a:b:Z9 1\n", &["_a:b:Z9{} 1.0"]);
    both(": 1\n", &[":{} 1.0"]);
    both("a{b=\"c\"} 1\n", &["a{b=\"c\",} 1.0"]);
    both("a{b=\"c\",d=\"\"} 1\n", &["a{b=\"c\",d=\"\",} 1.0"]);
    both("a{b=\"c\",} 1\n", &["a{b=\"c\",} 1.0"]);
    both("a{_b9=\"}\",c=\",\"} 1\n", &["a{_b9=\"}\",c=\",\",} 1.0"]);
    both("a{b=\"{#=\"} 1\n", &["a{b=\"{#=\",} 1.0"]);
    both("a{b=\"ü😀\"} 1\n", &["a{b=\"ü😀\",} 1.0"]);
    both("a{b=\"x\0\"} 1\n", &["a{b=\"x\\0\",} 1.0"]);
    both("HELP 1\n", &["HELP{} 1.0"]);
}

#[test]
fn reads_quoted_names() {
    both("{\"a.b\"} 1\n", &["a.b{} 1.0"]);
    both("{\"a.b\",} 1\n", &["a.b{} 1.0"]);
    both("{\"a.b\",c=\"d\"} 1\n", &["a.b{c=\"d\",} 1.0"]);
    both("{c=\"d\",\"a.b\"} 1\n", &["a.b{c=\"d\",} 1.0"]);
    both("{\"a b\",\"c.d\"=\"e\"} 1\n", &["a b{c.d=\"e\",} 1.0"]);
    both("a{\"c.d\"=\"e\"} 1\n", &["a{c.d=\"e\",} 1.0"]);
    both("{\"a\\\"b\\\\\\n\"} 1\n", &["a\"b\\", "{} 1.0"]);
    both("{\"a\nb\"} 1\n", &["a", "b{} 1.0"]);
    both("{\"ü\"} 1\n", &["ü{} 1.0"]);
    text("{ \"a.b\" , c = \"d\" , } 1", &["a.b{c=\"d\",} 1.0"]);
}

#[test]
fn undoes_the_escapes_of_label_values() {
    both("a{b=\"\\\\\"} 1\n", &["a{b=\"\\\\\",} 1.0"]);
    both("a{b=\"\\\"\"} 1\n", &["a{b=\"\\\"\",} 1.0"]);
    both("a{b=\"\\n\"} 1\n", &["a{b=\"\\n\",} 1.0"]);
    both("a{b=\"\\\\n\"} 1\n", &["a{b=\"\\\\n\",} 1.0"]);
    both("a{b=\"\\\\\\n\"} 1\n", &["a{b=\"\\\\\\n\",} 1.0"]);
    // Any other sequence stands for itself.
    both("a{b=\"C:\\dir\\t\"} 1\n", &["a{b=\"C:\\\\dir\\\\t\",} 1.0"]);
    both("a{b=\"\\ü\"} 1\n", &["a{b=\"\\\\ü\",} 1.0"]);
}

#[test]
fn text_allows_white_space_between_all_tokens() {
    text("a 1", &["a{} 1.0"]);
    text("a\t1\t2\t", &["a{} 1.0 @2"]);
    text("  a  1  2  \n", &["a{} 1.0 @2"]);
    text(
        "a { b = \"c\" , d=\"e\" , } 1",
        &["a{b=\"c\",d=\"e\",} 1.0"],
    );
    text("a{b=\"c\"}1", &["a{b=\"c\",} 1.0"]);
    text(
        "a{b=\"c\"d=\"e\" f=\"g\"} 1",
        &["a{b=\"c\",d=\"e\",f=\"g\",} 1.0"],
    );
    text("\n \t\n\na 1\n\n", &["a{} 1.0"]);
    text("", &[]);
    text("\n", &[]);
    text("a-1", &["a{} -1.0"]);
    text("a.5 6", &["a{} 0.5 @6"]);
    text("a{b=\"1\n2\"} 1\nc 2", &["a{b=\"1\\n2\",} 1.0", "c{} 2.0"]);
}

#[test]
fn reads_values_in_every_spelling() {
    #[track_caller]
    fn value(word: &str, expected: &str) {
        both(&format!("a {word}\n"), &[&format!("a{{}} {expected}")]);
    }
    value("0", "0.0");
    value("-0", "-0.0");
    value("+1", "1.0");
    value("007", "7.0");
    value("123456789012345", "123456789012345.0");
    value("1234567890123456", "1234567890123456.0");
    value("9007199254740993", "9007199254740992.0");
    value("18446744073709551615", "1.8446744073709552e19");
    value(".5", "0.5");
    value("5.", "5.0");
    value("-.5e1", "-5.0");
    value("5.e-1", "0.5");
    value("1e+03", "1000.0");
    value("1E3", "1000.0");
    value("1e-400", "0.0");
    value("4.9351e-05", "4.9351e-5");
    value("5e-324", "5e-324");
    value("1.7976931348623157e308", "1.7976931348623157e308");
    for word in ["nan", "NaN", "NAN", "nAn"] {
        value(word, "NaN");
    }
    for word in ["inf", "Inf", "+Inf", "+inf", "INFINITY", "+Infinity"] {
        value(word, "inf");
    }
    for word in ["-inf", "-Inf", "-Infinity", "-iNfInItY"] {
        value(word, "-inf");
    }
}

#[test]
fn a_nan_has_the_bits_of_prometheus() {
    let mut parser = Parser::new(b"a NaN", Format::Text);
    let Some(Ok(Entry::Sample(sample))) = parser.next() else {
        panic!("no sample");
    };
    assert_eq!(sample.value.to_bits(), 0x7ff8_0000_0000_0001);
}

#[test]
fn reads_timestamps() {
    text("a 1 0", &["a{} 1.0 @0"]);
    text("a 1 1700000000123", &["a{} 1.0 @1700000000123"]);
    text("a 1 9223372036854775807", &["a{} 1.0 @9223372036854775807"]);
    openmetrics("a 1 0\n", &["a{} 1.0 @0"]);
    openmetrics("a 1 1700000000.123\n", &["a{} 1.0 @1700000000123"]);
    openmetrics("a 1 1.7e9\n", &["a{} 1.0 @1700000000000"]);
    openmetrics("a 1 -1.5\n", &["a{} 1.0 @-1500"]);
    openmetrics("a 1 0.0019\n", &["a{} 1.0 @1"]);
    openmetrics("a 1 1e300\n", &["a{} 1.0 @9223372036854775807"]);
}

#[test]
fn reads_metadata_of_text() {
    text("# HELP a b c", &["help a \"b c\""]);
    text("# HELP a  b ", &["help a \" b \""]);
    text("#\tHELP\t a\tb", &["help a \"b\""]);
    text("# HELP a", &["help a \"\""]);
    text("# HELP a  \n", &["help a \"\""]);
    text(
        "# HELP a b\\\\c\\nd\\\"e\\x",
        &["help a \"b\\\\c\\nd\\\\\\\"e\\\\x\""],
    );
    text("# HELP a b\0c", &["help a \"b\\0c\""]);
    text("# HELP a b\r\n", &["help a \"b\\r\""]);
    text("# HELP \"a.b\" c", &["help a.b \"c\""]);
    text("# HELP a{b}", &["help a \"b}\""]);
    text("  # TYPE a counter", &["type a counter"]);
    text("# TYPE a gauge", &["type a gauge"]);
    text("# TYPE a histogram", &["type a histogram"]);
    text("# TYPE a summary", &["type a summary"]);
    text("# TYPE a untyped", &["type a unknown"]);
    text("# TYPE \"a b\" untyped", &["type a b unknown"]);
}

#[test]
fn reads_metadata_of_openmetrics() {
    openmetrics("# HELP a b c\n", &["help a \"b c\""]);
    openmetrics("# HELP a \n", &["help a \"\""]);
    openmetrics(
        "# HELP a b\\\\c\\nd\\\"e\\x\n",
        &["help a \"b\\\\c\\nd\\\"e\\\\x\""],
    );
    openmetrics("# HELP \"a.b\" c\n", &["help a.b \"c\""]);
    for kind in ["counter", "gauge", "histogram", "gaugehistogram", "summary"] {
        openmetrics(format!("# TYPE a {kind}\n"), &[&format!("type a {kind}")]);
    }
    for kind in ["info", "stateset", "unknown"] {
        openmetrics(format!("# TYPE a {kind}\n"), &[&format!("type a {kind}")]);
    }
    openmetrics(
        "# UNIT a_seconds seconds\n",
        &["unit a_seconds \"seconds\""],
    );
    openmetrics("# UNIT a \n", &["unit a \"\""]);
    openmetrics("# UNIT \"a.b_s\" s\n", &["unit a.b_s \"s\""]);
}

#[test]
fn text_has_comments() {
    text("#", &["comment \"#\""]);
    text("#\n", &["comment \"#\""]);
    text("# a b\n", &["comment \"# a b\""]);
    text(" #a", &["comment \"#a\""]);
    text("#HELP a b", &["comment \"#HELP a b\""]);
    text("# HELPER a b", &["comment \"# HELPER a b\""]);
    text("# HELP\n", &["comment \"# HELP\""]);
    text("# TYPE", &["comment \"# TYPE\""]);
    text("# UNIT a b", &["comment \"# UNIT a b\""]);
    text("# EOF\na 1", &["comment \"# EOF\"", "a{} 1.0"]);
    text("# a\0b\r\n", &["comment \"# a\\0b\\r\""]);
    text(
        b"# a\xffb\na{b=\"\xc3\xbc\"} 1",
        &["comment \"# a\"", "a{b=\"ü\",} 1.0"],
    );
}

#[test]
fn reads_exemplars() {
    openmetrics("a 1 # {b=\"c\"} 2\n", &["a{} 1.0 # {b=\"c\",} 2.0"]);
    openmetrics("a 1 # {} 2\n", &["a{} 1.0 # {} 2.0"]);
    openmetrics(
        "a{x=\"y\"} 1 3 # {b=\"\\n\",\"c d\"=\"}\",} 2 1.5\n",
        &["a{x=\"y\",} 1.0 @3000 # {b=\"\\n\",c d=\"}\",} 2.0 @1500"],
    );
    openmetrics(
        "a 1 # {b=\"c\",b=\"d\"} NaN\n",
        &["a{} 1.0 # {b=\"c\",b=\"d\",} NaN"],
    );
}

#[test]
fn openmetrics_ends_with_eof() {
    check(b"# EOF", Format::OpenMetrics, &[]);
    check(b"# EOF\n", Format::OpenMetrics, &[]);
    check(b"a 1\n# EOF", Format::OpenMetrics, &["a{} 1.0"]);
}

#[test]
fn families_may_repeat_and_interleave() {
    text(
        "# TYPE a counter\na 1\nb 2\n# TYPE a gauge\na 1\n# HELP a x\n# HELP a y\n",
        &[
            "type a counter",
            "a{} 1.0",
            "b{} 2.0",
            "type a gauge",
            "a{} 1.0",
            "help a \"x\"",
            "help a \"y\"",
        ],
    );
}

#[test]
fn a_sample_knows_its_line_and_its_text() {
    #[track_caller]
    fn series(body: &str, expected: &[(usize, &str)]) {
        let mut found = Vec::new();
        let mut parser = Parser::new(body.as_bytes(), Format::Text);
        while let Some(entry) = parser.next() {
            if let Entry::Sample(sample) = entry.unwrap() {
                found.push((sample.line, sample.text));
            }
        }
        assert_eq!(found, expected, "{body:?}");
    }
    series("a 1", &[(1, "a")]);
    series(
        "\n# x\n a  { b=\"c\", }  1 2\n\nd 3",
        &[(3, "a  { b=\"c\", }"), (5, "d")],
    );
    series(
        "a{b=\"\n\n\"} 1\n{\"c\n\"} 2\nd 3",
        &[(1, "a{b=\"\n\n\"}"), (4, "{\"c\n\"}"), (6, "d")],
    );
}

#[test]
fn a_body_is_counted() {
    assert_eq!(
        check_body(b"# x\na 1\nb 2\n", Format::Text)
            .unwrap()
            .samples,
        2
    );
    assert!(check_body(b"# x\na 1\nb\n", Format::Text).is_err());
}

#[test]
fn many_labels_take_linear_time() {
    let labels: Vec<_> = (0..200_000).map(|i| format!("l{i}=\"\",")).collect();
    let mut body = format!("a{{{}}} 1\n", labels.concat());
    for _ in 0..20_000 {
        body.push_str("b{a=\"\",b=\"\",c=\"\",d=\"\",e=\"\",f=\"\",g=\"\",h=\"\",i=\"\",");
        body.push_str("j=\"\",k=\"\",l=\"\",m=\"\",n=\"\",o=\"\",p=\"\",q=\"\",r=\"\"} 1\n");
    }
    assert_eq!(
        check_body(body.as_bytes(), Format::Text).unwrap().samples,
        20_001
    );
}
