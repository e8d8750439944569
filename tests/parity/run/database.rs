//! Reads a Prometheus's database by remote read, which keeps every bit of a value.

use std::collections::BTreeMap;

use prost::Message;

use super::exchange::exchange;

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

/// Samples by series: time and the bits of the value, oldest first.
pub(super) type Series = BTreeMap<Labels, Vec<(i64, u64)>>;

/// The bits of a stale marker.
pub(super) const STALE: u64 = 0x7ff0_0000_0000_0002;

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(int64, tag = "1")]
    start_ms: i64,
    #[prost(int64, tag = "2")]
    end_ms: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<Matcher>,
}

/// Without a type: equal.
#[derive(Clone, PartialEq, Eq, Message)]
struct Matcher {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<QueryResult>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    time_ms: i64,
}

/// Returns all series that have these labels; one that is asked to be empty must be missing.
pub(super) async fn read(port: u16, labels: &[(&str, &str)]) -> Series {
    let matcher = |(name, value): &(&str, &str)| Matcher {
        name: (*name).into(),
        value: (*value).into(),
    };
    let query = Query {
        start_ms: 0,
        end_ms: i64::MAX / 1_000_000,
        matchers: labels.iter().map(matcher).collect(),
    };
    let request = ReadRequest {
        queries: vec![query],
    };
    let body = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .unwrap();
    let head = format!(
        "POST /api/v1/read HTTP/1.0\r\nContent-Type: application/x-protobuf\r\n\
         Content-Encoding: snappy\r\nX-Prometheus-Remote-Read-Version: 0.1.0\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let (status, answer) = exchange(port, &head, &body).await.unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let answer = snap::raw::Decoder::new().decompress_vec(&answer).unwrap();
    let answer = ReadResponse::decode(&*answer).unwrap();
    let mut found = Series::new();
    for series in answer.results.into_iter().flat_map(|result| result.series) {
        let labels = series.labels.into_iter();
        let labels = labels.map(|label| (label.name, label.value)).collect();
        let samples = series.samples.iter();
        let samples = samples.map(|sample| (sample.time_ms, sample.value.to_bits()));
        let is_new = found.insert(labels, samples.collect()).is_none();
        assert!(is_new, "a series is there twice");
    }
    found
}
