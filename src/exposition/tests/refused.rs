//! What is refused, where and why.

use super::super::{Keyword, Reason};
use super::render;
use crate::model::Format;

#[track_caller]
fn text(body: impl AsRef<[u8]>, line: usize, column: usize, reason: Reason) {
    check(body.as_ref(), Format::Text, (line, column), reason);
}

#[track_caller]
fn openmetrics(body: impl AsRef<[u8]>, line: usize, column: usize, reason: Reason) {
    check(body.as_ref(), Format::OpenMetrics, (line, column), reason);
}

#[track_caller]
fn both(body: impl AsRef<[u8]>, line: usize, column: usize, reason: Reason) {
    text(body.as_ref(), line, column, reason.clone());
    openmetrics(body.as_ref(), line, column, reason);
}

#[track_caller]
fn check(body: &[u8], format: Format, place: (usize, usize), reason: Reason) {
    let shown = String::from_utf8_lossy(body);
    match render(body, format) {
        Ok(entries) => panic!("{shown:?} is read as {entries:?}"),
        Err(error) => assert_eq!(
            ((error.line, error.column), error.reason),
            (place, reason),
            "{shown:?} as {format:?}"
        ),
    }
}

#[test]
fn what_is_no_exposition() {
    both("<!DOCTYPE html>\n<html>", 1, 1, Reason::ExpectedEntry);
    both("{\"a\": 1}", 1, 5, Reason::ExpectedEquals);
    both("9a 1\n", 1, 1, Reason::ExpectedEntry);
    both("a 1\nü 1\n", 2, 1, Reason::ExpectedEntry);
    both("=\n", 1, 1, Reason::ExpectedEntry);
    both(b"\xff\xfe\n", 1, 1, Reason::ExpectedEntry);
    both(b"\xef\xbb\xbfa 1\n", 1, 1, Reason::ExpectedEntry);
    text("\r\n", 1, 1, Reason::ExpectedEntry);
    text("\0", 1, 1, Reason::NulByte);
    text("a 1\n \0a 2\n", 2, 2, Reason::NulByte);
    openmetrics("\0", 1, 1, Reason::ExpectedEntry);
}

#[test]
fn bad_label_sets() {
    both("a{b='c'} 1\n", 1, 5, Reason::ExpectedLabelValue);
    both("a{b=\n", 1, 5, Reason::ExpectedLabelValue);
    both("a{b=", 1, 5, Reason::ExpectedLabelValue);
    both("a{b=c} 1\n", 1, 5, Reason::ExpectedLabelValue);
    both(b"a{\xff=\"foo\"} 1\n", 1, 3, Reason::ExpectedLabelName);
    both("a{=\"\"} 0\n", 1, 3, Reason::ExpectedLabelName);
    both("a{", 1, 3, Reason::ExpectedLabelName);
    both("a{,} 1\n", 1, 3, Reason::ExpectedLabelName);
    both("a{b=\"c\",,} 1\n", 1, 9, Reason::ExpectedLabelName);
    both("a{9=\"c\"} 1\n", 1, 3, Reason::ExpectedLabelName);
    both("a{b:c=\"d\"} 1\n", 1, 4, Reason::ExpectedEquals);
    both("a{b} 1\n", 1, 4, Reason::ExpectedEquals);
    both("a{b,} 1\n", 1, 4, Reason::ExpectedEquals);
    both("{b} 1\n", 1, 3, Reason::ExpectedEquals);
    both("a{b\0=\"c\"} 1\n", 1, 4, Reason::ExpectedEquals);
    both("a{b=\0\"c\"} 1\n", 1, 5, Reason::ExpectedLabelValue);
    both("a{b=\"c", 1, 5, Reason::UnterminatedString);
    both("a{b=\"c\\", 1, 5, Reason::UnterminatedString);
    both("a{b=\"c\\\"} 1", 1, 5, Reason::UnterminatedString);
    both("a{b=\"c\\\n\"} 1\n", 1, 5, Reason::UnterminatedString);
    text("a{b=\"c} 1\nd{e=\"f\"} 1\n", 2, 7, Reason::ExpectedEquals);
    openmetrics(
        "a{b=\"c} 1\nd{e=\"f\"} 1\n",
        1,
        5,
        Reason::UnterminatedString,
    );
    both(b"a{b=\"c\xff\"} 1\n", 1, 7, Reason::InvalidUtf8);
    both(b"x 1\na{b=\"\xc3\"} 1\n", 2, 6, Reason::InvalidUtf8);
    openmetrics("a{b=\"c\"d=\"e\"} 1\n", 1, 8, Reason::ExpectedComma);
    openmetrics("a{b=\"c\", d=\"e\"} 1\n", 1, 9, Reason::ExpectedLabelName);
    openmetrics("a{b =\"c\"} 1\n", 1, 4, Reason::ExpectedEquals);
    openmetrics(
        "a {b=\"c\"} 1\n",
        1,
        3,
        Reason::InvalidValue("{b=\"c\"}".into()),
    );
}

#[test]
fn bad_names() {
    both("{} 1\n", 1, 1, Reason::MissingName);
    both("{a=\"b\"} 1\n", 1, 1, Reason::MissingName);
    both("a{\"b\"} 1\n", 1, 3, Reason::SecondName);
    both("{\"a\",\"b\"} 1\n", 1, 6, Reason::SecondName);
    both("{\"\"} 1\n", 1, 2, Reason::EmptyName);
    both("{\"a\",\"\"=\"b\"} 1\n", 1, 6, Reason::EmptyName);
    both(b"{\"a\xff\"} 1\n", 1, 4, Reason::InvalidUtf8);
    both("{\"a\0\"} 1\n", 1, 4, Reason::NulByte);
    both("{\"a\\\0\"} 1\n", 1, 5, Reason::NulByte);
    text("{\"a\" 1\n", 1, 6, Reason::ExpectedEquals);
    openmetrics("{\"a\" 1\n", 1, 5, Reason::ExpectedEquals);
}

#[test]
fn repeated_label_names() {
    let repeated = |name: &str| Reason::DuplicateLabel(name.into());
    both("a{b=\"1\",b=\"2\"} 1\n", 1, 9, repeated("b"));
    both("a{b=\"1\",\"b\"=\"1\"} 1\n", 1, 9, repeated("b"));
    both("a{__name__=\"b\"} 1\n", 1, 3, repeated("__name__"));
    both("{__name__=\"b\"} 1\n", 1, 2, Reason::MissingName);
    let labels: Vec<_> = (0..40).map(|i| format!("l{i}=\"\",")).collect();
    let body = format!("a{{{}", labels.concat());
    both(
        format!("{body}l3=\"\"}} 1\n"),
        1,
        body.len() + 1,
        repeated("l3"),
    );
    both(
        format!("{body}l39=\"\"}} 1\n"),
        1,
        body.len() + 1,
        repeated("l39"),
    );
}

#[test]
fn bad_values() {
    both("a\n", 1, 2, Reason::ExpectedValue);
    both("a{b=\"c\"}\n", 1, 9, Reason::ExpectedValue);
    both("a{}{} 1\n", 1, 4, Reason::ExpectedValue);
    both("a\0 1\n", 1, 2, Reason::ExpectedValue);
    text("a ", 1, 3, Reason::ExpectedValue);
    openmetrics("a  1\n", 1, 3, Reason::ExpectedValue);
    openmetrics("a\t1\n", 1, 2, Reason::ExpectedValue);
    openmetrics("a{b=\"c\"}1\n", 1, 9, Reason::ExpectedValue);
    for word in [
        "true",
        "1_2",
        "0x1p-3",
        "0x1P-3",
        "0x1F",
        "0b1",
        "1e",
        "1e+",
        "e1",
        ".",
        "-",
        "+",
        "--1",
        "+-1",
        "1.2.3",
        "1,5",
        "+nan",
        "-NaN",
        "nanx",
        "in",
        "infi",
        "infinit",
        "infinityy",
        "1f",
        "1\r",
        "1d",
        "１",
        "1p3",
        "-.",
        ".e1",
        "\"1\"",
        "1e1.5",
        "++1",
        "NaN(1)",
        "1#",
    ] {
        both(
            format!("a {word}\n"),
            1,
            3,
            Reason::InvalidValue(word.replace('\r', "\\r").into()),
        );
    }
    both("a 1e309\n", 1, 3, Reason::ValueOutOfRange("1e309".into()));
    both("a -1e999\n", 1, 3, Reason::ValueOutOfRange("-1e999".into()));
    let long = "x".repeat(100);
    let shown = format!("{}…", "x".repeat(40));
    both(
        format!("a {long}\n"),
        1,
        3,
        Reason::InvalidValue(shown.into()),
    );
}

#[test]
fn bad_timestamps_and_line_ends() {
    text("a 1 x\n", 1, 5, Reason::ExpectedTimestamp);
    text("a 1 -5\n", 1, 5, Reason::ExpectedTimestamp);
    text("a 1 # {} 1\n", 1, 5, Reason::ExpectedTimestamp);
    text("a 1 \r\n", 1, 5, Reason::ExpectedTimestamp);
    text("a 1{\n", 1, 4, Reason::ExpectedTimestamp);
    text("a 1\0\n", 1, 4, Reason::ExpectedTimestamp);
    text("a 0 1_2\n", 1, 6, Reason::ExpectedLineEnd);
    text("a 0 1.5\n", 1, 6, Reason::ExpectedLineEnd);
    text("a 0 1 2\n", 1, 7, Reason::ExpectedLineEnd);
    text("a 0 1\0\n", 1, 6, Reason::ExpectedLineEnd);
    text("a 0 1\r\n", 1, 6, Reason::ExpectedLineEnd);
    let bad = |word: &str| Reason::InvalidTimestamp(word.into());
    text("a 1 9223372036854775808", 1, 5, bad("9223372036854775808"));
    openmetrics("a 1 x\n", 1, 5, bad("x"));
    openmetrics("a 1 NaN\n", 1, 5, bad("NaN"));
    openmetrics("a 1 +Inf\n", 1, 5, bad("+Inf"));
    openmetrics("a 1 #\n", 1, 5, bad("#"));
    openmetrics("a 1 1_0\n", 1, 5, bad("1_0"));
    openmetrics("a 1 \n", 1, 5, Reason::ExpectedTimestamp);
    openmetrics("a 1  2\n", 1, 5, Reason::ExpectedTimestamp);
    openmetrics("a 1 2 \n", 1, 6, Reason::ExpectedLineEnd);
    openmetrics("a 1 2 3\n", 1, 6, Reason::ExpectedLineEnd);
    openmetrics("a 1 # b\n", 1, 5, bad("#"));
}

#[test]
fn bad_exemplars() {
    openmetrics("a 1 # {b=\"c\"}\n", 1, 14, Reason::ExpectedValue);
    openmetrics("a 1 # {b} 2\n", 1, 9, Reason::ExpectedEquals);
    openmetrics("a 1 # {\"b\"} 2\n", 1, 11, Reason::ExpectedEquals);
    openmetrics(
        "a 1 # {\"b\n\"=\"c\"} 2\n",
        1,
        8,
        Reason::UnterminatedString,
    );
    openmetrics("a 1 # {b=\"c\",,} 2\n", 1, 14, Reason::ExpectedLabelName);
    openmetrics(
        "a 1 # {b=\"c\"} x\n",
        1,
        15,
        Reason::InvalidValue("x".into()),
    );
    openmetrics(
        "a 1 # {b=\"c\"} 2 x\n",
        1,
        17,
        Reason::InvalidTimestamp("x".into()),
    );
    openmetrics("a 1 # {b=\"c\"} 2 3 4\n", 1, 18, Reason::ExpectedLineEnd);
    openmetrics(
        "a 1 # {b=\"c\"} 2 # {} 3\n",
        1,
        17,
        Reason::InvalidTimestamp("#".into()),
    );
    openmetrics(b"a 1 # {b=\"\xff\"} 2\n", 1, 11, Reason::InvalidUtf8);
}

#[test]
fn bad_metadata() {
    let unknown = |word: &str| Reason::UnknownType(word.into());
    both("# TYPE #\n", 1, 8, Reason::ExpectedFamily(Keyword::Type));
    both("# HELP #\n", 1, 8, Reason::ExpectedFamily(Keyword::Help));
    both("# TYPE \n", 1, 8, Reason::ExpectedFamily(Keyword::Type));
    both("# TYPE \"a counter\n", 1, 8, Reason::UnterminatedString);
    both("# TYPE a COUNTER\n", 1, 10, unknown("COUNTER"));
    both("# TYPE a counter \n", 1, 10, unknown("counter "));
    both("# TYPE a counter\r\n", 1, 10, unknown("counter\\r"));
    both("# TYPE a  counter\n", 1, 10, unknown(" counter"));
    text("# TYPE a\n", 1, 9, unknown(""));
    text("# TYPE a unknown\n", 1, 10, unknown("unknown"));
    text("# TYPE a info\n", 1, 10, unknown("info"));
    text("# HELP a\0b\n", 1, 9, Reason::NulByte);
    both(b"# HELP a b\xff\n", 1, 11, Reason::InvalidUtf8);
    text("# HELP a\u{fc}b\n", 1, 10, Reason::InvalidUtf8);
    openmetrics("# TYPE a untyped\n", 1, 10, unknown("untyped"));
    openmetrics(
        "# TYPE  a counter\n",
        1,
        8,
        Reason::ExpectedFamily(Keyword::Type),
    );
    openmetrics("# TYPE a\n", 1, 9, Reason::ExpectedText(Keyword::Type));
    openmetrics("# HELP a\n", 1, 9, Reason::ExpectedText(Keyword::Help));
    openmetrics("# HELP a\tb\n", 1, 9, Reason::ExpectedText(Keyword::Help));
    openmetrics("# UNIT a_b c\n", 1, 12, Reason::UnitNotInName("c".into()));
    openmetrics("# UNIT ab b\n", 1, 11, Reason::UnitNotInName("b".into()));
    openmetrics("# UNIT b b\n", 1, 10, Reason::UnitNotInName("b".into()));
    openmetrics("# HELP a b", 1, 11, Reason::MissingEof);
}

#[test]
fn openmetrics_is_strict() {
    openmetrics("", 1, 1, Reason::MissingEof);
    openmetrics("a 1\n", 2, 1, Reason::MissingEof);
    openmetrics("a 1", 1, 4, Reason::MissingEof);
    openmetrics("a 1 # {} 2", 1, 11, Reason::MissingEof);
    openmetrics("# EOF\n\n", 2, 1, Reason::DataAfterEof);
    openmetrics("# EOF\na 1\n", 2, 1, Reason::DataAfterEof);
    openmetrics("# EOFa\n", 1, 6, Reason::DataAfterEof);
    openmetrics("# EOF\n# EOF\n", 2, 1, Reason::DataAfterEof);
    openmetrics("a 1\n\n# EOF\n", 2, 1, Reason::ExpectedEntry);
    openmetrics(" a 1\n# EOF\n", 1, 1, Reason::ExpectedEntry);
    openmetrics("# comment\n# EOF\n", 1, 3, Reason::ExpectedKeyword);
    openmetrics("#EOF\n", 1, 1, Reason::ExpectedKeyword);
    openmetrics("#  EOF\n", 1, 3, Reason::ExpectedKeyword);
    openmetrics("# HELP\n", 1, 3, Reason::ExpectedKeyword);
}

#[test]
fn the_message_names_line_column_and_reason() {
    let error = render(b"a 1\nb one\n", Format::Text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2, column 3: value `one` is not a number"
    );
}
