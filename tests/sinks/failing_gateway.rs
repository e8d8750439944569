//! Pushes to a gateway that fails.

use std::time::Duration;

use prometheus_streams::model::{Note, Outcome};
use prometheus_streams::sink::Sink;
use prometheus_streams::sink::pushgateway::{OnFailure, Pushgateway};
use prometheus_streams::sink::remote_write::RemoteWrite;

use crate::scripted::{OK, Reply, Scripted};
use crate::support::{delivery, endpoint_settings, exposed, failed, gateway_settings, states};

fn sink(server: &Scripted) -> Pushgateway {
    Pushgateway::build(gateway_settings(&server.url)).unwrap()
}

fn lines(server: &Scripted) -> Vec<String> {
    let lines = server
        .requests()
        .into_iter()
        .map(|request| request.first_line);
    lines
        .map(|line| line.replace("/write/metrics/job@base64/am9iLzE/instance", ""))
        .collect()
}

#[tokio::test]
async fn a_target_that_must_wait_does_not_hold_the_others() {
    let server = Scripted::start(|_, request| {
        if request.first_line.contains("/slow") {
            Reply::Answer(503, "", "later")
        } else {
            OK
        }
    })
    .await;
    let mut batch = [
        exposed("slow", 1, "a 1\n"),
        exposed("fast", 1, "a 1\n"),
        exposed("slow", 2, "a 2\n"),
        exposed("fast", 2, "a 2\n"),
    ];
    let error = sink(&server).deliver(&mut batch).await.unwrap_err();
    assert_eq!(error.to_string(), "the sink answers 503: later");
    assert_eq!(
        states(&batch),
        ["pending", "delivered", "pending", "delivered"]
    );
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn pushes_go_out_together_within_the_bound() {
    let server = Scripted::start(|_, _| OK).await;
    let sink = sink(&server);
    let batch = |from: usize| -> Vec<_> {
        let instances = (from..from + 40).map(|instance| instance.to_string());
        instances
            .map(|instance| exposed(&instance, 1, "a 1\n"))
            .collect()
    };
    let (mut one, mut other) = (batch(0), batch(100));
    let (first, second) = tokio::join!(sink.deliver(&mut one), sink.deliver(&mut other));
    first.unwrap();
    second.unwrap();
    assert_eq!(server.requests().len(), 80);
    let most = server.open_most();
    assert!((1..=4).contains(&most), "{most} requests at the same time");
}

#[tokio::test]
async fn a_gateway_that_hangs_is_given_up_soon() {
    let server = Scripted::start(|_, _| Reply::Hang).await;
    let mut settings = gateway_settings(&server.url);
    settings.timeout = Duration::from_millis(200);
    settings.concurrency = 1;
    let sink = Pushgateway::build(settings).unwrap();
    let mut batch: Vec<_> = (0..50)
        .map(|instance| exposed(&instance.to_string(), 1, "a 1\n"))
        .collect();
    sink.deliver(&mut batch).await.unwrap_err();
    assert_eq!(states(&batch), ["pending"; 50]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_group_is_deleted_once() {
    let server = Scripted::start(|number, _| match number {
        0 => Reply::Answer(500, "", ""),
        _ => Reply::Answer(202, "", ""),
    })
    .await;
    let sink = sink(&server);
    let mut batch = [failed("i", 1), failed("i", 2)];
    sink.deliver(&mut batch).await.unwrap_err();
    assert_eq!(states(&batch), ["pending", "pending"]);
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered", "delivered"]);
    let mut batch = [
        delivery("i", 3, Outcome::Noted(Note::Expired)),
        exposed("i", 4, "a 1\n"),
        delivery("i", 5, Outcome::Gone),
        delivery("i", 6, Outcome::Gone),
        exposed("i", 7, "a 1\n"),
        delivery("i", 8, Outcome::Noted(Note::Silent)),
        delivery("i", 9, Outcome::Noted(Note::Expired)),
        delivery("i", 10, Outcome::Noted(Note::Site { is_up: false })),
    ];
    sink.deliver(&mut batch).await.unwrap();
    let expected = [
        "DELETE /i HTTP/1.1",
        "DELETE /i HTTP/1.1",
        "PUT /i HTTP/1.1",
        "DELETE /i HTTP/1.1",
        "PUT /i HTTP/1.1",
        "DELETE /i HTTP/1.1",
    ];
    assert_eq!(lines(&server), expected);
}

#[tokio::test]
async fn what_an_earlier_life_did_is_known() {
    let server = Scripted::start(|_, _| OK).await;
    let sink = sink(&server);
    let (pushed, deleted) = (exposed("pushed", 1, "a 1\n"), failed("deleted", 1));
    sink.prime(&pushed.publisher, &pushed.scrape);
    sink.prime(&deleted.publisher, &deleted.scrape);
    let mut batch = [failed("pushed", 2), failed("deleted", 2)];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered", "delivered"]);
    assert_eq!(lines(&server), ["DELETE /pushed HTTP/1.1"]);
}

#[tokio::test]
async fn groups_are_kept_where_that_is_wanted() {
    let server = Scripted::start(|_, _| OK).await;
    let mut settings = gateway_settings(&server.url);
    settings.on_failure = OnFailure::Keep;
    let sink = Pushgateway::build(settings).unwrap();
    let mut batch = [
        exposed("i", 1, "a 1\n"),
        failed("i", 2),
        delivery("i", 3, Outcome::Gone),
    ];
    sink.deliver(&mut batch).await.unwrap();
    assert_eq!(states(&batch), ["delivered"; 3]);
    assert_eq!(lines(&server), ["PUT /i HTTP/1.1"]);
}

#[tokio::test]
async fn a_delivery_can_run_in_a_task_of_its_own() {
    let server = Scripted::start(|_, _| OK).await;
    let gateway = Sink::Pushgateway(sink(&server));
    let endpoint = RemoteWrite::build(endpoint_settings(server.url.clone())).unwrap();
    for sink in [gateway, Sink::RemoteWrite(endpoint)] {
        let task = tokio::spawn(async move {
            let mut batch = [exposed("i", 1, "a 1\n")];
            sink.deliver(&mut batch).await.unwrap();
            assert_eq!(states(&batch), ["delivered"]);
            assert!(sink.removed().iter().all(|(_, count)| *count == 0));
        });
        task.await.unwrap();
    }
}
