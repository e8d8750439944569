//! Tests of shapes and their messages.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::kin::is_good;
use super::{Misfit, Page, Shape, ShapeError, ShapeId, ShapeStore, ShapeWriter};
use crate::model::{Format, Labels};
use crate::wire::cursor::put_length;
use crate::wire::{Column, DecodeError, SHAPES_VERSION, Value, match_body};

const BODY: &str = "# HELP h Waits.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\n\
                    h_bucket{le=\"+Inf\"} 2\nh_sum 1.5\nh_count 2\n# TYPE g gauge\n\
                    g{x=\"{\"} NaN\nt 1 1700000000000\n# the end\n";

fn build(instance: &str, body: &str) -> Shape {
    let target = Arc::new(Labels::of_target("job", instance));
    Shape::build(target, body.as_bytes(), Format::Text).unwrap()
}

fn whole(shape: &Shape) -> Vec<u8> {
    let mut writer = ShapeWriter::new();
    writer.whole(shape);
    writer.finish()
}

#[test]
fn a_shape_knows_everything_but_the_values() {
    let shape = build("a:1", BODY);
    let keys: Vec<_> = shape.page().keys().collect();
    let expected = [
        "h_bucket{le=\"1\"}",
        "h_bucket{le=\"+Inf\"}",
        "h_sum",
        "h_count",
        "g{x=\"{\"}",
        "t",
    ];
    assert_eq!(keys, expected);
    assert_eq!(shape.page().flags(), [0, 1, 0, 2, 0, 4]);
    let mut text = Vec::new();
    let mut column = Column::default();
    match_body(shape.page(), BODY.as_bytes(), &mut column).unwrap();
    shape.write_text(&column, &mut text);
    assert_eq!(String::from_utf8(text).unwrap(), BODY);
}

#[test]
fn a_shape_is_named_by_its_content() {
    let one = build("a:1", BODY);
    assert_eq!(one.id(), build("a:1", BODY).id());
    assert_ne!(one.id(), build("a:2", BODY).id());
    assert_ne!(one.id(), build("a:1", &BODY.replace("2\n", "3\n")).id());
    let named = ShapeId::of(b"abc").to_string();
    // The first half of what every SHA-256 says of `abc`.
    assert_eq!(named, "ba7816bf8f01cfea414140de5dae2223");
}

#[test]
fn a_message_carries_shapes_whole_and_as_patches() {
    let one = build("a:1", BODY);
    let two = build("a:2", BODY);
    let three = two.extend(format!("{BODY}z 1\n").as_bytes()).unwrap();
    let mut writer = ShapeWriter::new();
    writer.whole(&one);
    let size = writer.len();
    assert!(writer.patch(&two, &one));
    assert!(writer.patch(&three, &two));
    assert!(writer.len() < size * 2, "{size} {}", writer.len());
    let message = writer.finish();
    let mut store = ShapeStore::default();
    let ids = store.read(&message).unwrap();
    assert_eq!(ids, [one.id(), two.id(), three.id()]);
    for shape in [&one, &two, &three] {
        let read = store.get(shape.id()).unwrap();
        assert_eq!(read.target(), shape.target());
        assert_eq!(read.page(), shape.page());
        assert_eq!(read.template().mantissas, shape.template().mantissas);
    }
    // What targets have in common is kept once.
    let pages = [one.id(), two.id()].map(|id| Arc::clone(store.get(id).unwrap().page()));
    assert!(Arc::ptr_eq(&pages[0], &pages[1]));
    drop(pages);
    assert_eq!(store.read(&message).unwrap(), ids);
    store.retain(|id| id == three.id());
    assert_eq!(store.len(), 1);
    assert!(store.memory() < 4096, "{}", store.memory());
}

/// Sends a shape as a sibling of others and compares what comes out.
#[track_caller]
fn check_sibling(body: &str, base: &str, second: Option<&str>) {
    let shape = build("c:1", body);
    let (base, second) = (build("a:1", base), second.map(|body| build("b:1", body)));
    let mut store = ShapeStore::default();
    let mut known = ShapeWriter::new();
    known.whole(&base);
    let mut writer = ShapeWriter::new();
    let head = writer.len();
    writer.sibling(&shape, &base, second.as_ref());
    let message = writer.finish();
    if let Some(second) = &second {
        known.whole(second);
    }
    if message[head] == 3 {
        let unknown = ShapeError::UnknownShape(base.id());
        assert_eq!(store.read(&message).unwrap_err(), unknown);
    }
    store.read(&known.finish()).unwrap();
    assert_eq!(store.read(&message).unwrap(), [shape.id()], "{body}");
    let read = store.get(shape.id()).unwrap();
    assert_eq!(read.target(), shape.target());
    assert_eq!(read.page(), shape.page());
    assert_eq!(read.template(), shape.template());
    for length in head + 1..message.len() {
        let mut store = ShapeStore::default();
        store.insert(base.clone()).unwrap();
        if let Some(second) = &second {
            store.insert(second.clone()).unwrap();
        }
        store.read(&message[..length]).unwrap_err();
    }
}

#[test]
fn a_sibling_has_its_own_values() {
    let moved = BODY.replace("1.5", "2.25").replace(" 2\n", " 70000\n");
    let fewer = BODY.replace("h_sum 1.5\n", "").replace("NaN", "-0.5");
    let more = format!("first 12\n{BODY}other{{x=\"y\"}} 0.125\nlast 1e300\n");
    let bodies = [BODY, &moved, &fewer, &more];
    for body in bodies {
        for base in bodies {
            check_sibling(body, base, None);
            for second in bodies {
                check_sibling(body, base, Some(second));
            }
        }
    }
}

#[test]
fn a_sibling_is_smaller_than_a_patch() {
    let page = |seed: u64| {
        let mut body = String::from("# HELP a A.\n");
        for n in 0..200_u64 {
            let random = (seed * 1000 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
            let value = if n % 3 == 0 { random } else { n };
            writeln!(body, "a{{n=\"{n}\"}} {value}.5").unwrap();
        }
        body
    };
    let [one, two, three] = [1, 2, 3].map(|seed| build(&format!("a:{seed}"), &page(seed)));
    let size = |write: &dyn Fn(&mut ShapeWriter) -> bool| {
        let mut writer = ShapeWriter::new();
        assert!(write(&mut writer));
        writer.len()
    };
    let patch = size(&|writer| writer.patch(&three, &one));
    let alone = size(&|writer| writer.sibling(&three, &one, None));
    let beside = size(&|writer| writer.sibling(&three, &one, Some(&two)));
    assert!(alone < patch && beside < alone, "{patch} {alone} {beside}");
}

#[test]
fn a_sibling_that_is_damaged_is_refused() {
    let [one, two] = ["a:1", "a:2"].map(|instance| build(instance, BODY));
    let mut writer = ShapeWriter::new();
    let head = writer.len();
    assert!(writer.sibling(&two, &one, None));
    let message = writer.finish();
    assert_eq!(message[head], 3);
    for bit in 0..message.len() * 8 {
        let mut damaged = message.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let mut store = ShapeStore::default();
        store.insert(one.clone()).unwrap();
        // A few bits of a zstd header have no influence on what comes out.
        if let Ok(ids) = store.read(&damaged) {
            let is_known = ids.iter().all(|id| [one.id(), two.id()].contains(id));
            assert!(is_known, "bit {bit}");
        }
    }
}

#[test]
fn an_extended_shape_keeps_what_was_there() {
    let old = build("a:1", "# HELP a One.\na 1\nb 2\nc 3\nd 4\n");
    let new = old
        .extend(b"z 1\na 5\n# HELP n New.\nn 6\n# HELP a Other.\nc 7 8\nd 9\n")
        .unwrap();
    let text = "z\n# HELP a Other.\na\n# HELP n New.\nn\nb\nc\nd\n";
    assert_eq!(new.page().text(), text);
    assert_eq!(new.page().flags(), [0, 0, 0, 0, 4, 0]);
    let template: Vec<_> = new.template().iter().map(Value::get).collect();
    assert_eq!(template, [1.0, 1.0, 6.0, 2.0, 3.0, 4.0].map(Some));
    // Series that are gone for good go with the next change.
    let next = new.extend(b"q 1\nd 2\n").unwrap();
    assert_eq!(next.page().text(), "q\nd\n");
}

/// Extends the shape of one body by another in both ways.
#[track_caller]
fn extended_in_both_ways(old: &str, body: &str, format: Format) {
    let target = Arc::new(Labels::of_target("job", "a:1"));
    let Ok(old) = Shape::build(target, old.as_bytes(), format) else {
        return;
    };
    let Some(by_lines) = old.extend_by_lines(body.as_bytes()) else {
        return;
    };
    let by_parsing = old.extend_by_parsing(body.as_bytes()).unwrap();
    assert_eq!(by_lines.page(), by_parsing.page(), "{body}");
    assert_eq!(by_lines.id(), by_parsing.id(), "{body}");
    assert!(is_good(by_lines.page(), None), "{body}");
}

#[test]
fn the_ways_to_extend_a_shape_agree() {
    let check = |body: &str| {
        let old = build("a:1", BODY);
        assert!(old.extend_by_lines(body.as_bytes()).is_some(), "{body}");
        extended_in_both_ways(BODY, body, Format::Text);
    };
    check(&format!("{BODY}z 1\n"));
    check(&format!("z 1\n# HELP y Y.\ny 2 3\n{BODY}# more\n"));
    check(&BODY.replace("# TYPE g gauge\n", "i_count 1\n# TYPE g untyped\n# x\n"));
    check(&BODY.replace("h_sum 1.5\n", "h_extra 1\nh_sum 1.5\n"));
    check(&BODY.replace("t 1 1700000000000\n", "t 1\n\n  u{a=\"é\"}\t1\n"));
    check(&BODY.replace("h_sum 1.5\n", ""));
}

#[track_caller]
fn does_not_fit(body: &str, expected: Misfit) {
    let target = Arc::new(Labels::default());
    let built = Shape::build(target, body.as_bytes(), Format::Text);
    assert_eq!(built.unwrap_err(), expected, "{body}");
}

#[test]
fn what_cannot_be_a_shape_is_said() {
    does_not_fit("a 1\na 2\n", Misfit::Repeated);
    does_not_fit("a{b=\"x\ny\"} 1\n", Misfit::Unreadable);
    does_not_fit("a\n", Misfit::Unreadable);
}

#[test]
fn exemplars_are_values_and_not_of_the_shape() {
    let build = |body: &str| {
        let target = Arc::new(Labels::default());
        Shape::build(target, body.as_bytes(), Format::OpenMetrics).unwrap()
    };
    let body = "# TYPE a counter\na_total 1 # {id=\"x # {y\"} 0.5 1.5\nb 2 1.5005 # {} 1\n# EOF\n";
    let shape = build(body);
    assert_eq!(shape.id(), build(&body.replace(" # {} 1", "")).id());
    assert!(shape.template().exemplars().is_empty());
    let mut column = Column::default();
    let moved = "b 2 1.5005 # {} 1\na_total 1 # {id=\"x # {y\"} 0.5 1.5\n# EOF\n";
    match_body(shape.page(), moved.as_bytes(), &mut column).unwrap();
    let mut text = Vec::new();
    shape.write_text(&column, &mut text);
    assert_eq!(String::from_utf8(text).unwrap(), body);
}

#[test]
fn openmetrics_keeps_its_end() {
    let body = "# TYPE a counter\n# UNIT b_seconds seconds\na_total 1 -1.5\nb_seconds 2\n# EOF\n";
    let target = Arc::new(Labels::default());
    let shape = Shape::build(target, body.as_bytes(), Format::OpenMetrics).unwrap();
    let mut store = ShapeStore::default();
    store.read(&whole(&shape)).unwrap();
    let mut column = Column::default();
    match_body(shape.page(), body.as_bytes(), &mut column).unwrap();
    let mut text = Vec::new();
    shape.write_text(&column, &mut text);
    let mut again = Column::default();
    match_body(shape.page(), &text, &mut again).unwrap();
    assert_eq!(again, column);
}

#[test]
fn a_page_without_series_is_a_shape() {
    let shape = build("a:1", "# nothing\n");
    let mut store = ShapeStore::default();
    assert_eq!(store.read(&whole(&shape)).unwrap(), [shape.id()]);
}

#[test]
fn a_patch_needs_its_base() {
    let (one, two) = (build("a:1", BODY), build("a:2", BODY));
    let mut writer = ShapeWriter::hurried();
    assert!(writer.patch(&two, &one));
    let message = writer.finish();
    let mut store = ShapeStore::default();
    let error = store.read(&message).unwrap_err();
    assert_eq!(error, ShapeError::UnknownShape(one.id()));
    store.insert(one).unwrap();
    store.read(&message).unwrap();
}

#[test]
fn a_store_is_bounded() {
    let mut store = ShapeStore::new(2048);
    let mut body = String::new();
    for n in 0..100 {
        writeln!(body, "series_number_{n} 1").unwrap();
    }
    let error = store.read(&whole(&build("a:1", &body))).unwrap_err();
    assert_eq!(error, ShapeError::Full { limit: 2048 });
    assert!(store.is_empty());
}

#[test]
fn damage_is_noticed() {
    let shape = build("a:1", BODY);
    let message = whole(&shape);
    for length in 0..message.len() {
        let mut store = ShapeStore::default();
        let read = store.read(&message[..length]);
        assert!(read.is_err() || length == 1, "{length}");
    }
    for bit in 0..message.len() * 8 {
        let mut damaged = message.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let mut store = ShapeStore::default();
        // A few bits of a zstd header have no influence on what comes out.
        if let Ok(ids) = store.read(&damaged) {
            assert_eq!(ids, [shape.id()], "bit {bit}");
        }
    }
}

/// A message with a content of any kind under its right name.
fn carrying(content: &[u8]) -> Vec<u8> {
    let mut message = vec![SHAPES_VERSION, 1];
    message.extend_from_slice(ShapeId::of(content).as_bytes());
    put_length(&mut message, content.len());
    let packed = zstd::bulk::compress(content, 1).unwrap();
    put_length(&mut message, packed.len());
    message.extend_from_slice(&packed);
    message
}

#[track_caller]
fn refused(content: &[u8], expected: ShapeError) {
    let mut store = ShapeStore::default();
    assert_eq!(store.read(&carrying(content)).unwrap_err(), expected);
}

#[test]
fn a_content_that_is_no_shape_is_refused() {
    let malformed = |source| ShapeError::Malformed { source };
    refused(b"", malformed(DecodeError::Truncated));
    refused(b"\x02\0\0\0", malformed(DecodeError::Number));
    // Format, no labels, one series, a text of two bytes, flags, scale, mantissa.
    let content = |text: &[u8], flags: u8, scale: u8, mantissa: u8| {
        let length = u8::try_from(text.len()).unwrap();
        [&[0, 0, 1, length], text, &[flags, scale, mantissa]].concat()
    };
    let mut store = ShapeStore::default();
    store.read(&carrying(&content(b"a\n", 0, 0, 2))).unwrap();
    refused(&content(b"a\n", 8, 0, 2), ShapeError::NotLines);
    refused(&content(b"a\n", 1, 0, 2), ShapeError::NotLines);
    refused(&content(b"a\n", 3, 0, 2), ShapeError::NotLines);
    refused(&content(b"a", 0, 0, 2), ShapeError::NotLines);
    refused(&content(b"a\nb\n", 0, 0, 2), ShapeError::NotLines);
    refused(&content(b"\n", 0, 0, 2), ShapeError::NotLines);
    refused(&content(b"a{\n", 0, 0, 2), ShapeError::NotLines);
    refused(&content(b"a 1\n", 0, 0, 2), ShapeError::NotLines);
    refused(&content(b"a\n", 0, 25, 2), malformed(DecodeError::Number));
    refused(&content(b"a\n", 0, 24, 2), malformed(DecodeError::Number));
    refused(&content(b"\xff\n", 0, 0, 2), malformed(DecodeError::Text));
    let twice = b"\0\0\x02\x04a\na\n\0\0\0\0\0\0";
    refused(twice, ShapeError::NotLines);
    // A number that is longer than it has to be: another name for the same shape.
    let long = b"\0\0\x81\0\x02a\n\0\0\x02";
    refused(long, malformed(DecodeError::Number));
    let mut many = vec![0, 0];
    put_length(&mut many, 1 << 40);
    refused(&many, malformed(DecodeError::TooLarge));
}

#[test]
fn lengths_that_lie_reserve_nothing() {
    let mut store = ShapeStore::default();
    assert_eq!(store.read(&[9]).unwrap_err(), ShapeError::Version(9));
    let unknown = store.read(&[SHAPES_VERSION, 4]).unwrap_err();
    assert_eq!(unknown, ShapeError::Kind(4));
    let mut message = vec![SHAPES_VERSION, 1];
    message.extend_from_slice(&[0; ShapeId::LENGTH]);
    put_length(&mut message, 1 << 40);
    assert_eq!(store.read(&message).unwrap_err().reason(), "too_large");
    // A bomb: far more than is declared.
    let zeros = zstd::bulk::compress(&vec![0; 256 << 20], 1).unwrap();
    let mut message = vec![SHAPES_VERSION, 1];
    message.extend_from_slice(&[0; ShapeId::LENGTH]);
    put_length(&mut message, 100);
    put_length(&mut message, zeros.len());
    message.extend_from_slice(&zeros);
    assert_eq!(store.read(&message).unwrap_err(), ShapeError::Compression);
}

/// A page of lines that need not be an exposition's.
fn page(lines: &[&str], format: Format) -> Option<Page> {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let series = lines.iter().filter(|line| !line.starts_with('#'));
    let flags = series.map(|key| if key.len() % 2 == 0 { 4 } else { 0 });
    Page::new(format, text.into(), flags.collect())
}

/// Lines of a page: good ones, and such as are good or bad with others.
const LINES: [&str; 24] = [
    "a",
    "b",
    "c{x=\"1\"}",
    "c{x=\"2\"}",
    "dd",
    "ee{}",
    "{\"f\"}",
    "# x",
    "# HELP a A.",
    "# TYPE a gauge",
    "# TYPE b counter",
    "# UNIT a a",
    "# HELP \"a",
    "#b\" text",
    "b\" text",
    "# EOF",
    "a 1",
    " a",
    "a{",
    "y\"}",
    "a{x=\"",
    "# TYPE a",
    "#\0",
    "\0",
];

/// Lines of a body.
const BODY_LINES: [&str; 20] = [
    "a 1",
    "a 2 3",
    "b 1",
    "c{x=\"1\"} 1",
    "c{x=\"2\"} NaN",
    "  dd\t7",
    "ee{} 1",
    "ee {} 2",
    "h_bucket{le=\"1\"} 1",
    "h_bucket{le=\"+Inf\"} 2",
    "h_sum 1",
    "h_count 2",
    "# HELP a A.",
    "# HELP a Other.",
    "# TYPE b counter",
    "# TYPE b gauge",
    "# x",
    " # y",
    "",
    "a{b=\"#\"} # {} 1",
];

fn some_of(
    lines: &'static [&'static str],
    most: usize,
) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(proptest::sample::select(lines), 0..most)
}

fn any_format() -> impl Strategy<Value = Format> {
    proptest::sample::select(&[Format::Text, Format::OpenMetrics][..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_page_is_as_good_beside_another_as_alone(
        lines in some_of(&LINES, 8),
        base in some_of(&LINES, 8),
        format in any_format(),
    ) {
        let (Some(page), Some(base)) = (page(&lines, format), page(&base, format)) else {
            return Ok(());
        };
        if !is_good(&base, None) {
            return Ok(());
        }
        prop_assert_eq!(is_good(&page, Some(&base)), is_good(&page, None));
    }

    #[test]
    fn a_changed_page_is_as_good_beside_the_old_one_as_alone(
        base in some_of(&LINES[..12], 8),
        new in some_of(&LINES, 3),
        at in 0_usize..8,
        removed in 0_usize..3,
        format in any_format(),
    ) {
        let mut base: Vec<&str> = base.into_iter().collect();
        let mut lines = base.clone();
        let at = at.min(lines.len());
        lines.splice(at..(at + removed).min(lines.len()), new);
        if format == Format::OpenMetrics {
            lines.push("# EOF");
            base.push("# EOF");
        }
        let (Some(page), Some(base)) = (page(&lines, format), page(&base, format)) else {
            return Ok(());
        };
        if !is_good(&base, None) {
            return Ok(());
        }
        prop_assert_eq!(is_good(&page, Some(&base)), is_good(&page, None));
    }

    #[test]
    fn a_body_extends_a_shape_to_the_same_either_way(
        old in some_of(&BODY_LINES, 12),
        new in some_of(&BODY_LINES, 4),
        at in 0_usize..12,
        removed in 0_usize..3,
        format in any_format(),
    ) {
        let mut body = old.clone();
        let at = at.min(body.len());
        body.splice(at..(at + removed).min(body.len()), new);
        let join = |lines: &[&str]| {
            let mut text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
            if format == Format::OpenMetrics {
                text.push_str("# EOF\n");
            }
            text
        };
        extended_in_both_ways(&join(&old), &join(&body), format);
    }

    #[test]
    fn takes_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(ShapeStore::default().read(&bytes));
        drop(ShapeStore::default().read(&carrying(&bytes)));
        let target = Arc::new(Labels::default());
        drop(Shape::build(target, &bytes, Format::Text));
    }
}
