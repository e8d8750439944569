//! Pushes to a real Pushgateway.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_streams::model::Labels;
use prometheus_streams::sink::State;
use prometheus_streams::sink::pushgateway::Pushgateway;

use crate::support::{
    Server, assert_same, exposed, failed, gateway_settings, get, series_of, states, with_reserved,
};

/// Every kind of value that a text may hold, but -0: the gateway itself shows it as 0.
const VALUES: &str = "v{n=\"1\"} 0.1\nv{n=\"2\"} 1e300\nv{n=\"3\"} 5e-324\nv{n=\"4\"} 0\n\
    v{n=\"5\"} 123456789.12345679\nv{n=\"6\"} +Inf\nv{n=\"7\"} -Inf\nv{n=\"8\"} NaN\n\
    v{n=\"9\"} 9007199254740993\nv{n=\"10\"} 1.7976931348623157e308\nv{n=\"\\\\ \\n \\\" ä\"} 1\n";

/// What the gateway shows, but for its own metrics and the times of the pushes.
async fn groups(server: &Server) -> BTreeMap<String, f64> {
    let (status, page) = get(&server.url, "/metrics").await.unwrap();
    assert_eq!(status, 200);
    let mut series = series_of(&page, &[]);
    series.retain(|name, _| name.contains("job=") && !name.contains("__name__=push_"));
    series
}

#[tokio::test]
async fn a_push_replaces_the_group() {
    let Some(server) = Server::pushgateway().await else {
        return;
    };
    let sink = Pushgateway::build(gateway_settings(&server.url)).unwrap();
    let group = [("job", "job/1"), ("instance", "[::1]:90 %?#ä")];
    let instance = group[1].1;
    let mut batch = [exposed(instance, 1, VALUES)];
    sink.deliver(&mut batch).await.unwrap();
    assert_same(&groups(&server).await, &series_of(VALUES, &group));
    let mut batch = [exposed(instance, 2, "# TYPE w counter\nw 1\n")];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
    assert_same(&groups(&server).await, &series_of("w 1\n", &group));
}

#[tokio::test]
async fn a_failed_scrape_deletes_the_group_alone() {
    let Some(server) = Server::pushgateway().await else {
        return;
    };
    let sink = Pushgateway::build(gateway_settings(&server.url)).unwrap();
    let mut batch = [
        exposed("a/b", 1, "x 1\n"),
        exposed("..", 1, "x 1\n"),
        exposed("c", 1, "x 1\n"),
    ];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(groups(&server).await.len(), 3);
    let mut batch = [failed("a/b", 2), failed("..", 2), failed("never seen", 2)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"; 3]);
    let left = series_of("x 1\n", &[("job", "job/1"), ("instance", "c")]);
    assert_same(&groups(&server).await, &left);
}

#[tokio::test]
async fn the_site_and_further_labels_are_part_of_the_group() {
    let Some(server) = Server::pushgateway().await else {
        return;
    };
    let mut settings = gateway_settings(&server.url);
    settings.publisher_label = true;
    let sink = Pushgateway::build(settings).unwrap();
    let mut delivery = exposed("i", 1, "x{publisher=\"p\",zone=\"mine\"} 1\n");
    let mut scrape = (*delivery.scrape).clone();
    scrape.target = Arc::new(Labels::new([
        ("job", "j"),
        ("instance", "i"),
        ("zone", "z/"),
    ]));
    delivery.scrape = Arc::new(scrape);
    let mut batch = [delivery];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
    let labels = [
        ("job", "j"),
        ("instance", "i"),
        ("publisher", "site"),
        ("zone", "z/"),
        ("exported_publisher", "p"),
        ("exported_zone", "mine"),
    ];
    assert_same(&groups(&server).await, &series_of("x 1\n", &labels));
}

#[tokio::test]
async fn a_target_that_honors_labels_keeps_its_group() {
    let Some(server) = Server::pushgateway().await else {
        return;
    };
    let sink = Pushgateway::build(gateway_settings(&server.url)).unwrap();
    let text = "a{job=\"mine\"} 1\nb{instance=\"\"} 2\nc{job=\"job/1\"} 3\n\
        __scrape_samples_scraped__ 7\n";
    let reserved = [("__honor_labels__", "true"), ("__scrape_timeout__", "1")];
    let mut batch = [with_reserved(exposed("i", 1, text), &reserved)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
    let group = [("job", "job/1"), ("instance", "i")];
    let expected = "a{exported_job=\"mine\"} 1\nb 2\nc 3\n";
    assert_same(&groups(&server).await, &series_of(expected, &group));
}

#[tokio::test]
async fn what_the_gateway_would_refuse_does_not_cost_the_rest() {
    let Some(server) = Server::pushgateway().await else {
        return;
    };
    let sink = Pushgateway::build(gateway_settings(&server.url)).unwrap();
    let text = "# TYPE a counter\na 1 1000\na 2\n{\"utf.8\"} 1\nb{job=\"x\"} 1\nb{job=\"y\"} 2\n\
        push_time_seconds 1\nc{__d=\"1\"} 1\n# TYPE s_count gauge\ns_count 1\n# TYPE s summary\n\
        s_sum 2\n# HELP a A.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# TYPE h_bucket gauge\n\
        h_bucket 2\n";
    let mut batch = [exposed("i", 1, text)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"], "{:?}", batch[0].state);
    let shown = groups(&server).await;
    let name = |series: &str| format!("{series} instance=i job=job/1");
    assert_eq!(shown.get(&name("__name__=a")), Some(&1.0));
    assert_eq!(
        shown.get("__name__=b exported_job=x instance=i job=job/1"),
        Some(&1.0)
    );
    assert_eq!(
        shown.get("__name__=b exported_job=y instance=i job=job/1"),
        Some(&2.0)
    );
    let removed: u64 = sink.removed().iter().map(|(_, count)| count).sum();
    assert_eq!(removed, 6, "{:?}", sink.removed());
}

#[tokio::test]
async fn a_refusal_carries_the_gateways_own_words() {
    let Some(server) = Server::pushgateway().await else {
        return;
    };
    let sink = Pushgateway::build(gateway_settings(&server.url)).unwrap();
    // A type that differs from another group's is nothing that one push could mend.
    let mut batch = [exposed("i", 1, "# TYPE x counter\nx 1\n")];
    sink.deliver(&mut batch).await.unwrap();
    let mut batch = [
        exposed("k", 1, "# TYPE x gauge\nx 1\n"),
        exposed("l", 1, "y 1\n"),
    ];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["bad_request", "delivered"]);
    let State::Rejected { detail, .. } = &batch[0].state else {
        panic!("{:?}", batch[0])
    };
    assert!(detail.contains("is not a "), "{detail}");
    assert!(detail.len() <= 512);
}

#[tokio::test]
async fn a_whole_page_arrives() {
    let Some(server) = Server::pushgateway().await else {
        return;
    };
    let (_, page) = get(&server.url, "/metrics").await.unwrap();
    let sink = Pushgateway::build(gateway_settings(&server.url)).unwrap();
    let mut batch = [exposed("i", 1, &page)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"], "{:?}", batch[0].state);
    let expected = series_of(&page, &[("job", "job/1"), ("instance", "i")]);
    assert!(expected.len() > 30);
    assert_same(&groups(&server).await, &expected);
}
