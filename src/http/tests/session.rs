//! Connections from one scrape to the next.

use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::super::Session;
use super::*;

/// What a server does with each connection.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Answers everything.
    Keeps,
    /// Answers once and closes without a word.
    Closes,
    /// Answers once and closes on the next request.
    Balks,
}

/// A server that counts its connections.
struct Counting {
    url: Url,
    connections: Arc<AtomicUsize>,
}

impl Counting {
    async fn start(manner: Manner, answer: &'static [&'static [u8]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(converse(stream, manner, answer));
            }
        });
        let url = Url::parse(&url).unwrap();
        Self { url, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn converse(mut stream: TcpStream, manner: Manner, answer: &[&[u8]]) {
    stream.set_nodelay(true).unwrap();
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_first = head.starts_with(b"GET ");
        // A second request leaves the first one's mark behind.
        head = b"again".to_vec();
        if !is_first && matches!(manner, Manner::Balks) {
            return;
        }
        for piece in answer {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        if matches!(manner, Manner::Closes) {
            return;
        }
    }
}

async fn fetch_with(session: &mut Session, url: &Url) -> Result<Bytes, FetchError> {
    session
        .fetch(fetching(url))
        .await
        .map(|fetched| fetched.body)
}

const SHORT: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n"];

#[track_caller]
fn check(manner: Manner, connections: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = Counting::start(manner, SHORT).await;
        let mut session = fetcher().session();
        for _ in 0..3 {
            assert_eq!(
                fetch_with(&mut session, &server.url).await.unwrap(),
                "up 1\n"
            );
        }
        assert_eq!(server.connections(), connections, "{manner:?}");
    });
}

#[test]
fn a_connection_is_kept() {
    check(Manner::Keeps, 1);
}

#[test]
fn a_connection_that_was_closed_is_replaced() {
    check(Manner::Closes, 3);
    check(Manner::Balks, 3);
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    const PIECE: &[u8] = b"4\r\na 1\n\r\n";
    const ANSWER: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        PIECE,
        b"6\r\nbc",
        b" 17\n\r\n",
        PIECE,
        PIECE,
        b"0\r\n\r\n",
    ];
    let server = Counting::start(Manner::Keeps, ANSWER).await;
    let mut session = fetcher().session();
    for _ in 0..2 {
        let body = fetch_with(&mut session, &server.url).await.unwrap();
        assert_eq!(body, "a 1\nbc 17\na 1\na 1\n");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_body_larger_than_all_buffers_comes_whole() {
    let large = vec![b'#'; 3 << 20];
    let server = Server::start(answer("200 OK", &large)).await;
    assert_eq!(fetch(&server.url("/"), 3 << 20).await.unwrap().body, large);
    let error = fetch(&server.url("/"), (3 << 20) - 1).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::BodyTooLarge);
}

#[tokio::test]
async fn an_answer_that_is_given_up_harms_no_later_one() {
    const ANSWER: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nup 1\nup 2"];
    let server = Counting::start(Manner::Keeps, ANSWER).await;
    let mut session = fetcher().session();
    let small = Fetching {
        body_size_limit: 4,
        ..fetching(&server.url)
    };
    let error = session.fetch(small).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::BodyTooLarge);
    let body = fetch_with(&mut session, &server.url).await.unwrap();
    assert_eq!(body, "up 1\nup 2");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn the_memory_of_a_body_serves_the_next_one_but_while_it_is_in_use() {
    let server = Counting::start(Manner::Keeps, SHORT).await;
    let fetcher = fetcher();
    let (mut one, mut other) = (fetcher.session(), fetcher.session());
    let first = fetch_with(&mut one, &server.url).await.unwrap();
    let (place, in_use) = (first.as_ptr(), first.clone());
    one.recycle(first);
    let second = fetch_with(&mut other, &server.url).await.unwrap();
    assert_ne!(second.as_ptr(), place);
    drop(second);
    other.recycle(in_use);
    let third = fetch_with(&mut other, &server.url).await.unwrap();
    assert_eq!((third.as_ptr(), &*third), (place, &b"up 1\n"[..]));
}

#[tokio::test]
async fn both_ends_of_a_redirect_are_kept() {
    let target = Counting::start(Manner::Keeps, SHORT).await;
    let head = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 4\r\n\r\ngo!\n",
        target.url
    );
    let head: &'static [u8] = head.into_bytes().leak();
    let answer: &'static [&'static [u8]] = vec![head].leak();
    let server = Counting::start(Manner::Keeps, answer).await;
    let mut session = fetcher().session();
    for _ in 0..3 {
        assert_eq!(
            fetch_with(&mut session, &server.url).await.unwrap(),
            "up 1\n"
        );
    }
    assert_eq!((server.connections(), target.connections()), (1, 1));
}

#[tokio::test]
async fn http2_is_spoken_where_the_target_wants_it() {
    tls::install_provider();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let trusting = tls::Settings {
        ca: Some(Pem::Inline(made.cert.pem())),
        ..tls::Settings::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/metrics?a=b", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                drop(request);
                Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(
                    Bytes::from_static(b"up 2\n"),
                )))
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(stream, service));
        }
    });
    let fetcher = Fetcher::with_tls(tls::client_config(&trusting).unwrap());
    let mut session = fetcher.session();
    for _ in 0..3 {
        let body = fetch_with(&mut session, &Url::parse(&url).unwrap()).await;
        assert_eq!(body.unwrap(), "up 2\n");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
