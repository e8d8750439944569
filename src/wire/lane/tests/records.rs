//! What a frame carries beside values.

use super::*;

#[test]
fn columns_raw_texts_and_events_share_a_frame() {
    let mut lane = Lane::new();
    let shape = lane.shape(&body(&[1.0]));
    let event = |outcome| {
        let target = Arc::new(Labels::of_target("job", "a:1"));
        Record::Scrape(Scrape {
            target,
            time_ms: 3,
            outcome,
        })
    };
    let raw = event(Outcome::Exposed {
        body: Text {
            text: "up 1\n".into(),
            format: Format::Text,
        },
        duration: TOOK,
    });
    let gone = event(Outcome::Gone);
    let mut frame = lane.encoder.begin(Role::Key);
    frame.record(&raw);
    frame.columns(0, &shape, (1, TOOK), &all(&[2.0]));
    frame.record(&gone);
    frame.columns(0, &shape, (2, TOOK), &all(&[3.0]));
    let (header, payload) = frame.finish();
    assert_eq!(
        header,
        Header {
            epoch: EPOCH,
            number: 1,
            base: 1
        }
    );
    let frame = lane.decode(&payload).unwrap();
    let [
        Entry::Record(first),
        Entry::Columns(second),
        Entry::Record(third),
        Entry::Columns(fourth),
    ] = &*frame.entries
    else {
        panic!("{frame:?}");
    };
    assert_eq!((first, third), (&raw, &gone));
    let value = |scrape: &ColumnScrape| (scrape.time_ms, scrape.column.get(0).get());
    assert_eq!(
        (value(second), value(fourth)),
        ((1, Some(2.0)), (2, Some(3.0)))
    );
    // Without a lane's state its columns cannot be read.
    assert_eq!(
        crate::wire::decode(&payload).unwrap_err(),
        DecodeError::Columns
    );
}

#[test]
fn exemplars_and_histograms_follow_their_columns() {
    let body = "a_total 1 # {id=\"1\"} 0.5\nb_total 2\nc_total 3 # {} 7 1.5\n# EOF\n";
    let target = Arc::new(Labels::default());
    let shape = Shape::build(target, body.as_bytes(), Format::OpenMetrics).unwrap();
    let mut lane = Lane::new();
    let shape = lane.shapes.insert(shape).unwrap();
    let mut column = matched(&shape, body);
    column.add_histogram(NativeHistogram {
        series: "h{x=\"1\"}".into(),
        message: bytes::Bytes::from_static(&[8, 3]),
    });
    let raw = Record::Scrape(Scrape {
        target: Arc::default(),
        time_ms: 4,
        outcome: Outcome::Exposed {
            body: Text {
                text: "up 1\n".into(),
                format: Format::Text,
            },
            duration: TOOK,
        },
    });
    let mut frame = lane.encoder.begin(Role::Key);
    frame.columns(0, &shape, (1, TOOK), &column);
    frame.record(&raw);
    frame.columns(1, &shape, (2, TOOK), &column);
    let payload = frame.finish().1;
    let frame = lane.decode(&payload).unwrap();
    let [
        Entry::Columns(first),
        Entry::Record(second),
        Entry::Columns(third),
    ] = &*frame.entries
    else {
        panic!("{frame:?}");
    };
    assert_eq!((&first.column, &third.column), (&column, &column));
    assert_eq!(second, &raw);
}

#[test]
fn a_part_says_which_it_is() {
    let part = |index, count| Part { index, count };
    let written = |parts: &[Part], gone: bool| {
        let mut lane = Lane::new();
        let shape = lane.shape(&body(&[1.0]));
        let mut frame = lane.encoder.begin(Role::Key);
        for (at, part) in (0..).zip(parts) {
            frame.columns(9, &shape, (5, TOOK), &all(&[1.0]));
            frame.part(*part);
            if gone {
                frame.record(&Record::Scrape(Scrape {
                    target: Arc::default(),
                    time_ms: 1,
                    outcome: Outcome::Gone,
                }));
            } else {
                frame.columns(at, &shape, (7, TOOK), &all(&[2.0]));
            }
        }
        let payload = frame.finish().1;
        lane.decode(&payload)
    };
    let frame = written(&[part(0, 2), part(1, 2)], false).unwrap();
    let parts: Vec<_> = frame
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Part(part) => Some(*part),
            _ => None,
        })
        .collect();
    assert_eq!(parts, [part(0, 2), part(1, 2)]);
    assert_eq!(frame.entries.len(), 6);
    let refused = |part, gone| written(&[part], gone).unwrap_err();
    assert_eq!(refused(part(2, 2), false), DecodeError::Number);
    assert_eq!(refused(part(0, PARTS_MAX + 1), false), DecodeError::Number);
    assert_eq!(refused(part(0, 1), true), DecodeError::Number);
}
