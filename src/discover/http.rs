//! `http_sd_configs`: targets that a server lists.
//!
//! In: a URL. Out: one group for each that the answer lists, named `<url>:<number>`, with
//! `__meta_url`. Every answer but a `200` with a whole JSON document is a failure, and the last
//! groups stay.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

use super::document::{self, DocumentError, Language, Written};
use super::refresh::{Part, Refresh};
use super::{DiscoverError, Group};
use crate::http::{self as own_http, Answer, Client, ClientError};

/// Which server, and how often to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the list is.
    pub url: Url,
    /// The same as it is written, for the label.
    pub written: String,
    /// How the server is reached.
    pub client: own_http::Settings,
    /// Time from one request to the next, and the longest that one may take.
    pub refresh_interval: Duration,
}

/// The refresh interval by default, as in Prometheus.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// The largest answer: room for all targets that there may be, with a few labels each.
const BODY_BYTES_MAX: usize = 32 << 20;

const URL: &str = "__meta_url";

const INTERVAL_HEADER: HeaderName =
    HeaderName::from_static("x-prometheus-refresh-interval-seconds");

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// There is none.
    #[error("no answer")]
    Client(#[from] ClientError),
    /// It is no success.
    #[error("the server answered {status}: {excerpt}")]
    Status {
        /// Its status.
        status: StatusCode,
        /// The beginning of its body.
        excerpt: String,
    },
    /// It is something else than JSON.
    #[error("the content type is `{0}`, not `application/json`")]
    ContentType(String),
    /// Its text is wrong.
    #[error("cannot read the answer")]
    Document(#[from] DocumentError),
}

/// A server that lists targets.
pub(super) struct Server {
    settings: Settings,
    client: Client,
}

impl Server {
    pub(super) fn new(settings: &Settings) -> Result<Self, DiscoverError> {
        let client = Client::build(settings.client.clone(), settings.refresh_interval);
        Ok(Self {
            settings: settings.clone(),
            client: client.map_err(DiscoverError::Client)?,
        })
    }

    async fn ask(&self) -> Result<Vec<Group>, HttpError> {
        let Settings {
            url,
            written,
            refresh_interval,
            ..
        } = &self.settings;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let seconds = refresh_interval.as_secs_f64().to_string();
        if let Ok(seconds) = HeaderValue::from_str(&seconds) {
            headers.insert(INTERVAL_HEADER, seconds);
        }
        let asking = self
            .client
            .get(url, &headers, *refresh_interval, BODY_BYTES_MAX);
        let answer = asking.await?;
        let body = check(answer)?;
        let written = written.clone();
        let reading = tokio::task::spawn_blocking(move || {
            Ok(groups(document::read(&body, Language::Json)?, &written))
        });
        match reading.await {
            Ok(groups) => groups,
            // Only where the runtime ends before it has begun.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Refresh for Server {
    const KIND: &'static str = "http";

    async fn refresh(&mut self) -> Vec<Part> {
        Part::only(self.ask().await.map_err(|source| DiscoverError::Http {
            url: own_http::redact(&self.settings.url),
            source,
        }))
    }
}

/// Returns the body of a good answer.
fn check(answer: Answer) -> Result<Bytes, HttpError> {
    let status = answer.status;
    if status != StatusCode::OK {
        let excerpt = answer.excerpt();
        return Err(HttpError::Status { status, excerpt });
    }
    let content_type = answer.headers.get(CONTENT_TYPE);
    let content_type = content_type.map_or(String::new(), |value| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    });
    if !is_json(&content_type) {
        let shown = content_type.chars().take(CONTENT_TYPE_SHOWN).collect();
        return Err(HttpError::ContentType(shown));
    }
    Ok(answer.body)
}

/// Characters of a wrong content type that are shown: the real ones are shorter.
const CONTENT_TYPE_SHOWN: usize = 100;

/// Tells whether a content type is one of the few that Prometheus takes.
fn is_json(content_type: &str) -> bool {
    let lower = content_type.trim().to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("application/json") else {
        return false;
    };
    let parameter = rest.strip_prefix(';').map(str::trim_start);
    rest.is_empty() || matches!(parameter, Some("charset=utf-8" | "charset=\"utf-8\""))
}

fn groups(written: Vec<Written>, url: &str) -> Vec<Group> {
    let groups = written.into_iter().enumerate();
    let group = |(index, mut written): (usize, Written)| Group {
        source: format!("{url}:{index}").into(),
        labels: written.labels_with(URL, url),
        targets: written.targets(),
    };
    groups.map(group).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::{Request, State};
    use axum::response::{IntoResponse as _, Response};
    use tokio::net::TcpListener;

    use super::*;
    use crate::telemetry::chain;

    /// A server that gives these answers, one after the other, and keeps what it was asked.
    #[derive(Clone, Default)]
    struct Scripted {
        answers: Arc<Mutex<VecDeque<Response>>>,
        asked: Arc<Mutex<Vec<HeaderMap>>>,
    }

    async fn answer(State(server): State<Scripted>, request: Request) -> Response {
        server.asked.lock().unwrap().push(request.headers().clone());
        let next = server.answers.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    fn json(body: impl Into<String>) -> Response {
        (
            [(CONTENT_TYPE, "application/json; charset=utf-8")],
            body.into(),
        )
            .into_response()
    }

    async fn start(answers: Vec<Response>, refresh_interval: Duration) -> (Server, Scripted) {
        let scripted = Scripted::default();
        scripted.answers.lock().unwrap().extend(answers);
        let router = Router::new().fallback(answer).with_state(scripted.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
        (
            server(
                &format!("http://{address}/list?key=hunter2"),
                refresh_interval,
            ),
            scripted,
        )
    }

    fn server(url: &str, refresh_interval: Duration) -> Server {
        crate::tls::install_provider();
        let settings = Settings {
            url: url.parse().unwrap(),
            written: url.to_owned(),
            client: own_http::Settings::default(),
            refresh_interval,
        };
        Server::new(&settings).unwrap()
    }

    #[tokio::test]
    async fn the_answer_becomes_groups() {
        let body = r#"[{"targets": ["a", "b"], "labels": {"zone": "x"}}, {"targets": []}]"#;
        let (server, scripted) = start(vec![json(body)], Duration::from_millis(90_500)).await;
        let groups = server.ask().await.unwrap();
        let url = &*server.settings.written;
        assert_eq!(groups.len(), 2);
        assert_eq!(&*groups[1].source, format!("{url}:1"));
        let labels = [("__meta_url", url), ("zone", "x")];
        assert_eq!(
            groups[0].labels,
            labels.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(groups[0].targets.len(), 2);
        let asked = scripted.asked.lock().unwrap();
        assert_eq!(asked[0][INTERVAL_HEADER], "90.5");
        assert_eq!(asked[0][ACCEPT], "application/json");
        assert!(
            asked[0]["user-agent"]
                .to_str()
                .unwrap()
                .starts_with("prometheus-streams/")
        );
    }

    async fn refused(answer: Response, expected: &str) {
        let (mut server, _scripted) = start(vec![answer], Duration::from_secs(30)).await;
        let part = server.refresh().await.pop().unwrap();
        let error = chain(&part.groups.unwrap_err());
        assert!(error.contains(expected), "{expected} in {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_list_is_refused() {
        refused(
            (StatusCode::SERVICE_UNAVAILABLE, "busy").into_response(),
            "the server answered 503 Service Unavailable: busy",
        )
        .await;
        refused(StatusCode::NO_CONTENT.into_response(), "204").await;
        refused(
            "[]".into_response(),
            "the content type is `text/plain; charset=utf-8`",
        )
        .await;
        refused(json(""), "line 1, column 1: EOF while parsing a value").await;
        refused(json("[null]"), "line 1, column 5: invalid type: null").await;
        refused(json("<html>"), "line 1, column 1: expected value").await;
        refused(
            json(" ".repeat(BODY_BYTES_MAX + 1)),
            "the answer is larger than 33554432 bytes",
        )
        .await;
    }

    #[tokio::test]
    async fn a_server_that_is_down_or_silent_is_a_failure() {
        let (mut silent, _scripted) = start(Vec::new(), Duration::from_millis(50)).await;
        let part = silent.refresh().await.pop().unwrap();
        let error = chain(&part.groups.unwrap_err());
        assert!(error.contains("no answer within 0.05s"), "{error}");
        let port = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut down = server(
            &format!("http://127.0.0.1:{port}/"),
            Duration::from_secs(30),
        );
        let part = down.refresh().await.pop().unwrap();
        assert!(matches!(part.groups, Err(DiscoverError::Http { .. })));
    }

    #[test]
    fn content_types_are_those_of_prometheus() {
        for good in [
            "application/json",
            " Application/JSON ",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/json",
            "application/json;",
            "application/json; charset=latin1",
            "application/jsonp",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
