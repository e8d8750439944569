//! The whole flow with a server of documents.

use std::time::Duration;

use super::{Nomad, Settings};
use crate::discover::testing::{Page, Run, Server};
use crate::http;
use crate::telemetry::chain;

fn start(server: &Server) -> Run {
    let mut url = server.url.clone();
    url.set_path("/ui");
    let settings = Settings {
        server: url,
        http: http::Settings::default(),
        namespace: "default".to_owned(),
        region: "global".to_owned(),
        tag_separator: ";".to_owned(),
        allow_stale: true,
        refresh_interval: Duration::from_secs(60),
    };
    Run::start(Nomad::source(&settings).unwrap())
}

const LIST: &str = r#"[{"Namespace": "default",
    "Services": [{"ServiceName": "web", "Tags": ["a"]}, {"ServiceName": "d/b", "Tags": null}]}]"#;

const WEB: &str = r#"[{"ID": "_nomad-1", "ServiceName": "web", "Namespace": "default",
    "NodeID": "n1", "Datacenter": "dc1", "JobID": "j", "AllocID": "a", "Tags": ["a", "b"],
    "Address": "fd00::1", "Port": 8080}]"#;

#[tokio::test]
async fn each_instance_of_each_service_is_a_target() {
    let server = Server::start().await;
    server.put("/v1/services", Page::json(LIST));
    server.put("/v1/service/web", Page::json(WEB));
    server.put("/v1/service/d%2Fb", Page::json("null"));
    let groups = start(&server).complete().await;
    let expected = [
        ("__address__", "[fd00::1]:8080"),
        ("__meta_nomad_address", "fd00::1"),
        ("__meta_nomad_dc", "dc1"),
        ("__meta_nomad_namespace", "default"),
        ("__meta_nomad_node_id", "n1"),
        ("__meta_nomad_service", "web"),
        ("__meta_nomad_service_address", "fd00::1"),
        ("__meta_nomad_service_id", "_nomad-1"),
        ("__meta_nomad_service_port", "8080"),
        ("__meta_nomad_tags", ";a;b;"),
    ];
    assert_eq!((groups.len(), &*groups[0].source), (1, "Nomad"));
    let target = &groups[0].targets[0];
    let target: Vec<(&str, &str)> = target.iter().map(|(n, v)| (&**n, &**v)).collect();
    assert_eq!(target, expected);
    let query = &server.got("/v1/services")[0].query;
    let query = ["namespace", "region", "stale"].map(|key| query[key].as_str());
    assert_eq!(query, ["default", "global", ""]);
}

#[tokio::test]
async fn one_service_that_fails_changes_nothing() {
    let server = Server::start().await;
    server.put("/v1/services", Page::json(LIST));
    server.put("/v1/service/web", Page::json(WEB));
    let error = chain(&start(&server).failure().await);
    assert!(error.contains("/v1/service/d%2Fb"), "{error}");
    assert!(error.contains("404"), "{error}");
}
