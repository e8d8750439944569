//! The whole flow with an API server.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Access, Attach, Kubernetes, Role, Selector, Settings};
use super::cluster::{Cluster, Got};
use crate::discover::testing::{Page, Run, addresses, pass};
use crate::http::{self, Auth};
use crate::model::Secret;
use crate::telemetry::chain;

fn settings(cluster: &Cluster, role: Role) -> Settings {
    Settings {
        role,
        access: Access::Server {
            url: cluster.url.clone(),
            http: Box::default(),
        },
        namespaces: Vec::new(),
        own_namespace: false,
        selectors: Vec::new(),
        attach: Attach::default(),
    }
}

fn start(settings: Settings) -> Run {
    Run::start(Box::new(Kubernetes::new(settings)))
}

fn pod(namespace: &str, name: &str, ip: &str) -> Value {
    json!({
        "metadata": { "namespace": namespace, "name": name },
        "spec": { "nodeName": "n1", "containers": [{ "name": "c", "image": "i" }] },
        "status": { "podIP": ip },
    })
}

const PODS: &str = "/pods";

/// The name of a group and the addresses of its targets.
#[track_caller]
fn check_groups(groups: &[std::sync::Arc<crate::discover::Group>], expected: &[(&str, &[&str])]) {
    let found: Vec<(&str, Vec<&str>)> = groups
        .iter()
        .map(|group| (&*group.source, addresses(group)))
        .collect();
    let expected: Vec<(&str, Vec<&str>)> = expected
        .iter()
        .map(|(source, addresses)| (*source, addresses.to_vec()))
        .collect();
    assert_eq!(found, expected);
}

fn lists(got: &[Got]) -> usize {
    got.iter().filter(|got| !got.is_watch()).count()
}

fn watches(got: &[Got]) -> usize {
    got.iter().filter(|got| got.is_watch()).count()
}

#[tokio::test]
async fn objects_come_change_and_go() {
    let cluster = Cluster::start().await;
    for (name, ip) in [("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3")] {
        cluster.put(PODS, pod("x", name, ip));
    }
    let mut run = start(settings(&cluster, Role::Pod));
    let groups = run.complete().await;
    check_groups(
        &groups,
        &[
            ("pod/x/a", &["10.0.0.1"]),
            ("pod/x/b", &["10.0.0.2"]),
            ("pod/x/c", &["10.0.0.3"]),
        ],
    );
    // Two pages, since the server has two objects on one.
    assert_eq!(lists(&cluster.got()), 2);

    cluster.put(PODS, pod("x", "a", "10.0.0.9"));
    check_groups(&run.groups().await, &[("pod/x/a", &["10.0.0.9"])]);
    cluster.delete(PODS, "x/b");
    check_groups(&run.groups().await, &[("pod/x/b", &[])]);
    cluster.put(PODS, pod("y", "a", "10.0.1.1"));
    check_groups(&run.groups().await, &[("pod/y/a", &["10.0.1.1"])]);
}

#[tokio::test]
async fn an_empty_cluster_is_an_answer() {
    let cluster = Cluster::start().await;
    let mut run = start(settings(&cluster, Role::Service));
    assert!(run.complete().await.is_empty());
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let cluster = Cluster::start().await;
    cluster.put(PODS, pod("x", "a", "10.0.0.1"));
    let mut run = start(settings(&cluster, Role::Pod));
    run.complete().await;
    cluster.until(|got| watches(got) == 1).await;
    cluster.bookmark(PODS);
    // The bookmark has been read when what comes after it is told.
    cluster.put(PODS, pod("x", "b", "10.0.0.2"));
    run.groups().await;
    cluster.bookmark(PODS);
    cluster.cut();
    cluster.put(PODS, pod("x", "a", "10.0.0.9"));
    check_groups(&run.groups().await, &[("pod/x/a", &["10.0.0.9"])]);
    let got = cluster.got();
    assert_eq!(lists(&got), 1, "the list was not needed again");
    let last = got.iter().rfind(|got| got.is_watch()).unwrap();
    let from: u64 = last.query["resourceVersion"].parse().unwrap();
    assert!(from >= 103, "{from}");
}

#[tokio::test]
async fn an_expired_version_leads_to_a_new_list() {
    let cluster = Cluster::start().await;
    cluster.put(PODS, pod("x", "a", "10.0.0.1"));
    cluster.put(PODS, pod("x", "b", "10.0.0.2"));
    let mut run = start(settings(&cluster, Role::Pod));
    run.complete().await;
    cluster.until(|got| watches(got) == 1).await;

    // All of this happens while nobody watches, and then the server has forgotten it.
    cluster.page(PODS, true, Some(Page::status(503, "no")));
    cluster.cut();
    cluster.delete(PODS, "x/a");
    cluster.put(PODS, pod("x", "c", "10.0.0.3"));
    cluster.compact();
    cluster.page(PODS, true, None);
    let mut groups = Vec::new();
    while groups.len() < 2 {
        match run.event().await {
            crate::discover::source::Event::Groups(more) => groups.extend(more),
            // The 503, if it was met.
            crate::discover::source::Event::Failed(_)
            | crate::discover::source::Event::Complete => {}
        }
    }
    groups.sort_by(|a, b| a.source.cmp(&b.source));
    check_groups(&groups, &[("pod/x/a", &[]), ("pod/x/c", &["10.0.0.3"])]);
}

#[tokio::test]
async fn a_watch_that_is_refused_as_expired_leads_to_a_new_list() {
    let cluster = Cluster::start().await;
    let gone = json!({ "kind": "Status", "status": "Failure", "message": "old", "code": 410 });
    let gone = Page {
        status: 410,
        ..Page::json(gone.to_string())
    };
    cluster.page(PODS, true, Some(gone));
    let mut run = start(settings(&cluster, Role::Pod));
    run.complete().await;
    cluster.until(|got| watches(got) == 1).await;
    cluster.page(PODS, true, None);
    cluster.put(PODS, pod("x", "a", "10.0.0.1"));
    pass(Duration::from_secs(5)).await;
    check_groups(&run.groups().await, &[("pod/x/a", &["10.0.0.1"])]);
    assert_eq!(lists(&cluster.got()), 2);
}

/// Starts with a bad answer to the list, and goes on with a good one.
async fn check_bad_list(bad: Page, expected: &str) {
    let cluster = Cluster::start().await;
    cluster.put(PODS, pod("x", "a", "10.0.0.1"));
    cluster.page(PODS, false, Some(bad));
    let mut run = start(settings(&cluster, Role::Pod));
    let error = chain(&run.failure().await);
    assert!(error.starts_with("cannot list pods: "), "{error}");
    assert!(error.contains(expected), "{error}");
    run.complete().await;
    cluster.page(PODS, false, None);
    pass(Duration::from_secs(2)).await;
    loop {
        if let crate::discover::source::Event::Groups(groups) = run.event().await {
            check_groups(&groups, &[("pod/x/a", &["10.0.0.1"])]);
            break;
        }
    }
}

#[tokio::test]
async fn bad_answers_are_told_and_asked_for_again() {
    let forbidden = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
        "message": "pods is forbidden: no\ngroup", "code": 403,
    });
    let forbidden = Page {
        status: 403,
        ..Page::json(forbidden.to_string())
    };
    check_bad_list(forbidden, "403 pods is forbidden: no group").await;
    check_bad_list(Page::status(500, "oops"), "500").await;
    check_bad_list(Page::status(200, "<html>"), "the answer cannot be read").await;
    check_bad_list(Page::json("{\"items\": [7]}"), "the answer cannot be read").await;
    check_bad_list(Page::json(""), "the answer cannot be read").await;
}

#[tokio::test]
async fn a_watch_of_garbage_is_told_and_changes_nothing() {
    let cluster = Cluster::start().await;
    cluster.put(PODS, pod("x", "a", "10.0.0.1"));
    let mut run = start(settings(&cluster, Role::Pod));
    check_groups(&run.complete().await, &[("pod/x/a", &["10.0.0.1"])]);
    cluster.until(|got| watches(got) == 1).await;
    cluster.page(PODS, true, Some(Page::json("nonsense\n{}\n")));
    cluster.cut();
    let error = chain(&run.failure().await);
    assert!(
        error.starts_with("cannot watch pods: the answer cannot be read"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_failure_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cluster = Cluster::start().await;
    let mut slow = settings(&cluster, Role::Pod);
    slow.access = Access::Server {
        url: format!("http://{address}").parse().unwrap(),
        http: Box::default(),
    };
    let mut run = start(slow);
    // The request is on the way.
    let (_held, _) = listener.accept().await.unwrap();
    pass(Duration::from_secs(91)).await;
    let error = chain(&run.failure().await);
    assert!(error.contains("no answer within 90s"), "{error}");
}

#[tokio::test]
async fn all_that_labels_need_is_asked_for() {
    let cluster = Cluster::start().await;
    let mut all = settings(&cluster, Role::EndpointSlice);
    all.attach = Attach {
        node: true,
        namespace: true,
        deployment: true,
        job: true,
        cronjob: true,
    };
    all.selectors = vec![
        Selector {
            role: Role::Pod,
            label: "app=web".to_owned(),
            field: "status.phase=Running".to_owned(),
        },
        Selector {
            role: Role::EndpointSlice,
            label: "x!=y".to_owned(),
            field: String::new(),
        },
    ];
    cluster.put(
        "discovery.k8s.io/endpointslices",
        json!({
            "metadata": { "namespace": "x", "name": "s" },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["10.0.0.1"], "nodeName": "n1",
                "targetRef": { "kind": "Pod", "namespace": "x", "name": "p" } }],
            "ports": [{ "port": 80 }],
        }),
    );
    cluster.put(PODS, pod("x", "p", "10.0.0.1"));
    cluster.put(
        "/nodes",
        json!({ "metadata": { "name": "n1", "labels": { "zone": "z" } } }),
    );
    let mut run = start(all);
    let groups = run.complete().await;
    let target = &groups[0].targets[0];
    let has = |name: &str| target.iter().any(|(known, _)| known == name);
    assert!(has("__meta_kubernetes_pod_name"), "{target:?}");
    assert!(has("__meta_kubernetes_node_label_zone"), "{target:?}");

    let got = cluster.got();
    let mut asked: Vec<(&str, bool, &str)> = got
        .iter()
        .filter(|got| !got.is_watch())
        .map(|got| {
            let is_partial = got.accept.contains("PartialObjectMetadata");
            let label = got.query.get("labelSelector").map_or("", |text| text);
            (got.path.as_str(), is_partial, label)
        })
        .collect();
    asked.sort_unstable();
    let expected = [
        ("/api/v1/namespaces", true, ""),
        ("/api/v1/nodes", true, ""),
        ("/api/v1/pods", false, "app=web"),
        ("/api/v1/services", false, ""),
        ("/apis/apps/v1/replicasets", true, ""),
        ("/apis/batch/v1/jobs", true, ""),
        ("/apis/discovery.k8s.io/v1/endpointslices", false, "x!=y"),
    ];
    assert_eq!(asked, expected);
    let pods = got.iter().find(|got| got.path.ends_with("/pods")).unwrap();
    assert_eq!(pods.query["fieldSelector"], "status.phase=Running");

    // What a group was made of changes, and so does the group.
    cluster.put(
        "/nodes",
        json!({ "metadata": { "name": "n1", "labels": { "zone": "y" } } }),
    );
    let groups = run.groups().await;
    let zone = (
        "__meta_kubernetes_node_label_zone".to_owned(),
        "y".to_owned(),
    );
    assert!(groups[0].targets[0].contains(&zone));
}

#[tokio::test]
async fn only_the_namespaces_that_are_configured_are_watched() {
    let cluster = Cluster::start().await;
    for namespace in ["x", "y", "z"] {
        cluster.put(PODS, pod(namespace, "a", "10.0.0.1"));
    }
    let mut run = start(Settings {
        namespaces: vec!["z".to_owned(), "x".to_owned(), "x".to_owned()],
        ..settings(&cluster, Role::Pod)
    });
    let groups = run.complete().await;
    check_groups(
        &groups,
        &[("pod/x/a", &["10.0.0.1"]), ("pod/z/a", &["10.0.0.1"])],
    );
    assert_eq!(lists(&cluster.got()), 2);
}

#[tokio::test]
async fn the_server_is_asked_below_its_path_and_with_credentials() {
    let cluster = Cluster::start().await;
    let mut url = cluster.url.clone();
    url.set_path("/below/");
    let mut run = start(Settings {
        access: Access::Server {
            url,
            http: Box::new(http::Settings {
                auth: Some(Auth::Credentials {
                    scheme: "Bearer".to_owned(),
                    credentials: Secret::Inline("t0ken".into()),
                }),
                ..http::Settings::default()
            }),
        },
        ..settings(&cluster, Role::Ingress)
    });
    run.complete().await;
    let got = &cluster.got()[0];
    assert_eq!(got.path, "/below/apis/networking.k8s.io/v1/ingresses");
    assert_eq!(got.authorization, "Bearer t0ken");
}

#[tokio::test]
async fn a_kubeconfig_says_where_the_server_is_and_who_we_are() {
    let cluster = Cluster::start().await;
    cluster.put(PODS, pod("x", "a", "10.0.0.1"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let mut run = start(Settings {
        access: Access::Kubeconfig(path.clone()),
        ..settings(&cluster, Role::Pod)
    });
    let error = chain(&run.failure().await);
    assert!(error.starts_with("cannot use the kubeconfig `"), "{error}");
    run.complete().await;

    std::fs::write(&path, "users: [{name: me, user: {token: s3cret").unwrap();
    pass(Duration::from_secs(30)).await;
    let error = chain(&run.failure().await);
    assert!(
        error.ends_with("it is not the YAML of a kubeconfig"),
        "{error}"
    );

    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: c, cluster: {{server: '{}'}}}}]\n\
         users: [{{name: me, user: {{token: s3cret}}}}]\n\
         contexts: [{{name: here, context: {{cluster: c, user: me}}}}]\n",
        cluster.url
    );
    std::fs::write(&path, text).unwrap();
    pass(Duration::from_secs(30)).await;
    check_groups(&run.groups().await, &[("pod/x/a", &["10.0.0.1"])]);
    assert_eq!(cluster.got()[0].authorization, "Bearer s3cret");
}

#[tokio::test]
async fn outside_a_cluster_there_is_no_service_account() {
    let cluster = Cluster::start().await;
    let mut run = start(Settings {
        access: Access::InCluster,
        ..settings(&cluster, Role::Pod)
    });
    let error = chain(&run.failure().await);
    assert!(
        error.starts_with("cannot use the service account of a pod: "),
        "{error}"
    );
    run.complete().await;
}
