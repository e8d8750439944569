//! An API server with objects that change.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

use crate::discover::testing::Page;

/// A request that the server got.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) path: String,
    pub(super) query: HashMap<String, String>,
    pub(super) accept: String,
    pub(super) authorization: String,
}

impl Got {
    pub(super) fn is_watch(&self) -> bool {
        self.query.contains_key("watch")
    }
}

/// The server.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) url: Url,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<Objects>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Objects {
    version: u64,
    /// By `group/plural`, then by `namespace/name`.
    by_kind: BTreeMap<String, BTreeMap<String, Value>>,
    /// Version, `group/plural`, event.
    log: Vec<(u64, String, Value)>,
    /// The oldest version that can be watched from.
    oldest: u64,
    /// Watches that began in an earlier epoch end.
    epoch: u64,
    /// Pages in place of answers, by the end of a path and whether it is a watch.
    pages: Vec<(String, bool, Page)>,
    got: Vec<Got>,
    /// Objects on one page of a list.
    page_size: usize,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Objects {
            version: 100,
            page_size: 2,
            ..Objects::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url: url.parse().unwrap(),
            shared,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Objects)) {
        change(&mut self.shared.state.lock().unwrap());
        self.shared.changed.send_replace(());
    }

    /// Adds or changes an object.
    pub(super) fn put(&self, kind: &str, mut object: Value) {
        self.change(|state| {
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            let objects = state.by_kind.entry(kind.to_owned()).or_default();
            let known = objects.insert(key(&object), object.clone());
            let event = if known.is_some() { "MODIFIED" } else { "ADDED" };
            state.tell(kind, json!({ "type": event, "object": object }));
        });
    }

    pub(super) fn delete(&self, kind: &str, name: &str) {
        self.change(|state| {
            state.version += 1;
            let mut object = state.by_kind.get_mut(kind).unwrap().remove(name).unwrap();
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            state.tell(kind, json!({ "type": "DELETED", "object": object }));
        });
    }

    /// Tells all watches of a kind how far they are.
    pub(super) fn bookmark(&self, kind: &str) {
        self.change(|state| {
            state.version += 1;
            let version = state.version.to_string();
            let object = json!({
                "kind": "x", "apiVersion": "v1", "metadata": { "resourceVersion": version }
            });
            state.tell(kind, json!({ "type": "BOOKMARK", "object": object }));
        });
    }

    /// Ends all watches.
    pub(super) fn cut(&self) {
        self.change(|state| state.epoch += 1);
    }

    /// Forgets what was changed until now: nobody can go on from there.
    pub(super) fn compact(&self) {
        self.change(|state| state.oldest = state.version);
    }

    /// Answers with a page where a path ends like this; `None`: no longer.
    pub(super) fn page(&self, path: &str, is_watch: bool, page: Option<Page>) {
        self.change(|state| {
            state
                .pages
                .retain(|(known, watch, _)| (known.as_str(), *watch) != (path, is_watch));
            let page = page.map(|page| (path.to_owned(), is_watch, page));
            state.pages.extend(page);
        });
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.shared.state.lock().unwrap().got.clone()
    }

    /// Waits until the server got requests of which this is true.
    pub(super) async fn until(&self, is_so: impl Fn(&[Got]) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let limit = std::time::Duration::from_secs(30);
        let waited = tokio::time::timeout(limit, async {
            while !is_so(&self.got()) {
                changed.changed().await.unwrap();
            }
        });
        waited.await.expect("the request does not come");
    }
}

impl Objects {
    fn tell(&mut self, kind: &str, event: Value) {
        self.log.push((self.version, kind.to_owned(), event));
    }
}

fn key(object: &Value) -> String {
    let meta = &object["metadata"];
    let name = meta["name"].as_str().unwrap();
    match meta["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// What a path leads to: `group/plural`, and the namespace.
fn resource(path: &str) -> (String, Option<String>) {
    // The server may stand below a path of its own.
    let path = path.strip_prefix("/below").unwrap_or(path);
    let steps: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match steps.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, "v1", rest @ ..] => (*group, rest),
        _ => panic!("{path}"),
    };
    match rest {
        ["namespaces", namespace, plural] => {
            (format!("{group}/{plural}"), Some((*namespace).to_owned()))
        }
        [plural] => (format!("{group}/{plural}"), None),
        _ => panic!("{path}"),
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let uri = request.uri().clone();
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    let got = Got {
        path: uri.path().to_owned(),
        query: query.into_owned().collect(),
        accept: header("accept"),
        authorization: header("authorization"),
    };
    let mut state = shared.state.lock().unwrap();
    state.got.push(got.clone());
    shared.changed.send_replace(());
    let is_meant = |(path, is_watch, _): &&(String, bool, Page)| {
        got.path.ends_with(path) && *is_watch == got.is_watch()
    };
    if let Some((_, _, page)) = state.pages.iter().find(is_meant) {
        let response = Response::builder()
            .status(page.status)
            .header("content-type", page.content_type);
        return response.body(Body::from(page.body.clone())).unwrap();
    }
    let (kind, namespace) = resource(&got.path);
    if got.is_watch() {
        let since: u64 = got.query["resourceVersion"].parse().unwrap();
        let epoch = state.epoch;
        drop(state);
        return watch_from(shared, kind, namespace, since, epoch);
    }
    let objects = state.by_kind.get(&kind).into_iter().flatten();
    let wanted = objects
        .map(|(_, object)| object.clone())
        .filter(|object| is_within(object, namespace.as_deref()));
    let all: Vec<Value> = wanted.collect();
    let from: usize = got
        .query
        .get("continue")
        .map_or(0, |token| token.parse().unwrap());
    let end = (from + state.page_size).min(all.len());
    let more = (end < all.len()).then(|| end.to_string());
    let list = json!({
        "kind": "List", "apiVersion": "v1",
        "metadata": { "resourceVersion": state.version.to_string(), "continue": more },
        "items": all[from..end],
    });
    Response::new(Body::from(list.to_string()))
}

fn is_within(object: &Value, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace)
}

fn watch_from(
    shared: Arc<Shared>,
    kind: String,
    namespace: Option<String>,
    since: u64,
    epoch: u64,
) -> Response {
    let changed = shared.changed.subscribe();
    let first = (shared, changed, since, false);
    let events = unfold(first, move |(shared, mut changed, mut since, is_over)| {
        let (kind, namespace) = (kind.clone(), namespace.clone());
        async move {
            loop {
                let mut lines = String::new();
                let mut is_last = false;
                {
                    let state = shared.state.lock().unwrap();
                    if is_over || state.epoch != epoch {
                        return None;
                    }
                    if since < state.oldest {
                        let status = json!({
                            "kind": "Status", "apiVersion": "v1", "status": "Failure",
                            "message": "too old resource version", "reason": "Expired", "code": 410,
                        });
                        lines = format!("{}\n", json!({ "type": "ERROR", "object": status }));
                        is_last = true;
                    }
                    for (version, of, event) in &state.log {
                        let object = &event["object"];
                        let is_bookmark = event["type"] == "BOOKMARK";
                        if !is_last
                            && *version > since
                            && *of == kind
                            && (is_bookmark || is_within(object, namespace.as_deref()))
                        {
                            lines.push_str(&event.to_string());
                            lines.push('\n');
                            since = *version;
                        }
                    }
                }
                if lines.is_empty() {
                    changed.changed().await.unwrap();
                } else {
                    let next = (shared, changed, since, is_last);
                    return Some((Ok::<_, Infallible>(lines), next));
                }
            }
        }
    });
    Response::new(Body::from_stream(events))
}
