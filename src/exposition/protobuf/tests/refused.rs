//! What is refused, and that nothing worse comes of it.

use super::*;

#[test]
fn what_prometheus_refuses_is_refused() {
    let of = |kind, metric| body(&[family("h", kind, vec![metric])]);
    let gauge_of = |labels| of(GAUGE, gauge(1.0, labels));
    check_refused(
        &body(&[family("", GAUGE, vec![metric(&[])])]),
        "metric family `` at byte 0: metric family has no name",
    );
    check_refused(
        &body(&[family("a\0", GAUGE, vec![metric(&[])])]),
        "metric family `a\\0` at byte 0: byte 0 in a name",
    );
    check_refused(
        &of(7, metric(&[])),
        "metric family `h` at byte 0: unknown metric type 7",
    );
    check_refused(
        &gauge_of(&[("", "x")]),
        "metric family `h` at byte 0: label has no name",
    );
    check_refused(
        &gauge_of(&[("a", "x"), ("a", "y")]),
        "metric family `h` at byte 0: label name `a` occurs twice",
    );
    check_refused(
        &gauge_of(&[("__name__", "x")]),
        "metric family `h` at byte 0: label name `__name__` occurs twice",
    );
    check_refused(
        &of(HISTOGRAM, metric(&[("le", "1")])),
        "metric family `h` at byte 0: label name `le` occurs twice",
    );
    let names: Vec<String> = (0..100).map(|n| format!("n{}", n % 99)).collect();
    let labels: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x")).collect();
    check_refused(
        &gauge_of(&labels),
        "metric family `h` at byte 0: label name `n0` occurs twice",
    );
    let mut second = body(&[family("first", GAUGE, vec![metric(&[])])]);
    let at = second.len();
    second.extend(body(&[family("second", 9, vec![metric(&[])])]));
    check_refused(
        &second,
        &format!("metric family `second` at byte {at}: unknown metric type 9"),
    );
}

#[test]
fn damaged_bytes_are_refused() {
    check_refused(
        &[0x05, 1],
        "metric family `` at byte 0: message ends too early",
    );
    check_refused(
        &[0xff; 20],
        "metric family `` at byte 0: integer has more than 64 bits",
    );
    for (message, fault) in [
        (&[0x0a, 0x05, b'a'][..], "message ends too early"),
        (&[0x08, 0x05], "value has another type than its field"),
        (&[0x00], "field has no valid number and type"),
        (&[0x0f], "field has no valid number and type"),
        (&[0x0c], "field has no valid number and type"),
        (&[0x33], "message ends too early"),
        (&[0x33, 0x30], "message ends too early"),
    ] {
        let mut body = vec![u8::try_from(message.len()).unwrap()];
        body.extend_from_slice(message);
        check_refused(&body, &format!("metric family `` at byte 0: {fault}"));
    }
    let depths = [0x33; 101];
    let body = [&[101][..], &depths].concat();
    check_refused(
        &body,
        "metric family `` at byte 0: field has no valid number and type",
    );
}

#[test]
fn unknown_fields_and_pieces_of_messages_are_read_over() {
    // Family `a` of gauges with field 9 of each wire type, groups within groups among them, and a
    // gauge in two pieces whose label comes last.
    let unknown = [
        &[0x48, 0x81, 0x01][..],
        &[0x49, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x4a, 2, 1, 2],
        &[0x4b, 0x53, 0x08, 1, 0x54, 0x4c],
        &[0x4d, 1, 2, 3, 4],
    ]
    .concat();
    let piece = |value: f64| [&[0x12, 9, 9][..], &value.to_le_bytes()].concat();
    let label = LabelPair {
        name: Some("x".to_owned()),
        value: Some("y".to_owned()),
    };
    let label = label.encode_length_delimited_to_vec();
    let metric = [&piece(1.0)[..], &unknown, &piece(2.0), &[0x0a], &label].concat();
    let length = u8::try_from(metric.len()).unwrap();
    let family = [
        &[0x22, length][..],
        &metric,
        &unknown,
        &[0x0a, 1, b'b', 0x0a, 1, b'a', 0x18, 1],
    ]
    .concat();
    let body = [&[u8::try_from(family.len()).unwrap()][..], &family].concat();
    let read = read(&body, &OPTIONS).unwrap();
    assert_eq!(
        String::from_utf8(read.text).unwrap(),
        "# TYPE a gauge\na{x=\"y\"} 2\n"
    );
}

#[test]
fn a_few_bytes_cannot_become_much_text() {
    let many = RawHistogram {
        bucket: (0..60_000).map(|n| bucket(1, f64::from(n))).collect(),
        ..RawHistogram::default()
    };
    let mut with_label = of_histogram(many);
    with_label.label = metric(&[("x", &*"y".repeat(10_000))]).label;
    check_refused(
        &body(&[family("h", HISTOGRAM, vec![with_label])]),
        "metric family `h` at byte 0: exposition takes more than 1048576 bytes as text; \
         raise `body_size_limit`",
    );
    let natives = vec![of_histogram(native_histogram()); 200];
    check_refused(
        &body(&[family(&"h".repeat(10_000), HISTOGRAM, natives)]),
        &format!(
            "metric family `{}…` at byte 0: exposition takes more than 1048576 bytes as text; \
             raise `body_size_limit`",
            "h".repeat(40)
        ),
    );
    let mut deltas = native_histogram();
    deltas.positive_delta = vec![0; 100_000];
    check_refused(
        &body(&[family("h", HISTOGRAM, vec![of_histogram(deltas)])]),
        "metric family `h` at byte 0: more than 65536 buckets in one metric",
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(read(&bytes, &OPTIONS));
        drop(Histogram::decode(&bytes));
    }

    #[test]
    fn damaged_messages_are_read_or_refused(
        at in 0..1000_usize,
        byte: u8,
        options in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let mut raw = native_histogram();
        raw.bucket = classic().bucket;
        raw.bucket[0].exemplar = Some(exemplar("x", 1.0, Some(1)));
        let mut bytes = body(&[
            family("a.b", GAUGE, vec![gauge(1.0, &[("x", "y")])]),
            family("h", HISTOGRAM, vec![of_histogram(raw), of_histogram(classic())]),
        ]);
        let at = at % bytes.len();
        bytes[at] = byte;
        let options = Options {
            native_histograms: options.0,
            classic_histograms: options.1,
            honor_timestamps: options.2,
            ..OPTIONS
        };
        if let Ok(read) = read(&bytes, &options) {
            prop_assert!(check_text(&read.text, read.format).is_ok());
            for histogram in read.histograms {
                let decoded = Histogram::decode(&histogram.message).unwrap();
                prop_assert_eq!(decoded.encode(), histogram.message);
            }
        }
    }
}
