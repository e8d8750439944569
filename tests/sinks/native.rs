//! A protobuf body as a real Prometheus scrapes it, and as it gets it by remote write.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_streams::exposition::protobuf::{Options, read};
use prometheus_streams::model::{Labels, Outcome};
use prometheus_streams::sink::remote_write::{Besides, RemoteWrite};
use prometheus_streams::sink::{Delivery, State};
use prometheus_streams::wire::{Body, Column, Columns, NativeHistogram, Scrape, Shape, match_body};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::client_model::{
    Bucket, BucketSpan, COUNTER, Counter, Exemplar, GAUGE, GAUGE_HISTOGRAM, HISTOGRAM, Histogram,
    Metric, Quantile, SUMMARY, Simple, Summary, Timestamp, UNTYPED, body, family, metric,
    native_histogram,
};
use crate::support::{Server, endpoint_settings, failed, get, now_ms, states, wait_for};

/// Answers each request on a free port with a protobuf body; returns the address.
async fn serve(body: Vec<u8>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            drop(stream.read(&mut request).await);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.google.protobuf; \
                 proto=io.prometheus.client.MetricFamily; encoding=delimited\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            drop(stream.write_all(&[head.as_bytes(), &body].concat()).await);
        }
    });
    address
}

fn exemplar(id: &str, time_ms: i64) -> Exemplar {
    Exemplar {
        label: metric(&[("trace_id", id)]).label,
        value: Some(0.75),
        timestamp: Some(Timestamp {
            seconds: time_ms / 1000,
            nanos: i32::try_from(time_ms % 1000).unwrap() * 1_000_000,
        }),
    }
}

/// A body with all that the format has and Prometheus 2.42 reads.
fn everything(now_ms: i64) -> Vec<u8> {
    let mut counter = metric(&[("x", "a \"b\"\n\\")]);
    counter.counter = Some(Counter {
        value: Some(5.5),
        exemplar: Some(exemplar("counter", now_ms)),
        ..Counter::default()
    });
    let simple = Some(Simple { value: Some(-0.25) });
    let gauge = Metric {
        gauge: simple,
        ..metric(&[])
    };
    let untyped = Metric {
        untyped: simple,
        ..metric(&[])
    };
    let quantile = |quantile, value| Quantile {
        quantile: Some(quantile),
        value: Some(value),
    };
    let summary = Metric {
        summary: Some(Summary {
            sample_count: Some(7),
            sample_sum: Some(2.5),
            quantile: vec![quantile(0.5, 1.0), quantile(1.0, 1e9)],
            ..Summary::default()
        }),
        ..metric(&[("y", "z")])
    };
    let bucket = |count, bound| Bucket {
        cumulative_count: Some(count),
        upper_bound: Some(bound),
        ..Bucket::default()
    };
    let mut buckets = vec![bucket(2, 0.5), bucket(3, 1.0), bucket(5, 2e6)];
    buckets[1].exemplar = Some(exemplar("bucket", now_ms));
    let of = |histogram| Metric {
        histogram: Some(histogram),
        ..metric(&[])
    };
    let classic = Histogram {
        sample_count: Some(9),
        sample_sum: Some(12.5),
        bucket: buckets.clone(),
        ..Histogram::default()
    };
    let native = Histogram {
        bucket: buckets,
        ..native_histogram()
    };
    let float = Histogram {
        sample_count_float: Some(3.5),
        sample_sum: Some(2.25),
        schema: Some(-1),
        zero_threshold: Some(0.5),
        zero_count_float: Some(0.5),
        positive_span: vec![BucketSpan {
            offset: Some(-1),
            length: Some(3),
        }],
        positive_count: vec![1.5, 0.0, 1.5],
        ..Histogram::default()
    };
    body(&[
        family("c_total", COUNTER, vec![counter]),
        family("g", GAUGE, vec![gauge]),
        family("u", UNTYPED, vec![untyped]),
        family("s", SUMMARY, vec![summary]),
        family("classic", HISTOGRAM, vec![of(classic)]),
        family("native", HISTOGRAM, vec![of(native)]),
        family("float", HISTOGRAM, vec![of(float.clone())]),
        family("falling", GAUGE_HISTOGRAM, vec![of(float)]),
    ])
}

/// A scrape that brought a protobuf body.
fn delivery(body: &[u8], time_ms: i64) -> Delivery {
    let options = Options {
        native_histograms: true,
        classic_histograms: false,
        honor_timestamps: true,
        last: None,
        text_limit: 1 << 20,
    };
    let read = read(body, &options).unwrap();
    let target = Arc::new(Labels::of_target("written", "i"));
    let shape = Shape::build(Arc::clone(&target), &read.text, read.format).unwrap();
    let mut column = Column::default();
    match_body(shape.page(), &read.text, &mut column).unwrap();
    for histogram in read.histograms {
        column.add_histogram(NativeHistogram {
            series: histogram.series,
            message: histogram.message,
        });
    }
    let shape = Arc::new(shape);
    let outcome = Outcome::Exposed {
        body: Body::Columns(Columns { shape, column }),
        duration: Duration::from_millis(250),
    };
    Delivery {
        publisher: Arc::from("site"),
        scrape: Arc::new(Scrape {
            target,
            time_ms,
            outcome,
        }),
        state: State::Pending,
    }
}

async fn ask(server: &Server, path: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
    let mut url = server.url.join(path).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    let target = format!("{}?{}", url.path(), url.query().unwrap());
    let (status, text) = get(&server.url, &target).await.unwrap();
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let data = &answer["data"];
    let list = data["result"].as_array().or_else(|| data.as_array());
    list.unwrap().clone()
}

/// Labels but those of the target.
fn own(labels: &Value) -> String {
    let mut labels = labels.as_object().unwrap().clone();
    labels.remove("job");
    labels.remove("instance");
    Value::Object(labels).to_string()
}

/// The last values of a job's series but those about the scrape: numbers, or histograms.
async fn values(server: &Server, job: &str, time_ms: i64) -> BTreeMap<String, Value> {
    let query = format!("{{job=\"{job}\",__name__!~\"up|scrape_.*\"}}");
    let time = format!("{}.{:03}", time_ms / 1000, time_ms % 1000);
    let series = ask(
        server,
        "api/v1/query",
        &[("query", &query), ("time", &time)],
    )
    .await;
    let series = series.into_iter().map(|series| {
        let value = match &series["histogram"] {
            Value::Null => series["value"][1].clone(),
            histogram => histogram[1].clone(),
        };
        (own(&series["metric"]), value)
    });
    series.collect()
}

async fn exemplars(server: &Server, job: &str, now_ms: i64) -> BTreeMap<String, Value> {
    let (start, end) = (now_ms / 1000 - 60, now_ms / 1000 + 60);
    let query = format!("{{job=\"{job}\"}}");
    let (start, end) = (start.to_string(), end.to_string());
    let parameters = [("query", &*query), ("start", &start), ("end", &end)];
    let found = ask(server, "api/v1/query_exemplars", &parameters).await;
    let found = found
        .into_iter()
        .map(|found| (own(&found["seriesLabels"]), found["exemplars"].clone()));
    found.collect()
}

#[tokio::test]
async fn what_prometheus_scrapes_as_protobuf_it_gets_by_remote_write() {
    let start = now_ms();
    let body = everything(start);
    let address = serve(body.clone()).await;
    let config = format!(
        "scrape_configs: [{{job_name: scraped, scrape_interval: 1s, \
         static_configs: [{{targets: ['{address}']}}]}}]\n"
    );
    let Some(server) = Server::prometheus_with(&config).await else {
        return;
    };
    let mut settings = endpoint_settings(server.url.join("api/v1/write").unwrap());
    settings.besides = Besides {
        exemplars: true,
        native_histograms: true,
    };
    let sink = RemoteWrite::build(settings).unwrap();
    let time = now_ms();
    let mut batch = [delivery(&body, time)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"], "{batch:?}");
    assert!(sink.removed().iter().all(|(_, count)| *count == 0));

    let scraped = wait_for("a scrape", async || {
        let scraped = values(&server, "scraped", now_ms()).await;
        (!scraped.is_empty()).then_some(scraped)
    })
    .await;
    let written = values(&server, "written", time).await;
    assert_eq!(written, scraped);
    let histograms = written.values().filter(|value| value.is_object());
    assert_eq!((written.len(), histograms.count()), (16, 3), "{written:#?}");
    let scraped = exemplars(&server, "scraped", time).await;
    assert_eq!(exemplars(&server, "written", time).await, scraped);
    assert_eq!(scraped.len(), 3, "{scraped:#?}");

    // What is gone is ended, histograms among them.
    let mut target = failed("i", time + 1000);
    let mut scrape = Scrape::clone(&target.scrape);
    scrape.target = Arc::clone(&batch[0].scrape.target);
    target.scrape = Arc::new(scrape);
    let mut batch = [target];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(
        values(&server, "written", time + 1000).await,
        BTreeMap::new()
    );
}
