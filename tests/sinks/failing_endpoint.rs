//! Remote write to an endpoint that fails in all the ways there are.

use std::time::Duration;

use prometheus_streams::model::{Note, Outcome};
use prometheus_streams::retry::{Retry, Retryable as _};
use prometheus_streams::sink::State;
use prometheus_streams::sink::remote_write::RemoteWrite;

use crate::scripted::{OK, Reply, Request, Scripted};
use crate::support::{check_removed, delivery, endpoint_settings, exposed, failed, states, valued};

const TOO_LARGE: Reply = Reply::Answer(413, "", "too large");

fn sink(server: &Scripted) -> RemoteWrite {
    RemoteWrite::build(endpoint_settings(server.url.clone())).unwrap()
}

/// An endpoint that refuses requests in which a series begins so.
async fn refusing(start: &'static str) -> Scripted {
    Scripted::start(move |_, request| {
        let written = request.written();
        if written.iter().any(|series| series.starts_with(start)) {
            Reply::Answer(400, "", "out of bounds")
        } else {
            OK
        }
    })
    .await
}

fn written(requests: &[Request]) -> Vec<String> {
    requests
        .iter()
        .map(|request| request.written().join(" "))
        .collect()
}

#[tokio::test]
async fn a_request_has_the_headers_of_the_specification() {
    let server = Scripted::start(|_, _| OK).await;
    let mut batch = [exposed("i", 1, "a 1\n")];
    sink(&server).deliver(&mut batch).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].first_line, "POST /write HTTP/1.1");
    for header in [
        "content-encoding: snappy\r\n",
        "content-type: application/x-protobuf\r\n",
        "x-prometheus-remote-write-version: 0.1.0\r\n",
        "user-agent: prometheus-streams/",
    ] {
        assert!(
            requests[0].headers.contains(header),
            "{}",
            requests[0].headers
        );
    }
}

#[tokio::test]
async fn a_batch_goes_in_one_request_and_again_as_the_same_bytes() {
    let server = Scripted::start(|number, _| match number {
        0 => Reply::Answer(503, "", "not now"),
        _ => OK,
    })
    .await;
    let sink = sink(&server);
    let mut batch = [
        exposed("i", 1000, "a 1\nb 1\n"),
        exposed("k", 1000, "a 5\n"),
        exposed("i", 2000, "b 2\nc 2\n"),
        failed("i", 3000),
    ];
    let error = sink.deliver(&mut batch).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Yes);
    assert_eq!(error.to_string(), "the sink answers 503: not now");
    assert_eq!(states(&batch), ["pending"; 4]);
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"; 4]);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
    let expected = "a:1@1000 b:1@1000 a:5@1000 b:2@2000 c:2@2000 a:stale@2000 \
                    b:stale@3000 c:stale@3000";
    assert_eq!(written(&requests)[1], expected);
}

#[tokio::test]
async fn values_and_texts_of_a_target_follow_each_other() {
    let server = Scripted::start(|number, _| match number {
        0 => Reply::Answer(503, "", "not now"),
        _ => OK,
    })
    .await;
    let sink = sink(&server);
    let earlier = valued("i", 500, "a 0\nz 0\n");
    sink.prime(&earlier.publisher, &earlier.scrape);
    let mut batch = [
        valued("i", 1000, "a 1\nb 1\n"),
        valued("k", 1000, "a 5\n"),
        exposed("i", 2000, "b 2\nc 2\n"),
        valued("i", 3000, "c 3\n"),
        failed("i", 4000),
    ];
    sink.deliver(&mut batch).await.unwrap_err();
    assert_eq!(states(&batch), ["pending"; 5]);
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"; 5]);
    let requests = server.requests();
    assert_eq!(requests[0].body, requests[1].body);
    let expected = "a:1@1000 b:1@1000 z:stale@1000 a:5@1000 b:2@2000 c:2@2000 a:stale@2000 \
                    c:3@3000 b:stale@3000 c:stale@4000";
    assert_eq!(written(&requests)[1], expected);
}

#[tokio::test]
async fn the_servers_wish_to_wait_is_passed_on() {
    let reply = |_: usize, _: &Request| Reply::Answer(429, "retry-after: 7\r\n", "slow down");
    let server = Scripted::start(reply).await;
    let mut batch = [exposed("i", 1, "a 1\n")];
    let error = sink(&server).deliver(&mut batch).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(7)));
    assert_eq!(states(&batch), ["pending"]);
}

#[tokio::test]
async fn silence_and_garbage_leave_the_batch_pending() {
    let server = Scripted::start(|number, _| match number {
        0 => Reply::Hang,
        1 => Reply::Raw(b"\0\xff garbage\r\n\r\n"),
        2 => Reply::Raw(b""),
        3 => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort"),
        _ => OK,
    })
    .await;
    let mut settings = endpoint_settings(server.url.clone());
    settings.timeout = Duration::from_millis(300);
    let sink = RemoteWrite::build(settings).unwrap();
    let mut batch = [exposed("i", 1, "a 1\n")];
    for _ in 0..4 {
        let error = sink.deliver(&mut batch).await.unwrap_err();
        assert_eq!(error.retry(), Retry::Yes);
        assert_eq!(states(&batch), ["pending"]);
    }
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
}

#[tokio::test]
async fn only_what_is_refused_alone_is_rejected() {
    let server = Scripted::start(|_, request| {
        let is_bad = request
            .written()
            .iter()
            .any(|series| series.starts_with("bad"));
        if is_bad {
            Reply::Answer(400, "", "out of order sample\n")
        } else {
            OK
        }
    })
    .await;
    let mut batch: Vec<_> = (0..16).map(|time| exposed("i", time, "good 1\n")).collect();
    batch[5] = exposed("k", 5, "bad 1\n");
    batch[11] = exposed("l", 11, "bad 1\n");
    sink(&server).deliver(&mut batch).await.unwrap();
    let mut expected = ["delivered"; 16];
    expected[5] = "out_of_order";
    expected[11] = "out_of_order";
    assert_eq!(states(&batch), expected);
    let State::Rejected { detail, .. } = &batch[5].state else {
        panic!("{:?}", batch[5])
    };
    assert_eq!(detail, "out of order sample");
    let taken = written(&server.requests()).join(" ");
    let good: Vec<_> = taken
        .split(' ')
        .filter(|series| series.starts_with("good"))
        .collect();
    assert!(good.len() >= 14);
    let requests = server.requests();
    assert!(requests.len() < 16, "{} requests", requests.len());
}

#[tokio::test]
async fn what_no_part_could_change_is_asked_once() {
    let server = Scripted::start(|_, _| Reply::Answer(401, "", "who are you")).await;
    let mut batch: Vec<_> = (0..8).map(|time| exposed("i", time, "a 1\n")).collect();
    sink(&server).deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["unauthorized"; 8]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_nothing_is_lost() {
    let reply = |_: usize, _: &Request| Reply::Answer(308, "location: /elsewhere\r\n", "");
    let server = Scripted::start(reply).await;
    let mut batch = [exposed("i", 1, "a 1\n")];
    let error = sink(&server).deliver(&mut batch).await.unwrap_err();
    assert!(
        error.to_string().contains("redirected to `/elsewhere`"),
        "{error}"
    );
    assert_eq!(states(&batch), ["pending"]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_scrape_that_is_too_large_goes_in_parts() {
    let server = Scripted::start(|_, request| {
        if request.written().len() > 150 {
            TOO_LARGE
        } else {
            OK
        }
    })
    .await;
    let lines: Vec<_> = (0..1000)
        .map(|number| format!("s{number} {number}\n"))
        .collect();
    let mut batch = [
        exposed("i", 1, &lines.concat()),
        exposed("k", 1, "small 1\n"),
    ];
    sink(&server).deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered", "delivered"]);
    let requests = server.requests();
    let taken = requests
        .iter()
        .map(Request::written)
        .filter(|written| written.len() <= 150);
    let taken: Vec<String> = taken.flatten().collect();
    let mut expected: Vec<_> = (0..1000)
        .map(|number| format!("s{number}:{number}@1"))
        .collect();
    expected.push("small:1@1".to_owned());
    assert_eq!(taken, expected);
}

#[tokio::test]
async fn a_scrape_that_cannot_be_made_small_enough_is_rejected() {
    let server = Scripted::start(|_, request| {
        if request
            .written()
            .iter()
            .any(|series| series.starts_with("large"))
        {
            TOO_LARGE
        } else {
            OK
        }
    })
    .await;
    let mut batch = [exposed("i", 1, "large 1\n"), exposed("k", 1, "small 1\n")];
    sink(&server).deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["too_large", "delivered"]);
}

#[tokio::test]
async fn many_samples_go_in_several_requests_in_order() {
    let server = Scripted::start(|_, _| OK).await;
    let mut settings = endpoint_settings(server.url.clone());
    settings.max_samples_per_send = 10;
    let sink = RemoteWrite::build(settings).unwrap();
    // Eleven series each, the report's among them, so a request is full with four of them.
    let text = "a 1\nb 1\nc 1\nd 1\ne 1\nf 1\n";
    let mut batch: Vec<_> = (0..10).map(|time| exposed("i", time, text)).collect();
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"; 10]);
    let requests = server.requests();
    let sizes: Vec<_> = requests
        .iter()
        .map(|request| request.written().len())
        .collect();
    assert_eq!(sizes, [24, 24, 12]);
    let times = requests.iter().flat_map(Request::written);
    let times: Vec<i64> = times
        .map(|series| series.split_once('@').unwrap().1.parse().unwrap())
        .collect();
    assert!(times.is_sorted());
}

#[tokio::test]
async fn a_scrape_that_does_not_read_is_rejected_in_its_turn() {
    let server = Scripted::start(|number, _| match number {
        0 => Reply::Answer(500, "", ""),
        _ => OK,
    })
    .await;
    let sink = sink(&server);
    let mut batch = [
        exposed("i", 1, "a 1\n"),
        exposed("i", 2, "<html>\n"),
        exposed("i", 3, "a 3\n"),
        delivery("k", 3, Outcome::Noted(Note::Expired)),
    ];
    sink.deliver(&mut batch).await.unwrap_err();
    assert_eq!(states(&batch), ["pending"; 4]);
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(
        states(&batch),
        ["delivered", "bad_syntax", "delivered", "delivered"]
    );
    assert_eq!(written(&server.requests())[1], "a:1@1 a:3@3");
}

#[tokio::test]
async fn what_was_dropped_is_neither_sent_nor_remembered() {
    let server = Scripted::start(|number, _| match number {
        0 => Reply::Answer(500, "", ""),
        _ => OK,
    })
    .await;
    let sink = sink(&server);
    let mut batch = [exposed("i", 1, "a 1\nold 1\n"), exposed("i", 2, "a 2\n")];
    sink.deliver(&mut batch).await.unwrap_err();
    batch[0].state = State::Dropped;
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["dropped", "delivered"]);
    assert_eq!(written(&server.requests())[1], "a:2@2");
}

#[tokio::test]
async fn what_an_earlier_life_delivered_gets_its_stale_markers() {
    let server = Scripted::start(|_, _| OK).await;
    let sink = sink(&server);
    let earlier = exposed("i", 1, "a 1\nb 1\n");
    sink.prime(&earlier.publisher, &earlier.scrape);
    assert!(server.requests().is_empty());
    let mut batch = [exposed("i", 2, "a 2\n"), delivery("i", 3, Outcome::Gone)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(written(&server.requests())[0], "a:2@2 b:stale@2 a:stale@3");
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_the_decided_decided() {
    let server = Scripted::start(|number, _| match number {
        1 => Reply::Hang,
        _ => OK,
    })
    .await;
    let mut settings = endpoint_settings(server.url.clone());
    settings.max_samples_per_send = 1;
    let sink = RemoteWrite::build(settings).unwrap();
    let mut batch = [
        exposed("i", 1, "a 1\nb 1\n"),
        exposed("i", 2, "a 2\n"),
        failed("i", 3),
    ];
    {
        let given_up = sink.deliver(&mut batch);
        let second = crate::support::wait_for("the second request", async || {
            (server.requests().len() == 2).then_some(())
        });
        tokio::select! {
            _ = given_up => panic!("the server hangs"),
            () = second => {}
        }
    }
    assert_eq!(states(&batch), ["delivered", "pending", "pending"]);
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"; 3]);
    let requests = server.requests();
    assert_eq!(requests[1].body, requests[2].body);
    assert_eq!(
        written(&requests),
        [
            "a:1@1 b:1@1",
            "a:2@2 b:stale@2",
            "a:2@2 b:stale@2",
            "a:stale@3"
        ]
    );
}

#[tokio::test]
async fn removed_series_are_counted_once_however_often_they_are_tried() {
    let server = Scripted::start(|number, _| match number {
        0 => Reply::Answer(500, "", ""),
        _ => OK,
    })
    .await;
    let sink = sink(&server);
    let mut batch = [exposed("i", 1, "a 1\na 2\n")];
    sink.deliver(&mut batch).await.unwrap_err();
    sink.deliver(&mut batch).await.unwrap();
    check_removed(&sink, "duplicate", 1);
}

#[tokio::test]
async fn a_sample_with_a_wrong_time_of_its_own_costs_only_itself() {
    let server = refusing("bad").await;
    let sink = sink(&server);
    let text = "t1 1 500\nbad 1 5\na 1\nt2 1 501\nt3 1 502\n";
    let mut batch = [exposed("i", 1000, text)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
    check_removed(&sink, "refused_timestamp", 1);
    let requests = server
        .requests()
        .into_iter()
        .map(|request| request.written());
    let taken = requests.filter(|written| !written.concat().contains("bad"));
    let taken: Vec<_> = taken.flatten().collect();
    assert_eq!(taken, ["a:1@1000", "t1:1@500", "t2:1@501", "t3:1@502"]);
}

#[tokio::test]
async fn the_search_for_wrong_times_has_an_end() {
    let server = refusing("t").await;
    let sink = sink(&server);
    let lines: Vec<_> = (0..1000).map(|number| format!("t{number} 1 5\n")).collect();
    let mut batch = [exposed("i", 1000, &lines.concat())];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"]);
    check_removed(&sink, "refused_timestamp", 1000);
    assert!(server.requests().len() < 40);
}
