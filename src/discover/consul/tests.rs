//! The whole flow with a server that answers blocking queries.

use std::time::Duration;

use super::{Consul, Settings};
use crate::discover::testing::{Page, Run, Server, addresses, pass};
use crate::http;
use crate::model::Secret;
use crate::telemetry::chain;

const CATALOG: &str = "/v1/catalog/services";
const RETRY: Duration = Duration::from_secs(15);

fn settings(server: &Server) -> Settings {
    Settings {
        server: server.url.clone(),
        http: http::Settings::default(),
        token: None,
        datacenter: Some("dc1".to_owned()),
        namespace: None,
        partition: None,
        tag_separator: ",".to_owned(),
        allow_stale: true,
        refresh_interval: Duration::from_millis(1),
        services: Vec::new(),
        tags: Vec::new(),
        node_meta: Vec::new(),
        filter: None,
        health_filter: None,
    }
}

fn start(settings: Settings) -> Run {
    Run::start(Box::new(Consul::new(settings).unwrap()))
}

fn health(service: &str) -> String {
    format!("/v1/health/service/{service}")
}

fn instances(addresses: &[&str]) -> Page {
    let instance = |address: &&str| {
        format!(
            r#"{{"Node":{{"Node":"n","Address":"{address}"}},"Service":{{"ID":"s","Port":80}}}}"#
        )
    };
    let all: Vec<String> = addresses.iter().map(instance).collect();
    Page::json(format!("[{}]", all.join(",")))
}

#[tokio::test]
async fn services_come_change_and_go() {
    let server = Server::start().await;
    server.put(&health("db"), instances(&["10.0.0.1"]));
    server.put(&health("web"), instances(&["10.0.0.2", "10.0.0.3"]));
    server.put(CATALOG, Page::json(r#"{"db": [], "web": null}"#));
    let mut run = start(settings(&server));

    let groups = run.complete().await;
    let names: Vec<&str> = groups.iter().map(|group| &*group.source).collect();
    assert_eq!(names, ["db", "web"]);
    assert_eq!(addresses(&groups[1]), ["10.0.0.2:80", "10.0.0.3:80"]);
    let expected = [
        ("__meta_consul_dc".to_owned(), "dc1".to_owned()),
        ("__meta_consul_service".to_owned(), "web".to_owned()),
    ];
    assert_eq!(groups[1].labels, expected);

    server.put(&health("web"), instances(&["10.0.0.3"]));
    let groups = run.groups().await;
    assert_eq!(
        (&*groups[0].source, addresses(&groups[0])),
        ("web", vec!["10.0.0.3:80"])
    );

    server.put(CATALOG, Page::json(r#"{"web": []}"#));
    let groups = run.groups().await;
    assert_eq!((&*groups[0].source, groups[0].targets.len()), ("db", 0));

    server.put(CATALOG, Page::json(r#"{"web": [], "db": []}"#));
    let groups = run.groups().await;
    assert_eq!(
        (&*groups[0].source, addresses(&groups[0])),
        ("db", vec!["10.0.0.1:80"])
    );
}

#[tokio::test]
async fn questions_wait_for_the_version_after_the_last() {
    let server = Server::start().await;
    server.put_at(&health("web"), instances(&["10.0.0.1"]), 77);
    let mut run = start(Settings {
        namespace: Some("ns".to_owned()),
        partition: Some("part".to_owned()),
        token: Some(Secret::Inline("t0ken".into())),
        services: vec!["web".to_owned()],
        node_meta: vec![("rack".to_owned(), "r1".to_owned())],
        health_filter: Some("Node.Node == n".to_owned()),
        ..settings(&server)
    });
    run.groups().await;
    server.put_at(&health("web"), instances(&["10.0.0.2"]), 78);
    run.groups().await;

    // The names are known, so there is no need for the catalog.
    assert!(server.got(CATALOG).is_empty());
    let got = server.got(&health("web"));
    assert_eq!(got[0].query.get("index"), None);
    assert_eq!(got[1].query["index"], "77");
    let expected = [
        ("wait", "120000ms"),
        ("stale", ""),
        ("dc", "dc1"),
        ("ns", "ns"),
        ("partition", "part"),
        ("node-meta", "rack:r1"),
        ("filter", "Node.Node == n"),
    ];
    for (key, value) in expected {
        assert_eq!(got[1].query[key], value, "{key}");
    }
    assert_eq!(got[1].headers["x-consul-token"], "t0ken");
}

#[tokio::test]
async fn only_services_with_all_tags_are_watched() {
    let server = Server::start().await;
    server.put(&health("web"), instances(&["10.0.0.1"]));
    server.put(
        CATALOG,
        Page::json(r#"{"web": ["a", "b"], "db": ["a"], "cache": ["a", "b"]}"#),
    );
    let mut run = start(Settings {
        services: vec!["web".to_owned(), "db".to_owned()],
        tags: vec!["a".to_owned(), "b".to_owned()],
        filter: Some("x in Tags".to_owned()),
        allow_stale: false,
        ..settings(&server)
    });
    let groups = run.complete().await;
    assert_eq!(groups.len(), 1);
    assert_eq!(server.got("/v1/health/").len(), 1);
    let catalog = &server.got(CATALOG)[0].query;
    assert_eq!(
        (
            catalog.get("filter").unwrap().as_str(),
            catalog.get("stale")
        ),
        ("x in Tags", None)
    );
}

#[tokio::test]
async fn the_agent_names_its_datacenter() {
    let server = Server::start().await;
    server.put(
        "/v1/agent/self",
        Page::json(r#"{"Config": {"Datacenter": "far"}}"#),
    );
    server.put(&health("web"), instances(&["10.0.0.1"]));
    let mut run = start(Settings {
        datacenter: None,
        services: vec!["web".to_owned()],
        ..settings(&server)
    });
    let groups = run.complete().await;
    assert_eq!(groups[0].labels[0].1, "far");
    assert_eq!(server.got("/v1/health/")[0].query.get("dc"), None);
}

#[tokio::test]
async fn an_agent_that_is_down_is_asked_until_it_answers() {
    let server = Server::start().await;
    server.put("/v1/agent/self", Page::status(500, "no leader"));
    server.put(&health("web"), instances(&["10.0.0.1"]));
    let mut run = start(Settings {
        datacenter: None,
        services: vec!["web".to_owned()],
        ..settings(&server)
    });
    let error = chain(&run.failure().await);
    assert!(
        error.ends_with("answers 500 Internal Server Error: no leader"),
        "{error}"
    );
    run.complete().await;
    server.put(
        "/v1/agent/self",
        Page::json(r#"{"Config": {"Datacenter": "far"}}"#),
    );
    pass(RETRY).await;
    assert_eq!(run.groups().await.len(), 1);
}

/// Asks for a service whose answer turns bad, and good again: what was found stays.
async fn check_bad_answer(bad: Page, expected: &str) {
    let server = Server::start().await;
    server.put(&health("web"), instances(&["10.0.0.1"]));
    let mut run = start(Settings {
        services: vec!["web".to_owned()],
        ..settings(&server)
    });
    run.complete().await;
    server.put(&health("web"), bad);
    let error = chain(&run.failure().await);
    assert!(error.contains(expected), "{error}");
    server.put(&health("web"), instances(&["10.0.0.2"]));
    pass(RETRY).await;
    let groups = run.groups().await;
    assert_eq!(addresses(&groups[0]), ["10.0.0.2:80"]);
}

#[tokio::test]
async fn a_bad_answer_changes_nothing() {
    check_bad_answer(
        Page::status(403, "Permission denied"),
        "403 Forbidden: Permission denied",
    )
    .await;
    check_bad_answer(Page::json("<html>"), "expected value").await;
    check_bad_answer(Page::json("{}"), "invalid type: map").await;
    check_bad_answer(Page::json(r#"[{"Node": 7}]"#), "invalid type").await;
    check_bad_answer(Page::json(""), "EOF").await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failure() {
    let mut absent = settings(&Server::start().await);
    // Nobody listens on port 1 of this address.
    absent.server = "http://127.0.0.1:1/".parse().unwrap();
    let mut run = start(absent);
    let error = chain(&run.failure().await);
    assert!(
        error.starts_with("cannot ask `http://127.0.0.1:1/v1/catalog/services"),
        "{error}"
    );
    run.complete().await;
}
