//! What a page reads of a body, and what it refuses.

use std::sync::Arc;

use super::line::is_equal;
use super::*;
use crate::model::Labels;
use crate::wire::Shape;

#[test]
fn texts_are_compared_to_the_last_byte() {
    for length in 0..70 {
        let one = vec![b'a'; length];
        assert!(is_equal(&one, &one));
        for at in 0..length {
            let mut other = one.clone();
            other[at] = b'b';
            assert!(!is_equal(&one, &other), "{at} of {length}");
        }
    }
}

const BODY: &str = "# HELP a Counts.\n# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 2.5\n\
                    # TYPE b gauge\nb 3\n# a last word\n";

fn page(body: &str, format: Format) -> Shape {
    Shape::build(Arc::new(Labels::default()), body.as_bytes(), format).unwrap()
}

#[track_caller]
fn check(body: &str, expected: Result<&[Option<f64>], Misfit>) {
    let shape = page(BODY, Format::Text);
    let mut column = Column::default();
    match match_body(shape.page(), body.as_bytes(), &mut column) {
        Ok(_) => {
            let values: Vec<_> = column.iter().map(Value::get).collect();
            assert_eq!(Ok(&*values), expected, "{body}");
        }
        Err(misfit) => assert_eq!(Err(misfit), expected, "{body}"),
    }
}

fn changed(series: usize, comments: usize, times: usize) -> Misfit {
    Misfit::Changed(Changes {
        series,
        comments,
        times,
    })
}

#[test]
fn the_same_lines_need_only_their_numbers() {
    check(BODY, Ok(&[Some(1.0), Some(2.5), Some(3.0)]));
    let other = BODY.replace(" 2.5", " -1e-3").replace("b 3", "b +Inf");
    check(&other, Ok(&[Some(1.0), Some(-0.001), Some(f64::INFINITY)]));
}

#[test]
fn a_moved_line_is_found() {
    check(
        "# TYPE b gauge\nb 3\n# TYPE a counter\na{x=\"2\"} 2\na{x=\"1\"} 1\n",
        Ok(&[Some(1.0), Some(2.0), Some(3.0)]),
    );
}

#[test]
fn a_missing_series_is_absent() {
    check("a{x=\"2\"} 2\n", Ok(&[None, Some(2.0), None]));
    check("", Ok(&[None, None, None]));
}

#[test]
fn white_space_is_read_as_the_parser_reads_it() {
    check(
        "  a{x=\"1\"}\t1\n\n \t\na{x=\"2\"}  2 \nb 3",
        Ok(&[Some(1.0), Some(2.0), Some(3.0)]),
    );
}

#[test]
fn what_is_new_is_counted() {
    check("a{x=\"1\"} 1\na{x=\"3\"} 1\nc 1\n", Err(changed(2, 0, 0)));
    check("# HELP a Weighs.\na{x=\"1\"} 1\n", Err(changed(0, 1, 0)));
    check("b 3 1700000000000\n", Err(changed(0, 0, 1)));
}

#[test]
fn a_comment_is_known_with_its_carriage_return() {
    let body = "# HELP a Counts.\r\n# a word\r\na 1\n# the last\r\n";
    let shape = page(body, Format::Text);
    let mut column = Column::default();
    // None of the comments stands where it stood.
    for body in [
        "# a word\r\na 1\n",
        "# the last\r\na 1\n# HELP a Counts.\r\n",
    ] {
        let matched = match_body(shape.page(), body.as_bytes(), &mut column);
        assert_eq!(matched.map(|matched| matched.samples), Ok(1), "{body}");
    }
    let misfit = match_body(shape.page(), b"# a word\na 1\n", &mut column).unwrap_err();
    assert_eq!(misfit, changed(0, 1, 0));
}

#[test]
fn what_is_not_plain_is_refused() {
    check("b 3\nb 3\n", Err(Misfit::Repeated));
    check("b x\n", Err(Misfit::Unreadable));
    check("b\n", Err(Misfit::Unreadable));
    check("b 3 x\n", Err(Misfit::Unreadable));
    check("b 3 1 1\n", Err(Misfit::Unreadable));
    check("b 3 99999999999999999999\n", Err(Misfit::Unreadable));
}

#[test]
fn comments_that_repeat_are_compared_once() {
    // Compared anew at each line, these would be gigabytes.
    let comments = "# x\n".repeat(200_000);
    let shape = page(&format!("{comments}a 1\n"), Format::Text);
    let mut column = Column::default();
    let body = format!("{comments}b 1\na 2\n{comments}");
    let misfit = match_body(shape.page(), body.as_bytes(), &mut column).unwrap_err();
    assert_eq!(misfit, changed(1, 0, 0));
}

#[test]
fn openmetrics_is_read_to_its_letter() {
    let body = "# TYPE a counter\na_total 1 1.5\nb 2\n# EOF\n";
    let shape = page(body, Format::OpenMetrics);
    let mut column = Column::default();
    let mut read = |body: &str| match_body(shape.page(), body.as_bytes(), &mut column);
    assert_eq!(read(body).map(|matched| matched.samples), Ok(2));
    assert_eq!(read("a_total 1 1.5\nb 2\n"), Err(Misfit::Unreadable));
    assert_eq!(read("b  2\n# EOF\n"), Err(Misfit::Unreadable));
    assert_eq!(read("\nb 2\n# EOF\n"), Err(Misfit::Unreadable));
    assert_eq!(read("b 2\n# EOF\nb 2\n"), Err(Misfit::Unreadable));
    assert_eq!(read("b 2 # {} x\n# EOF\n"), Err(Misfit::Unreadable));
    assert_eq!(read("b 2 # {a=b} 1\n# EOF\n"), Err(Misfit::Unreadable));
    assert_eq!(read("b 2 # {} 1 \n# EOF\n"), Err(Misfit::Unreadable));
    assert_eq!(read("b 2\n# EOF").map(|matched| matched.samples), Ok(1));
    read(body).unwrap();
    assert_eq!(
        (column.time(0), column.get(1).get()),
        (Some(1500), Some(2.0))
    );
}

#[test]
fn labels_are_parted_from_values_as_the_parser_does() {
    for key in [
        "a",
        "a{}",
        "a {b=\"c\"}",
        r#"a{b="}",c="\"}\\"}"#,
        r#"{"a b",c="d"}"#,
    ] {
        let line = format!("{key} 1 2");
        assert_eq!(key_length(line.as_bytes()), key.len(), "{line}");
        page(&format!("{key} 1\n"), Format::Text);
    }
}
