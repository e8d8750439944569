//! Both clients against a small server that answers as a test wants it to.

mod oauth2;
mod proxies;
mod session;
mod settings;
mod tls_files;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::{Auth, Client, ClientError, FetchError, Fetcher, Fetching, Settings, redact};
use crate::model::{FailureReason, Secret};
use crate::tls::{self, Pem};

/// A server that gives every request the same answer and keeps what it was asked.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Into<Vec<u8>>) -> Self {
        Self::start_with(answer.into(), None).await
    }

    async fn start_with(answer: Vec<u8>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, tls, seen) = (answer.clone(), tls.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &answer, &seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &answer, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    fn request(&self, index: usize) -> String {
        self.requests
            .lock()
            .unwrap()
            .get(index)
            .cloned()
            .unwrap_or_default()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &[u8],
    seen: &Mutex<Vec<String>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
    drop(stream.write_all(answer).await);
    drop(stream.shutdown().await);
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn fetcher() -> Fetcher {
    tls::install_provider();
    Fetcher::with_tls(tls::distrusting_config().unwrap())
}

static ACCEPT: HeaderValue = HeaderValue::from_static("application/openmetrics-text, */*;q=0.1");

/// What a test fetches unless it wants something else.
fn fetching(url: &Url) -> Fetching<'_> {
    Fetching {
        url,
        timeout: Duration::from_secs(10),
        body_size_limit: 1 << 20,
        accept: &ACCEPT,
        is_compressed: true,
    }
}

/// Fetches with settings, from a new session.
async fn fetch_by(settings: &Settings, url: &Url) -> Result<Bytes, FetchError> {
    tls::install_provider();
    let mut session = Fetcher::new(settings).unwrap().session();
    session
        .fetch(fetching(url))
        .await
        .map(|fetched| fetched.body)
}

/// Reads a document with settings.
async fn get_by(settings: &Settings, url: &Url) -> Result<super::Answer, ClientError> {
    tls::install_provider();
    let timeout = Duration::from_secs(10);
    let client = Client::build(settings.clone(), timeout)?;
    client.get(url, &HeaderMap::new(), timeout, 1 << 20).await
}

fn secret(text: &str) -> Secret {
    Secret::Inline(text.into())
}

async fn fetch(url: &Url, body_size_limit: usize) -> Result<super::Fetched, FetchError> {
    let fetching = Fetching {
        body_size_limit,
        ..fetching(url)
    };
    fetcher().session().fetch(fetching).await
}

#[tokio::test]
async fn fetches_a_body_and_its_type() {
    let head = "200 OK\r\nContent-Type: text/plain; version=0.0.4";
    let server = Server::start(answer(head, b"up 1\n")).await;
    let fetched = fetch(&server.url("/metrics?a=b"), 1000).await.unwrap();
    assert_eq!(fetched.body, "up 1\n");
    assert_eq!(
        fetched.content_type.as_deref(),
        Some("text/plain; version=0.0.4")
    );
    let request = server.request(0).to_lowercase();
    assert!(
        request.starts_with("get /metrics?a=b http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("accept: application/openmetrics-text, */*;q=0.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("x-prometheus-scrape-timeout-seconds: 10\r\n"),
        "{request}"
    );
    assert!(request.contains("accept-encoding: gzip\r\n"), "{request}");
}

#[tokio::test]
async fn undoes_gzip_within_the_limit() {
    let head = "200 OK\r\nContent-Encoding: gzip";
    let server = Server::start(answer(head, &gzip(&[b'#'; 5000]))).await;
    assert_eq!(
        fetch(&server.url("/"), 5000).await.unwrap().body.len(),
        5000
    );
    let error = fetch(&server.url("/"), 4999).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::BodyTooLarge);
    let damaged = Server::start(answer(head, b"this is no gzip")).await;
    let error = fetch(&damaged.url("/"), 5000).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::Encoding);
    let unknown = Server::start(answer("200 OK\r\nContent-Encoding: br", b"x")).await;
    let error = fetch(&unknown.url("/"), 5000).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::Encoding);
}

#[tokio::test]
async fn credentials_in_the_address_go_to_its_host_only() {
    let other = Server::start(answer("200 OK", b"up 1\n")).await;
    // The same machine by another name is another host.
    let location = format!("http://localhost:{}/metrics", other.address.port());
    let head = format!("302 Found\r\nLocation: {location}");
    let server = Server::start(answer(&head, b"")).await;
    let url = format!("http://site:p%40ss@{}/", server.address);
    fetch(&Url::parse(&url).unwrap(), 1000).await.unwrap();
    let first = server.request(0).to_lowercase();
    assert!(first.contains("authorization: basic "), "{first}");
    assert!(!first.contains("p%40ss"), "{first}");
    let second = other.request(0).to_lowercase();
    assert!(second.starts_with("get /metrics"), "{second}");
    assert!(!second.contains("authorization"), "{second}");
}

#[tokio::test]
async fn a_failure_has_its_kind() {
    #[track_caller]
    fn check(result: Result<super::Fetched, FetchError>, expected: FailureReason) {
        assert_eq!(result.unwrap_err().reason(), expected);
    }
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = Url::parse(&format!("http://{closed}/")).unwrap();
    check(fetch(&refused, 10).await, FailureReason::Refused);
    // A label of more than 63 characters has no address, and no server needs to be asked.
    let nowhere = Url::parse(&format!("http://{}/", "x".repeat(70))).unwrap();
    check(fetch(&nowhere, 10).await, FailureReason::Dns);
    let failing = Server::start(answer("503 Unavailable", b"")).await;
    check(fetch(&failing.url("/"), 10).await, FailureReason::Status);
    let stranger = Server::start_with(answer("200 OK", b""), Some(certified().0)).await;
    let stranger = Url::parse(&format!("https://{}/", stranger.address)).unwrap();
    check(fetch(&stranger, 10).await, FailureReason::Tls);
    let lost = Server::start(answer("302 Found\r\nLocation: ftp://example.net/", b"")).await;
    check(fetch(&lost.url("/"), 10).await, FailureReason::Redirect);
    let torn = Server::start("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
    check(fetch(&torn.url("/"), 1000).await, FailureReason::Broken);
}

async fn get(client: &Client, url: Url) -> Result<super::Answer, ClientError> {
    client
        .send(Method::GET, url, HeaderMap::new(), Bytes::new(), 1000)
        .await
}

#[tokio::test]
async fn a_sinks_client_sends_credentials_and_headers() {
    tls::install_provider();
    let server = Server::start(answer("200 OK", b"fine")).await;
    let settings = Settings {
        auth: Some(Auth::Credentials {
            scheme: "Bearer".to_owned(),
            credentials: Secret::Inline("s3cret".into()),
        }),
        headers: vec![("X-Scope-OrgID".to_owned(), Secret::Inline("tenant".into()))],
        ..Settings::default()
    };
    let client = Client::build(settings, Duration::from_secs(10)).unwrap();
    assert_eq!(get(&client, server.url("/")).await.unwrap().body, "fine");
    let request = server.request(0);
    assert!(
        request.contains("authorization: Bearer s3cret\r\n"),
        "{request}"
    );
    assert!(
        request.to_lowercase().contains("x-scope-orgid: tenant\r\n"),
        "{request}"
    );
    assert!(
        !format!("{client:?}").contains("s3cret"),
        "a secret is printed"
    );
}

#[tokio::test]
async fn a_long_answer_is_cut() {
    tls::install_provider();
    let server = Server::start(answer("400 Bad Request", &[b'x'; 5000])).await;
    let client = Client::build(Settings::default(), Duration::from_secs(10)).unwrap();
    assert_eq!(
        get(&client, server.url("/")).await.unwrap().body.len(),
        1000
    );
}

#[tokio::test]
async fn a_missing_secret_file_is_worth_another_try() {
    use crate::retry::{Retry, Retryable as _};
    tls::install_provider();
    let server = Server::start(answer("200 OK", b"")).await;
    let auth = Auth::Basic {
        username: Secret::Inline("site".into()),
        password: Some(Secret::File("/nowhere/password".into())),
    };
    let settings = Settings {
        auth: Some(auth),
        ..Settings::default()
    };
    let client = Client::build(settings, Duration::from_secs(10)).unwrap();
    let error = get(&client, server.url("/")).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Yes);
    assert!(
        format!("{error:?}").contains("/nowhere/password"),
        "{error:?}"
    );
}

/// A server's certificate and the settings that trust it.
fn certified() -> (TlsAcceptor, tls::Settings) {
    tls::install_provider();
    let names = ["127.0.0.1", "localhost", "target.example"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let acceptor = acceptor(&made.cert, &made.signing_key, &[]);
    let trusting = tls::Settings {
        ca: Some(Pem::Inline(made.cert.pem())),
        ..tls::Settings::default()
    };
    (acceptor, trusting)
}

fn acceptor(
    certificate: &rcgen::Certificate,
    key: &rcgen::KeyPair,
    protocols: &[&[u8]],
) -> TlsAcceptor {
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_sink_is_trusted_by_its_certificate_and_name() {
    let (acceptor, trusting) = certified();
    let server = Server::start_with(answer("200 OK", b"fine"), Some(acceptor)).await;
    let url = Url::parse(&format!("https://{}/", server.address)).unwrap();
    let client = |tls: tls::Settings| {
        let settings = Settings {
            tls: Some(tls),
            ..Settings::default()
        };
        Client::build(settings, Duration::from_secs(10)).unwrap()
    };
    assert_eq!(
        get(&client(trusting.clone()), url.clone())
            .await
            .unwrap()
            .body,
        "fine"
    );
    let other_name = tls::Settings {
        server_name: Some("sink.example.net".to_owned()),
        ..trusting
    };
    get(&client(other_name), url.clone()).await.unwrap_err();
    let (_, stranger) = certified();
    get(&client(stranger.clone()), url.clone())
        .await
        .unwrap_err();
    let careless = tls::Settings {
        insecure_skip_verify: true,
        ..stranger
    };
    assert_eq!(get(&client(careless), url).await.unwrap().body, "fine");
}

#[test]
fn a_redacted_url_shows_no_secret() {
    let url = Url::parse("http://user:secret@host:9091/path?token=secret").unwrap();
    assert_eq!(redact(&url), "http://host:9091/path?***");
}
