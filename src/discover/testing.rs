//! What the tests of several catalogs share: a server that answers as told, and a running source.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use url::Url;

use super::source::{Event, Output, Source};
use super::{DiscoverError, Group, Metrics};
use crate::clock::Clock;
use crate::telemetry::chain;

/// No step of a test takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// A source that runs, and what it tells.
pub(super) struct Run {
    events: mpsc::Receiver<(usize, Event)>,
    task: JoinHandle<()>,
}

impl Run {
    pub(super) fn start(source: Box<dyn Source>) -> Self {
        let metrics = Metrics::register(&mut Registry::default(), Clock::system());
        let (tx, events) = mpsc::channel(64);
        let out = Output::new(0, source.kind(), &"job".into(), &metrics, tx);
        let task = tokio::spawn(source.run(out));
        Self { events, task }
    }

    pub(super) async fn event(&mut self) -> Event {
        let event = tokio::time::timeout(LIMIT, self.events.recv()).await;
        event.expect("nothing happens").expect("the source ended").1
    }

    /// Returns the next groups, sorted by name; fails on a failure.
    pub(super) async fn groups(&mut self) -> Vec<Arc<Group>> {
        loop {
            match self.event().await {
                Event::Groups(mut groups) => {
                    groups.sort_by(|a, b| a.source.cmp(&b.source));
                    return groups;
                }
                Event::Complete => {}
                Event::Failed(error) => panic!("{}", chain(&error)),
            }
        }
    }

    /// Returns the next failure; fails on groups.
    pub(super) async fn failure(&mut self) -> DiscoverError {
        loop {
            match self.event().await {
                Event::Failed(error) => return error,
                Event::Complete => {}
                Event::Groups(groups) => panic!("{groups:?}"),
            }
        }
    }

    /// Waits until all has been asked for once; returns the groups that were told until then.
    pub(super) async fn complete(&mut self) -> Vec<Arc<Group>> {
        let mut all = Vec::new();
        loop {
            match self.event().await {
                Event::Groups(groups) => all.extend(groups),
                Event::Complete => {
                    all.sort_by(|a, b| a.source.cmp(&b.source));
                    return all;
                }
                Event::Failed(error) => panic!("{}", chain(&error)),
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lets all sleepers sleep for this long at once.
pub(super) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// The addresses of a group's targets.
pub(super) fn addresses(group: &Group) -> Vec<&str> {
    let address = |target: &Vec<(String, String)>| {
        let found = target.iter().position(|(name, _)| name == "__address__");
        found.unwrap()
    };
    group
        .targets
        .iter()
        .map(|target| target[address(target)].1.as_str())
        .collect()
}

/// What a server answers at one path.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Page {
    pub(super) fn json(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body: body.into(),
        }
    }

    pub(super) fn status(status: u16, body: &str) -> Self {
        Self {
            status,
            content_type: "text/plain",
            body: body.to_owned(),
        }
    }
}

/// A request that a server got.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

/// A server with pages that change; it answers blocking queries as Consul documents them: where
/// `index` is that of the page, only after the page has changed.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: Url,
    shared: Arc<Shared>,
}

struct Shared {
    pages: Mutex<HashMap<String, (u64, Page)>>,
    got: Mutex<Vec<Got>>,
    changed: watch::Sender<u64>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            pages: Mutex::default(),
            got: Mutex::default(),
            changed: watch::Sender::new(10),
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

    /// Puts a page in place of what was there, with a new index.
    pub(super) fn put(&self, path: &str, page: Page) {
        let index = *self.shared.changed.borrow() + 1;
        self.put_at(path, page, index);
    }

    pub(super) fn put_at(&self, path: &str, page: Page, index: u64) {
        let pages = &self.shared.pages;
        pages.lock().unwrap().insert(path.to_owned(), (index, page));
        self.shared.changed.send_modify(|last| *last += 1);
    }

    /// Returns all requests so far whose path begins like this.
    pub(super) fn got(&self, path: &str) -> Vec<Got> {
        let got = self.shared.got.lock().unwrap();
        let wanted = got.iter().filter(|got| got.path.starts_with(path));
        wanted.cloned().collect()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let uri = request.uri().clone();
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query: HashMap<String, String> = query.into_owned().collect();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let got = Got {
        method: request.method().to_string(),
        path: uri.path().to_owned(),
        query: query.clone(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: {
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
            String::from_utf8(body.unwrap().to_vec()).unwrap()
        },
    };
    shared.got.lock().unwrap().push(got);
    let asked: Option<u64> = query.get("index").map(|index| index.parse().unwrap());
    let mut changed = shared.changed.subscribe();
    loop {
        let page = shared.pages.lock().unwrap().get(uri.path()).cloned();
        let (index, page) = page.unwrap_or_else(|| (1, Page::status(404, "no such page")));
        if asked.is_none_or(|asked| asked != index) || page.status != 200 {
            let mut response = Response::builder()
                .status(page.status)
                .header("content-type", page.content_type);
            if index != 0 {
                response = response.header("x-consul-index", index.to_string());
            }
            return response.body(Body::from(page.body)).unwrap();
        }
        changed.changed().await.unwrap();
    }
}
