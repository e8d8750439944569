//! The fast path against the parser: whatever is accepted by a page reads the same without it.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;

use prometheus_streams::exposition::{Entry, Parser};
use prometheus_streams::wire::{Column, Misfit, Shape, ShapeStore, ShapeWriter, match_body};
use prometheus_streams_fuzz::{Input, format, has_reason, target};

/// Compares a body's values by a shape with what the parser reads.
fn agrees(shape: &Shape, body: &[u8], column: &Column, samples: usize) {
    let page = shape.page();
    assert_eq!(column.samples(), samples);
    let places: HashMap<&str, usize> = page.keys().zip(0..).collect();
    let mut parser = Parser::new(body, page.format());
    let mut seen = 0;
    while let Some(entry) = parser.next() {
        let Entry::Sample(sample) = entry.expect("the parser reads it too") else {
            continue;
        };
        assert!(sample.exemplar.is_none());
        let at = places[sample.text];
        let value = column.get(at).get().map(f64::to_bits);
        assert_eq!(value, Some(sample.value.to_bits()), "{}", sample.text);
        let time = column.time(at).filter(|_| page.has_time(at));
        assert_eq!(time, sample.timestamp_ms, "{}", sample.text);
        seen += 1;
    }
    assert_eq!(seen, samples);
}

/// Checks that a reader takes what was built.
fn travels(shape: &Shape, base: Option<&Shape>) {
    let (mut store, mut writer) = (ShapeStore::default(), ShapeWriter::hurried());
    match base {
        None => writer.whole(shape),
        Some(base) => {
            writer.whole(base);
            writer.patch(shape, base);
        }
    }
    let ids = store.read(&writer.finish()).expect("a reader takes it");
    let read = store.get(*ids.last().expect("it has a name"));
    assert_eq!(read.expect("it was read").page(), shape.page());
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let format = format(input.byte());
    let (page, body) = (input.part(), input.rest());
    let shape = match Shape::build(target(0), page, format) {
        Ok(shape) => shape,
        Err(misfit) => return has_reason(&misfit, misfit.reason()),
    };
    travels(&shape, None);
    let mut column = Column::default();
    match match_body(shape.page(), body, &mut column) {
        Ok(matched) => agrees(&shape, body, &column, matched.samples),
        Err(misfit) => {
            has_reason(&misfit, misfit.reason());
            if !matches!(misfit, Misfit::Changed(_)) {
                return;
            }
            let Ok(next) = shape.extend(body) else {
                return;
            };
            travels(&next, Some(&shape));
            let matched = match_body(next.page(), body, &mut column).expect("it is made for it");
            agrees(&next, body, &column, matched.samples);
        }
    }
});
