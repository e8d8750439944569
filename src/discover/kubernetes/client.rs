//! The client of an API server: how it is reached, and how much of an answer is read.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::header::USER_AGENT;
use ::http::{HeaderValue, Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::time::{Sleep, sleep, timeout};
use tower_service::Service;
use url::Url;

use super::error::{AnswerError, KubernetesError};
use super::{Access, Settings};
use crate::http::{self, ClientError};

/// The namespace of the pod that we run in.
pub(super) const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The largest answer but for watches: a page of 500 objects of half a megabyte each, while etcd
/// takes up to 1.5 MB for one.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// The largest event of a watch: ten times the largest object.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// How long an answer may take, but for watches: the server itself gives up after a minute.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// How long a watch may last; kube asks the server to end it after 290 s.
const WATCH_TIMEOUT: Duration = Duration::from_secs(600);

/// How we present ourselves.
const AGENT: &str = concat!("prometheus-streams/", env!("CARGO_PKG_VERSION"));

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Builds the client.
pub(super) async fn connect(settings: &Settings) -> Result<Client, KubernetesError> {
    let (server, namespace) = match &settings.access {
        Access::Kubeconfig(path) => {
            let config = from_kubeconfig(path).await?;
            let namespace = config.default_namespace.clone();
            (by_kube(config)?, namespace)
        }
        Access::InCluster => {
            let config = Config::incluster().map_err(|error| KubernetesError::InCluster {
                reason: error.to_string(),
            })?;
            let namespace = config.default_namespace.clone();
            (by_kube(config)?, namespace)
        }
        Access::Server { url, http } => {
            let client = http::Client::build((**http).clone(), WATCH_TIMEOUT);
            let client = client.map_err(|error| KubernetesError::Client {
                reason: crate::telemetry::chain(&error),
            })?;
            let url = url.clone();
            let server = Server::Ours(Arc::new(Ours { client, url }));
            (server, "default".to_owned())
        }
    };
    Ok(Client::new(Limited { server }, namespace))
}

fn by_kube(mut config: Config) -> Result<Server, KubernetesError> {
    let agent = HeaderValue::from_static(AGENT);
    config.headers.push((USER_AGENT, agent));
    let client = Client::try_from(config).map_err(|error| KubernetesError::Client {
        reason: error.to_string(),
    })?;
    Ok(Server::Kube(client))
}

async fn from_kubeconfig(path: &Path) -> Result<Config, KubernetesError> {
    let refused = |error: KubeconfigError| KubernetesError::Kubeconfig {
        path: path.to_owned(),
        reason: match error {
            // Its text shows the lines around the mistake, and those may hold a token.
            KubeconfigError::Parse(_) => "it is not the YAML of a kubeconfig".to_owned(),
            error => error.to_string(),
        },
    };
    let read = {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || Kubeconfig::read_from(path)).await
    };
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig.map_err(refused)?,
        Err(ended) => {
            return Err(KubernetesError::Client {
                reason: ended.to_string(),
            });
        }
    };
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.map_err(refused)
}

/// Reads the namespace of the pod that we run in.
pub(super) fn own_namespace(path: &Path) -> Result<String, KubernetesError> {
    let refused = |source| KubernetesError::OwnNamespace {
        path: path.to_owned(),
        source,
    };
    let namespace = std::fs::read_to_string(path).map_err(refused)?;
    let namespace = namespace.trim();
    if namespace.is_empty() {
        let empty = std::io::Error::new(std::io::ErrorKind::InvalidData, "the file is empty");
        return Err(refused(empty));
    }
    Ok(namespace.to_owned())
}

/// A server with limits for its answers: kube itself has none.
#[derive(Clone)]
struct Limited {
    server: Server,
}

/// Where requests go.
#[derive(Clone)]
enum Server {
    /// With kube's own connections: it knows the many ways of a kubeconfig to log in.
    Kube(Client),
    /// With ours: they know all that Prometheus's HTTP settings know.
    Ours(Arc<Ours>),
}

/// A server that is reached with our client.
struct Ours {
    client: http::Client,
    url: Url,
}

impl Service<Request<Body>> for Limited {
    type Response = Response<LimitedBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.server.clone();
        Box::pin(async move {
            let query = request.uri().query().unwrap_or_default();
            let is_watch = query.split('&').any(|pair| pair == "watch=true");
            let head = timeout(ANSWER_TIMEOUT, server.send(request)).await;
            let head = head.map_err(|_elapsed| AnswerError::Late(ANSWER_TIMEOUT))??;
            Ok(head.map(|body| LimitedBody {
                body,
                limit: if is_watch {
                    Limit::Event
                } else {
                    Limit::Answer(Box::pin(sleep(ANSWER_TIMEOUT)))
                },
                bytes: 0,
            }))
        })
    }
}

impl Server {
    async fn send(&self, request: Request<Body>) -> Result<Response<AnyBody>, BoxError> {
        match self {
            Self::Kube(client) => {
                let response = client.send(request).await?;
                Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
            }
            Self::Ours(server) => {
                let response = server.send(request).await?;
                Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
            }
        }
    }
}

impl Ours {
    /// Sends one of kube's requests: they have a path but no server, and ours have no body.
    async fn send(&self, request: Request<Body>) -> Result<Response<http::Incoming>, ClientError> {
        let mut url = self.url.clone();
        let below = self.url.path().trim_end_matches('/');
        url.set_path(&format!("{below}{}", request.uri().path()));
        url.set_query(request.uri().query());
        let (parts, _no_body) = request.into_parts();
        self.client.open(url, parts.headers, WATCH_TIMEOUT).await
    }
}

type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body that ends with an error where it is too large or too late.
struct LimitedBody {
    body: AnyBody,
    limit: Limit,
    /// Bytes read, of the whole or since the last line began.
    bytes: usize,
}

enum Limit {
    /// The whole has a size and a deadline.
    Answer(Pin<Box<Sleep>>),
    /// Each line has a size.
    Event,
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Limit::Answer(deadline) = &mut this.limit
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(AnswerError::Late(ANSWER_TIMEOUT).into())));
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(error) = this.count(data)
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        polled
    }
}

impl LimitedBody {
    fn count(&mut self, data: &[u8]) -> Result<(), AnswerError> {
        self.bytes = self.bytes.saturating_add(data.len());
        match self.limit {
            Limit::Answer(_) if self.bytes > ANSWER_BYTES_MAX => {
                Err(AnswerError::TooLarge(ANSWER_BYTES_MAX))
            }
            Limit::Answer(_) => Ok(()),
            // The line that ends here, if any, has been read and is one event at most.
            Limit::Event if self.bytes > EVENT_BYTES_MAX => {
                Err(AnswerError::EventTooLarge(EVENT_BYTES_MAX))
            }
            Limit::Event => {
                if let Some(end) = memchr::memrchr(b'\n', data) {
                    self.bytes = data.len().saturating_sub(end).saturating_sub(1);
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(limit: Limit) -> LimitedBody {
        let body = http_body_util::Empty::new();
        LimitedBody {
            body: body.map_err(|never| match never {}).boxed_unsync(),
            limit,
            bytes: 0,
        }
    }

    #[test]
    fn each_event_of_a_watch_has_a_limit_but_not_the_watch() {
        let mut body = body(Limit::Event);
        let mut line = vec![b'x'; EVENT_BYTES_MAX - 1];
        line.push(b'\n');
        for _ in 0..3 {
            body.count(&line).unwrap();
        }
        body.count(b"\nhalf").unwrap();
        assert_eq!(body.bytes, 4);
        body.count(&line[..EVENT_BYTES_MAX - 4]).unwrap();
        body.count(b"x").unwrap_err();
    }

    #[tokio::test]
    async fn an_answer_has_a_limit() {
        let mut body = body(Limit::Answer(Box::pin(sleep(ANSWER_TIMEOUT))));
        body.bytes = ANSWER_BYTES_MAX - 1;
        body.count(b"\n").unwrap();
        body.count(b"\n").unwrap_err();
    }

    #[test]
    fn the_own_namespace_is_read_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namespace");
        own_namespace(&path).unwrap_err();
        std::fs::write(&path, " \n").unwrap();
        own_namespace(&path).unwrap_err();
        std::fs::write(&path, "monitoring\n").unwrap();
        assert_eq!(own_namespace(&path).unwrap(), "monitoring");
    }
}
