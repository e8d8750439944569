//! The whole flow with a server that answers a query.

use std::time::Duration;

use super::{PuppetDb, Settings, is_json, query_url};
use crate::discover::testing::{Page, Run, Server};
use crate::http;
use crate::telemetry::chain;

const QUERY: &str = "resources { type = \"Class\" }";

fn start(server: &Server) -> Run {
    let settings = Settings {
        url: server.url.clone(),
        http: http::Settings::default(),
        query: QUERY.to_owned(),
        include_parameters: true,
        port: 9100,
        refresh_interval: Duration::from_secs(60),
    };
    Run::start(PuppetDb::source(&settings).unwrap())
}

#[tokio::test]
async fn each_resource_is_a_target() {
    let server = Server::start().await;
    server.put(
        "/pdb/query/v4",
        Page::json(
            r#"[{"certname": "a.example.net", "exported": true, "tags": null,
                        "parameters": {"port": 1234567}}]"#,
        ),
    );
    let groups = start(&server).complete().await;
    let source = format!("{}pdb/query/v4?query={QUERY}", server.url);
    assert_eq!((groups.len(), &*groups[0].source), (1, &*source));
    let target = &groups[0].targets[0];
    let target: Vec<(&str, &str)> = target.iter().map(|(n, v)| (&**n, &**v)).collect();
    let expected = [
        ("__address__", "a.example.net:9100"),
        ("__meta_puppetdb_certname", "a.example.net"),
        ("__meta_puppetdb_exported", "true"),
        ("__meta_puppetdb_parameter_port", "1.234567e+06"),
        ("__meta_puppetdb_query", QUERY),
    ];
    assert_eq!(target, expected);
    let got = &server.got("/")[0];
    assert_eq!(got.method, "POST");
    assert_eq!(got.headers["content-type"], "application/json");
    assert_eq!(got.headers["accept"], "application/json");
    assert_eq!(got.body, r#"{"query":"resources { type = \"Class\" }"}"#);
}

async fn check_refused(page: Page, expected: &str) {
    let server = Server::start().await;
    server.put("/pdb/query/v4", page);
    let error = chain(&start(&server).failure().await);
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn answers_that_are_no_resources_are_refused() {
    check_refused(
        Page::status(400, "PQL parse error"),
        "400 Bad Request: PQL parse error",
    )
    .await;
    check_refused(Page::json("{}"), "invalid type: map").await;
    let html = Page {
        content_type: "text/html",
        ..Page::json("[]")
    };
    check_refused(html, "answers with the content type `text/html`").await;
}

#[track_caller]
fn check_content_type(content_type: &str, expected: bool) {
    assert_eq!(is_json(content_type), expected, "{content_type}");
}

#[test]
fn only_json_in_utf8_is_taken() {
    check_content_type("application/json", true);
    check_content_type("Application/JSON;  charset=UTF-8", true);
    check_content_type("application/json;charset=\"utf-8\"", true);
    check_content_type("application/json; charset=latin1", false);
    check_content_type("application/json ; charset=utf-8", false);
    check_content_type("text/html", false);
    check_content_type("", false);
}

#[track_caller]
fn check_url(server: &str, expected: &str) {
    assert_eq!(query_url(&server.parse().unwrap()).as_str(), expected);
}

#[test]
fn queries_have_a_path_below_the_servers() {
    check_url("http://pdb:8080", "http://pdb:8080/pdb/query/v4");
    check_url("http://pdb:8080/", "http://pdb:8080/pdb/query/v4");
    check_url("https://pdb/below/", "https://pdb/below/pdb/query/v4");
}
