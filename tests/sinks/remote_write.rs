//! Remote write to a real Prometheus and a real `VictoriaMetrics`.

use std::collections::BTreeMap;

use prometheus_streams::model::{Labels, Note, Outcome};
use prometheus_streams::relabel::{Action, Rule, RuleSettings, Rules};
use prometheus_streams::sink::remote_write::RemoteWrite;

use crate::support::{
    Server, assert_same, check_removed, delivery, endpoint_settings, exposed, failed, get, now_ms,
    series_of, states, valued, wait_for, with_reserved,
};

const VALUES: &str = "v{n=\"1\"} 0.1\nv{n=\"2\"} 1e300\nv{n=\"3\"} 5e-324\nv{n=\"4\"} -0\n\
    v{n=\"5\"} 123456789.12345679\nv{n=\"6\"} +Inf\nv{n=\"7\"} -Inf\nv{n=\"8\"} NaN\n\
    v{n=\"9\"} 9007199254740993\nv{n=\"10\"} 1.7976931348623157e308\nv{n=\"\\\\ \\n \\\" ä\"} 1\n";

const TARGET: [(&str, &str); 2] = [("job", "job/1"), ("instance", "i")];

fn prometheus_sink(server: &Server) -> RemoteWrite {
    let url = server.url.join("api/v1/write").unwrap();
    RemoteWrite::build(endpoint_settings(url)).unwrap()
}

fn series(text: &str) -> BTreeMap<String, f64> {
    series_of(text, &TARGET)
}

#[tokio::test]
async fn prometheus_stores_what_was_exposed() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let sink = prometheus_sink(&server);
    let time = now_ms();
    let mut batch = [exposed("i", time, VALUES)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
    assert_same(&server.query("v", time).await, &series(VALUES));
    let about = server.query("{__name__=~\"up|scrape_.*\"}", time).await;
    let expected = "up 1\nscrape_duration_seconds 0.25\nscrape_samples_scraped 11\n\
        scrape_samples_post_metric_relabeling 11\nscrape_series_added 11\n";
    assert_same(&about, &series(expected));
}

/// Bounds and quantiles as Prometheus 3 stores them: `1.0` for `1`.
fn spelled(labels: &str) -> String {
    let spell = |label: &str| match label.split_once('=') {
        Some(("le" | "quantile", bound)) if bound.parse::<i64>().is_ok() => format!("{label}.0"),
        _ => label.to_owned(),
    };
    labels.split(' ').map(spell).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_whole_page_arrives_in_prometheus() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let (_, page) = get(&server.url, "/metrics").await.unwrap();
    let expected = series(&page).into_iter();
    let expected: BTreeMap<_, _> = expected
        .map(|(labels, value)| (spelled(&labels), value))
        .collect();
    assert!(expected.len() > 200);
    let time = now_ms();
    let mut batch = [exposed("i", time, &page)];
    prometheus_sink(&server).deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
    let mut stored = server.query("{job=\"job/1\"}", time).await;
    let is_report = |name: &str| name.contains("__name__=scrape_") || name.contains("__name__=up ");
    stored.retain(|name, _| !is_report(name));
    assert_same(&stored, &expected);
}

#[tokio::test]
async fn series_end_where_they_vanish_fail_and_are_gone() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let sink = prometheus_sink(&server);
    let start = now_ms() - 60_000;
    let at = |second: i64| start + second * 1000;
    let mut batch = [
        exposed("i", at(0), "a 1\nb 1\nc 5\n"),
        exposed("i", at(10), "a 2\nc 5\n"),
    ];
    sink.deliver(&mut batch).await.unwrap();
    let both = "{__name__=~\"a|b|c\"}";
    assert_same(&server.query(both, at(9)).await, &series("a 1\nb 1\nc 5\n"));
    assert_same(&server.query(both, at(10)).await, &series("a 2\nc 5\n"));

    let mut batch = [failed("i", at(20))];
    sink.deliver(&mut batch).await.unwrap();
    assert_same(&server.query(both, at(20)).await, &BTreeMap::new());
    assert_same(&server.query("up", at(20)).await, &series("up 0\n"));
    let samples = server.query("scrape_samples_scraped", at(20)).await;
    assert_same(&samples, &series("scrape_samples_scraped 0\n"));

    let mut batch = [exposed("i", at(30), "a 3\n")];
    sink.deliver(&mut batch).await.unwrap();
    assert_same(
        &server
            .query("{job=\"job/1\",__name__=~\"a|up\"}", at(30))
            .await,
        &series("a 3\nup 1\n"),
    );

    let mut batch = [delivery("i", at(40), Outcome::Gone)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
    assert_same(
        &server.query("{job=\"job/1\"}", at(40)).await,
        &BTreeMap::new(),
    );
    assert_same(&server.query("up", at(39)).await, &series("up 1\n"));
}

#[tokio::test]
async fn the_series_of_a_silent_site_end_behind_its_last_scrape_and_live_again() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let sink = prometheus_sink(&server);
    let last = now_ms() - 60_000;
    let silent = || delivery("i", last + 1, Outcome::Noted(Note::Silent));
    let exposed = |time_ms| exposed("i", time_ms, "a 1\nb 1\n");
    let mut batch = [exposed(last), silent()];
    sink.deliver(&mut batch).await.unwrap();
    let all = "{job=\"job/1\"}";
    assert_eq!(server.query(all, last).await.len(), 7);
    assert_same(&server.query(all, last + 1).await, &BTreeMap::new());
    // A receiver that has started again says the same.
    let again = prometheus_sink(&server);
    again.prime(&batch[0].publisher, &batch[0].scrape);
    let mut batch = [silent()];
    again.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
    // What was on its way meanwhile.
    let mut batch = [exposed(last + 10_000), exposed(last + 20_000)];
    again.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"; 2]);
    assert_same(&server.query(all, last + 9_999).await, &BTreeMap::new());
    assert_eq!(server.query(all, last + 10_000).await.len(), 7);
    assert_eq!(server.query(all, last + 30_000).await.len(), 7);
}

#[tokio::test]
async fn what_the_poller_says_of_target_and_scrape_is_heeded() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let sink = prometheus_sink(&server);
    let time = now_ms() - 60_000;
    let reserved = [
        ("__honor_labels__", "true"),
        ("__scrape_timeout__", "2.5"),
        ("__scrape_sample_limit__", "100"),
    ];
    let text = "a{job=\"mine\"} 1\nb{instance=\"\"} 2\nc 3\n\
        __scrape_samples_scraped__ 7\n__scrape_body_size_bytes__ 1234\n";
    let mut batch = [
        with_reserved(exposed("i", time, text), &reserved),
        with_reserved(valued("i", time + 10_000, text), &reserved),
    ];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"; 2]);
    let about = |added: u32| {
        series(&format!(
            "up 1\nscrape_duration_seconds 0.25\nscrape_samples_scraped 7\n\
             scrape_samples_post_metric_relabeling 3\nscrape_series_added {added}\n\
             scrape_timeout_seconds 2.5\nscrape_sample_limit 100\nscrape_body_size_bytes 1234\n"
        ))
    };
    for (time, added) in [(time, 3), (time + 10_000, 0)] {
        let mut expected = about(added);
        expected.extend(series_of("a 1\n", &[("job", "mine"), TARGET[1]]));
        expected.extend(series_of("b 2\n", &TARGET[..1]));
        expected.extend(series("c 3\n"));
        assert_same(&server.query("{job=~\".+\"}", time).await, &expected);
    }
}

#[tokio::test]
async fn relabel_rules_decide_what_prometheus_gets() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let rule = |settings| Rule::new(settings).unwrap();
    let mut settings = endpoint_settings(server.url.join("api/v1/write").unwrap());
    settings.external_labels = Labels::new([("region", "eu")]);
    settings.write_relabel = Rules::new(vec![
        rule(RuleSettings {
            action: Action::Drop,
            source_labels: vec!["__name__".to_owned()],
            regex: Some("b|scrape_.*".to_owned()),
            ..RuleSettings::default()
        }),
        rule(RuleSettings {
            source_labels: vec!["region".to_owned(), "instance".to_owned()],
            target_label: "place".to_owned(),
            ..RuleSettings::default()
        }),
    ]);
    let sink = RemoteWrite::build(settings).unwrap();
    let time = now_ms() - 60_000;
    let mut batch = [
        exposed("i", time, "a 1\nb 1\nc 1\n"),
        exposed("i", time + 10_000, "a 1\n"),
    ];
    sink.deliver(&mut batch).await.unwrap();
    let all = |time| server.query("{job=\"job/1\"}", time);
    let labels = [TARGET[0], TARGET[1], ("place", "eu;i"), ("region", "eu")];
    let series = |text| series_of(text, &labels);
    assert_same(&all(time).await, &series("a 1\nc 1\nup 1\n"));
    assert_same(&all(time + 10_000).await, &series("a 1\nup 1\n"));
    check_removed(&sink, "relabeled", 1);
}

#[tokio::test]
async fn prometheus_refuses_only_what_is_out_of_order() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let sink = prometheus_sink(&server);
    let time = now_ms();
    let mut batch = [exposed("i", time, "a 1\n")];
    sink.deliver(&mut batch).await.unwrap();
    let mut batch = [
        exposed("k", time, "a 2\n"),
        exposed("i", time - 5000, "a 3\n"),
        exposed("i", time, "a 4\n"),
        exposed("l", time + 1, "a 5\n"),
        exposed("i", time + 1, "a 6\n"),
    ];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(
        states(&batch),
        [
            "delivered",
            "out_of_order",
            "duplicate",
            "delivered",
            "delivered"
        ],
        "{batch:?}"
    );
    let mut expected = series_of("a 2\n", &[("job", "job/1"), ("instance", "k")]);
    expected.extend(series_of("a 5\n", &[("job", "job/1"), ("instance", "l")]));
    expected.extend(series("a 6\n"));
    assert_same(&server.query("a", time + 1).await, &expected);
    assert_same(
        &server.query("a{instance=\"i\"}", time).await,
        &series("a 1\n"),
    );
}

#[tokio::test]
async fn prometheus_gets_the_rest_of_a_scrape_with_times_that_do_not_fit() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let sink = prometheus_sink(&server);
    let time = now_ms();
    let mut batch = [exposed("i", time - 5000, "a 1\n")];
    sink.deliver(&mut batch).await.unwrap();
    let (fitting, days_ago) = (time - 1000, time - 172_800_000);
    let text = format!("old 1 {days_ago}\na 2\nb 3 {fitting}\n");
    let mut batch = [exposed("i", time, &text)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"], "{batch:?}");
    let stored = server.query("{__name__=~\"old|a|b|up\"}", time).await;
    assert_same(&stored, &series("a 2\nb 3\nup 1\n"));
    check_removed(&sink, "refused_timestamp", 1);
}

#[tokio::test]
async fn the_same_scrape_twice_is_taken_twice() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let time = now_ms();
    for _ in 0..2 {
        // A new life each time, which remembers nothing.
        let sink = prometheus_sink(&server);
        let mut batch = [exposed("i", time, "a NaN\nb 1\n")];
        sink.deliver(&mut batch).await.unwrap();
        assert_eq!(states(&batch), ["delivered"]);
    }
}

#[tokio::test]
async fn labels_that_conflict_are_exported() {
    let Some(server) = Server::prometheus().await else {
        return;
    };
    let mut settings = endpoint_settings(server.url.join("api/v1/write").unwrap());
    settings.publisher_label = true;
    settings.external_labels = Labels::new([("region", "eu"), ("zone", "far")]);
    let sink = RemoteWrite::build(settings).unwrap();
    let time = now_ms();
    let mut batch = [exposed(
        "i",
        time,
        "a{job=\"mine\",zone=\"near\",publisher=\"p\",empty=\"\"} 1\n",
    )];
    sink.deliver(&mut batch).await.unwrap();
    let added = [
        ("job", "job/1"),
        ("instance", "i"),
        ("publisher", "site"),
        ("exported_job", "mine"),
        ("exported_publisher", "p"),
        ("region", "eu"),
        ("zone", "near"),
    ];
    assert_same(&server.query("a", time).await, &series_of("a 1\n", &added));
    let up = [
        ("job", "job/1"),
        ("instance", "i"),
        ("publisher", "site"),
        ("region", "eu"),
        ("zone", "far"),
    ];
    assert_same(&server.query("up", time).await, &series_of("up 1\n", &up));
}

#[tokio::test]
async fn victoria_metrics_stores_what_was_exposed() {
    let Some(server) = Server::victoria_metrics().await else {
        return;
    };
    let sink = prometheus_sink(&server);
    let start = now_ms() - 60_000;
    // Values that its decimal storage holds exactly.
    let text = "a{x=\"ä\"} 0.1\na{x=\"2\"} 1234567.875\na{x=\"3\"} +Inf\nb 7\n";
    let mut batch = [
        exposed("i", start, text),
        exposed("i", start + 10_000, "b 8\n"),
    ];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"; 2]);
    wait_for("the last sample", async || {
        get(&server.url, "/internal/force_flush").await?;
        let found = server.query("b", start + 10_000).await;
        (found.values().copied().collect::<Vec<_>>() == [8.0]).then_some(())
    })
    .await;
    let all = "{__name__=~\"a|b\"}";
    assert_same(&server.query(all, start).await, &series(text));
    assert_same(&server.query(all, start + 10_000).await, &series("b 8\n"));
    let mut batch = [failed("i", start + 20_000)];
    sink.deliver(&mut batch).await.unwrap();
    wait_for("the stale markers", async || {
        get(&server.url, "/internal/force_flush").await?;
        let found = server.query("{__name__=~\"a|b|up\"}", start + 20_000).await;
        (found.values().copied().collect::<Vec<_>>() == [0.0]).then_some(())
    })
    .await;
}
