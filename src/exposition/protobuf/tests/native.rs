//! Native histograms.

use super::*;

#[track_caller]
fn native_of(histogram: RawHistogram, kind: i32) -> Histogram {
    let body = body(&[family("h", kind, vec![of_histogram(histogram)])]);
    let read = read(&body, &OPTIONS).unwrap();
    assert_eq!((&*read.text, read.format), (&b""[..], Format::Text));
    let [NativeHistogram { series, message }] = &read.histograms[..] else {
        panic!("{:?}", read.histograms);
    };
    assert_eq!(&**series, "h");
    let histogram = Histogram::decode(message).unwrap();
    assert_eq!(histogram.encode(), &message[..]);
    // It is a message that others read, too.
    RawHistogram::decode(message.clone()).unwrap();
    histogram
}

#[test]
fn native_histograms_are_read_without_empty_buckets() {
    let histogram = native_of(native_histogram(), HISTOGRAM);
    let expected = Buckets {
        count: 14,
        zero_count: 2,
        positive: vec![(0, 3), (3, 2), (4, 3)],
        negative: vec![(-2, 1), (-1, 2), (3, 1)],
    };
    assert_eq!(histogram.counts, Counts::Whole(expected));
    assert_eq!(histogram.sum.to_bits(), 12.5_f64.to_bits());
    assert_eq!(
        (histogram.schema, histogram.zero_threshold),
        (3, 1e-128),
        "{histogram:?}"
    );
    assert_eq!(
        (histogram.is_gauge, histogram.timestamp_ms),
        (false, None),
        "{histogram:?}"
    );
    assert!(native_of(native_histogram(), GAUGE_HISTOGRAM).is_gauge);

    let span = |offset, length| BucketSpan {
        offset: Some(offset),
        length: Some(length),
    };
    let with_empty = RawHistogram {
        sample_count: Some(4),
        positive_span: vec![span(1, 3), span(0, 1), span(4, 0), span(-1, 2)],
        positive_delta: vec![0, 1, -1, 2, -2, 1],
        ..RawHistogram::default()
    };
    let Counts::Whole(buckets) = native_of(with_empty, HISTOGRAM).counts else {
        panic!("it is whole");
    };
    assert_eq!(buckets.positive, [(2, 1), (4, 2), (9, 1)]);
    assert_eq!(spans(&buckets.positive).len(), 3);
    assert_eq!(
        deltas(&buckets.positive).collect::<Vec<_>>(),
        [1, 1, -1],
        "{buckets:?}"
    );

    let empty = RawHistogram {
        positive_span: vec![span(0, 0)],
        ..RawHistogram::default()
    };
    let counts = native_of(empty, HISTOGRAM).counts;
    assert_eq!(counts, Counts::Whole(Buckets::default()));
}

#[test]
fn native_histograms_of_doubles_and_custom_buckets_are_read() {
    let span = |offset, length| BucketSpan {
        offset: Some(offset),
        length: Some(length),
    };
    let float = RawHistogram {
        sample_count_float: Some(3.5),
        zero_count_float: Some(0.5),
        sample_sum: Some(f64::NAN),
        schema: Some(-4),
        positive_span: vec![span(-1, 3)],
        positive_count: vec![1.5, 0.0, 1.5],
        ..RawHistogram::default()
    };
    let histogram = native_of(float, HISTOGRAM);
    let expected = Buckets {
        count: 3.5,
        zero_count: 0.5,
        positive: vec![(-1, 1.5), (1, 1.5)],
        negative: vec![],
    };
    assert_eq!(histogram.counts, Counts::Float(expected));
    assert!(histogram.sum.is_nan());

    let custom = RawHistogram {
        schema: Some(CUSTOM_SCHEMA),
        positive_span: vec![span(1, 3)],
        positive_delta: vec![4, -3, 0],
        sample_count: Some(6),
        bucket: vec![
            bucket(0, 0.5),
            bucket(4, 1.0),
            bucket(5, 2.0),
            bucket(6, f64::INFINITY),
        ],
        ..RawHistogram::default()
    };
    let histogram = native_of(custom, HISTOGRAM);
    assert_eq!(histogram.schema, CUSTOM_SCHEMA);
    assert_eq!(histogram.custom_bounds, [0.5, 1.0, 2.0]);
    let Counts::Whole(buckets) = histogram.counts else {
        panic!("it is whole");
    };
    assert_eq!(buckets.positive, [(1, 4), (2, 1), (3, 1)]);
}

#[test]
fn a_resolution_that_nobody_stores_is_reduced() {
    let fine = RawHistogram {
        sample_count: Some(10),
        schema: Some(10),
        positive_span: vec![BucketSpan {
            offset: Some(0),
            length: Some(10),
        }],
        positive_delta: vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ..RawHistogram::default()
    };
    let histogram = native_of(fine, HISTOGRAM);
    assert_eq!(histogram.schema, 8);
    let Counts::Whole(buckets) = histogram.counts else {
        panic!("it is whole");
    };
    assert_eq!(buckets.positive, [(0, 1), (1, 4), (2, 4), (3, 1)]);
}

#[test]
fn a_native_histogram_keeps_its_time_and_exemplars() {
    let mut raw = native_histogram();
    raw.created_timestamp = Some(Timestamp {
        seconds: 1_600_000_000,
        nanos: 0,
    });
    raw.bucket = vec![Bucket {
        exemplar: Some(exemplar("classic", 1.0, Some(1))),
        ..bucket(3, 1.0)
    }];
    let mut with_time = of_histogram(raw.clone());
    with_time.timestamp_ms = Some(-1_700_000_000_000);
    let body = body(&[family("h", HISTOGRAM, vec![with_time])]);
    let message = &read(&body, &OPTIONS).unwrap().histograms[0].message;
    let histogram = Histogram::decode(message).unwrap();
    assert_eq!(histogram.timestamp_ms, Some(-1_700_000_000_000));
    assert_eq!(histogram.created_ms, Some(1_600_000_000_000));
    let ids = |histogram: &Histogram| -> Vec<(String, i64)> {
        let exemplars = histogram.exemplars.iter();
        let ids = exemplars.map(|one| (one.labels[0].1.clone(), one.timestamp_ms));
        ids.collect()
    };
    assert_eq!(ids(&histogram), [("classic".to_owned(), 1250)]);

    raw.exemplars = vec![
        exemplar("one", 1.0, Some(2)),
        exemplar("no time", 1.0, None),
        exemplar("two", 2.0, Some(3)),
    ];
    let histogram = native_of(raw, HISTOGRAM);
    let expected = [("one".to_owned(), 2250), ("two".to_owned(), 3250)];
    assert_eq!(ids(&histogram), expected);
}

#[track_caller]
fn check_both(families: &[MetricFamily], options: &Options, natives: usize, text: &str) {
    let read = read(&body(families), options).unwrap();
    assert_eq!(read.histograms.len(), natives);
    assert_eq!(String::from_utf8(read.text).unwrap(), text);
}

#[test]
fn native_and_classic_series_are_taken_as_wanted() {
    let both = RawHistogram {
        bucket: vec![bucket(10, 1.0)],
        ..native_histogram()
    };
    let families = [family(
        "h",
        HISTOGRAM,
        vec![of_histogram(both), of_histogram(native_histogram())],
    )];
    check_both(&families, &OPTIONS, 2, "");
    let both = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 10\nh_bucket{le=\"+Inf\"} 14\n\
        h_sum 12.5\nh_count 14\n";
    let options = Options {
        classic_histograms: true,
        ..OPTIONS
    };
    check_both(&families, &options, 2, both);
    let options = Options {
        native_histograms: false,
        ..OPTIONS
    };
    let second = "h_bucket{le=\"+Inf\"} 14\nh_sum 12.5\nh_count 14\n";
    check_both(&families, &options, 0, &[both, second].concat());
}

#[test]
fn native_histograms_that_contradict_themselves_are_refused() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut RawHistogram), expected: &str) {
        let mut histogram = native_histogram();
        change(&mut histogram);
        let body = body(&[family("h", HISTOGRAM, vec![of_histogram(histogram)])]);
        let start = "metric family `h` at byte 0: native histogram is not valid: ";
        check_refused(&body, &format!("{start}{expected}"));
    }
    check(|raw| raw.schema = Some(9999), "unknown schema 9999");
    check(|raw| raw.schema = Some(-5), "unknown schema -5");
    check(
        |raw| raw.positive_delta.push(1),
        "spans need 3 buckets, there are 4",
    );
    check(
        |raw| raw.positive_span[0].length = Some(u32::MAX),
        "spans need 4294967297 buckets, there are 3",
    );
    check(
        |raw| raw.positive_span[1].offset = Some(-1),
        "span has an offset that cannot be",
    );
    check(
        |raw| raw.positive_span[1].offset = Some(i32::MAX),
        "span has an offset that cannot be",
    );
    check(
        |raw| raw.positive_delta[1] = -4,
        "negative number of observations",
    );
    check(
        |raw| raw.positive_delta = vec![1, i64::MAX, 1],
        "negative number of observations",
    );
    check(
        |raw| raw.sample_count = Some(15),
        "14 observations in the buckets, but 15 in all",
    );
    check(
        |raw| raw.zero_count_float = Some(1.0),
        "spans need 3 buckets, there are 0",
    );
    check(
        |raw| raw.schema = Some(CUSTOM_SCHEMA),
        "custom buckets with a zero bucket or negative buckets",
    );
    let custom = |raw: &mut RawHistogram, bounds: &[f64]| {
        *raw = RawHistogram {
            sample_count: Some(8),
            schema: Some(CUSTOM_SCHEMA),
            positive_span: raw.positive_span.clone(),
            positive_delta: raw.positive_delta.clone(),
            bucket: bounds.iter().map(|bound| bucket(0, *bound)).collect(),
            ..RawHistogram::default()
        };
    };
    check(|raw| custom(raw, &[1.0]), "custom buckets without bounds");
    let message = "custom bounds do not rise from one finite number to the next";
    check(|raw| custom(raw, &[1.0, 1.0, 2.0, 3.0]), message);
    check(|raw| custom(raw, &[f64::NAN]), message);
}

#[test]
fn observations_of_nan_are_in_no_bucket() {
    let mut histogram = native_histogram();
    histogram.sample_count = Some(15);
    histogram.sample_sum = Some(f64::NAN);
    native_of(histogram, HISTOGRAM);
}
