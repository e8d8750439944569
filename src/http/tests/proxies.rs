//! Both clients through proxies that are written here: HTTP with and without TLS, and SOCKS 5.

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::super::Proxy;
use super::*;

/// A proxy: what it was asked, and where it lets everybody through to.
struct Middle {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What a proxy does with a request for a tunnel.
#[derive(Debug, Clone, Copy)]
enum Tunnels {
    To(SocketAddr),
    Refused(&'static str),
}

impl Middle {
    /// A proxy that speaks HTTP; what it is to forward it answers itself.
    async fn http(tunnels: Tunnels, tls: Option<TlsAcceptor>) -> Self {
        Self::start(move |mut stream, asked| {
            let tls = tls.clone();
            async move {
                match tls {
                    None => forward(&mut stream, tunnels, &asked).await,
                    Some(tls) => {
                        if let Ok(mut stream) = tls.accept(stream).await {
                            forward(&mut stream, tunnels, &asked).await;
                        }
                    }
                }
            }
        })
        .await
    }

    /// A proxy that speaks SOCKS 5, for one user.
    async fn socks(target: SocketAddr) -> Self {
        Self::start(move |stream, asked| socks(stream, target, asked)).await
    }

    async fn start<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen)));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().join("\n")
    }

    fn settings(&self, scheme: &str) -> Settings {
        let url = format!("{scheme}://site:p%40ss@{}", self.address);
        let proxy = Proxy {
            url: Some(Url::parse(&url).unwrap()),
            connect_header: vec![("X-Pass".to_owned(), secret("hunter2"))],
            ..Proxy::default()
        };
        Settings {
            proxy,
            ..Settings::default()
        }
    }
}

async fn forward<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    tunnels: Tunnels,
    asked: &Mutex<Vec<String>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let is_tunnel = head.starts_with(b"CONNECT ");
    asked.lock().unwrap().push(String::from_utf8(head).unwrap());
    match tunnels {
        Tunnels::Refused(status) => drop(stream.write_all(&answer(status, b"no")).await),
        Tunnels::To(target) if is_tunnel => {
            let mut target = TcpStream::connect(target).await.unwrap();
            let granted = b"HTTP/1.1 200 Connection established\r\n\r\n";
            stream.write_all(granted).await.unwrap();
            drop(copy_bidirectional(stream, &mut target).await);
        }
        Tunnels::To(_) => drop(stream.write_all(&answer("200 OK", b"forwarded 1\n")).await),
    }
    drop(stream.shutdown().await);
}

/// Serves one client by RFC 1928 and 1929.
async fn socks(mut stream: TcpStream, target: SocketAddr, asked: Arc<Mutex<Vec<String>>>) {
    let mut methods = [0; 2];
    stream.read_exact(&mut methods).await.unwrap();
    assert_eq!(methods[0], 5);
    let mut offered = vec![0; usize::from(methods[1])];
    stream.read_exact(&mut offered).await.unwrap();
    assert!(offered.contains(&2), "{offered:?}");
    stream.write_all(&[5, 2]).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 1);
    let user = text(&mut stream).await;
    let password = text(&mut stream).await;
    let is_known = (&*user, &*password) == ("site", "p@ss");
    stream.write_all(&[1, u8::from(!is_known)]).await.unwrap();
    if !is_known {
        return;
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.unwrap();
    assert_eq!(request[..3], [5, 1, 0]);
    let host = match request[3] {
        1 => format!("{:?}", stream.read_u32().await.unwrap().to_be_bytes()),
        3 => text(&mut stream).await,
        other => panic!("address of type {other}"),
    };
    let port = stream.read_u16().await.unwrap();
    asked.lock().unwrap().push(format!("{host}:{port}"));
    let mut target = TcpStream::connect(target).await.unwrap();
    let granted = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    stream.write_all(&granted).await.unwrap();
    drop(copy_bidirectional(&mut stream, &mut target).await);
}

async fn text(stream: &mut TcpStream) -> String {
    let mut text = vec![0; usize::from(stream.read_u8().await.unwrap())];
    stream.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// A server with TLS, and what trusts it.
async fn encrypted() -> (Server, tls::Settings) {
    let (acceptor, trusting) = certified();
    let server = Server::start_with(answer("200 OK", b"up 1\n"), Some(acceptor)).await;
    (server, trusting)
}

fn reason(result: Result<Bytes, FetchError>) -> FailureReason {
    result.unwrap_err().reason()
}

const AUTHORIZATION: &str = "proxy-authorization: Basic c2l0ZTpwQHNz\r\n";

#[tokio::test]
async fn a_proxy_forwards_requests_of_http() {
    let middle = Middle::http(Tunnels::Refused("200 OK"), None).await;
    let settings = middle.settings("http");
    let url = Url::parse("http://a:b@target.example:81/metrics?x=y").unwrap();
    assert_eq!(fetch_by(&settings, &url).await.unwrap(), "no");
    assert_eq!(get_by(&settings, &url).await.unwrap().body, "no");
    let asked = middle.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    for request in asked {
        let first = "GET http://target.example:81/metrics?x=y HTTP/1.1\r\n";
        assert!(request.starts_with(first), "{request}");
        let request = request.to_lowercase();
        assert!(request.contains("host: target.example:81\r\n"), "{request}");
        assert!(request.contains(&AUTHORIZATION.to_lowercase()), "{request}");
        // `a:b`
        assert!(
            request.contains("\nauthorization: basic ytpi\r\n"),
            "{request}"
        );
        // It is for the proxy, and a server that it is forwarded to is not the proxy.
        assert!(!request.contains("x-pass"), "{request}");
    }
}

#[tokio::test]
async fn a_proxy_makes_tunnels_for_https() {
    let (server, trusting) = encrypted().await;
    let middle = Middle::http(Tunnels::To(server.address), None).await;
    let settings = Settings {
        tls: Some(trusting),
        ..middle.settings("http")
    };
    let url = Url::parse("https://target.example/metrics").unwrap();
    assert_eq!(fetch_by(&settings, &url).await.unwrap(), "up 1\n");
    assert_eq!(get_by(&settings, &url).await.unwrap().body, "up 1\n");
    let asked = middle.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    for request in asked {
        let first = "CONNECT target.example:443 HTTP/1.1\r\n";
        assert!(request.starts_with(first), "{request}");
        let request = request.to_lowercase();
        assert!(request.contains(&AUTHORIZATION.to_lowercase()), "{request}");
        assert!(request.contains("x-pass: hunter2\r\n"), "{request}");
        assert!(
            request.contains("host: target.example:443\r\n"),
            "{request}"
        );
    }
    for index in 0..2 {
        let request = server.request(index).to_lowercase();
        assert!(
            request.starts_with("get /metrics http/1.1\r\n"),
            "{request}"
        );
        assert!(!request.contains("proxy-authorization"), "{request}");
        assert!(!request.contains("x-pass"), "{request}");
    }
}

#[tokio::test]
async fn a_proxy_may_have_tls_itself() {
    let (acceptor, trusting) = certified();
    let answered = answer("200 OK", b"up 1\n");
    let server = Server::start_with(answered, Some(acceptor.clone())).await;
    let middle = Middle::http(Tunnels::To(server.address), Some(acceptor)).await;
    let settings = Settings {
        tls: Some(trusting),
        ..middle.settings("https")
    };
    for (url, body) in [
        ("https://target.example/", "up 1\n"),
        ("http://target.example/", "forwarded 1\n"),
    ] {
        let url = Url::parse(url).unwrap();
        assert_eq!(fetch_by(&settings, &url).await.unwrap(), body);
        assert_eq!(get_by(&settings, &url).await.unwrap().body, body);
    }
    assert_eq!(middle.asked.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_proxy_that_speaks_socks_looks_up_the_name() {
    let plain = Server::start(answer("200 OK", b"plain 1\n")).await;
    let (server, trusting) = encrypted().await;
    for scheme in ["socks5", "socks5h"] {
        let middle = Middle::socks(plain.address).await;
        let url = Url::parse("http://target.example:81/metrics").unwrap();
        let settings = middle.settings(scheme);
        assert_eq!(fetch_by(&settings, &url).await.unwrap(), "plain 1\n");
        assert_eq!(get_by(&settings, &url).await.unwrap().body, "plain 1\n");
        assert_eq!(middle.asked(), "target.example:81\ntarget.example:81");
        let middle = Middle::socks(server.address).await;
        let settings = Settings {
            tls: Some(trusting.clone()),
            ..middle.settings(scheme)
        };
        let url = Url::parse("https://target.example/metrics").unwrap();
        assert_eq!(fetch_by(&settings, &url).await.unwrap(), "up 1\n");
        assert_eq!(get_by(&settings, &url).await.unwrap().body, "up 1\n");
        assert_eq!(middle.asked(), "target.example:443\ntarget.example:443");
        let url = Url::parse("https://127.0.0.1:99/").unwrap();
        assert_eq!(fetch_by(&settings, &url).await.unwrap(), "up 1\n");
        assert!(middle.asked().ends_with("\n[127, 0, 0, 1]:99"));
    }
}

#[tokio::test]
async fn what_goes_wrong_at_the_proxy_is_told_from_what_goes_wrong_behind_it() {
    let http = Url::parse("http://target.example/").unwrap();
    let https = Url::parse("https://target.example/").unwrap();
    let (_, trusting) = certified();
    let with_tls = |settings: Settings| Settings {
        tls: Some(trusting.clone()),
        ..settings
    };
    let strict = Middle::http(Tunnels::Refused("407 Authenticate"), None).await;
    let settings = with_tls(strict.settings("http"));
    for url in [&http, &https] {
        let error = fetch_by(&settings, url).await.unwrap_err();
        assert_eq!(error.reason(), FailureReason::Proxy);
        assert!(error.to_string().contains("407"), "{error}");
    }
    let error = get_by(&settings, &https).await.unwrap_err();
    assert!(matches!(error, ClientError::Proxy(_)), "{error:?}");
    // Without a tunnel the target's own failure looks the same from both sides.
    let failing = Middle::http(Tunnels::Refused("503 Unavailable"), None).await;
    let settings = with_tls(failing.settings("http"));
    assert_eq!(
        reason(fetch_by(&settings, &http).await),
        FailureReason::Status
    );
    assert_eq!(
        reason(fetch_by(&settings, &https).await),
        FailureReason::Proxy
    );
    let (server, _) = encrypted().await;
    let middle = Middle::http(Tunnels::To(server.address), None).await;
    let settings = with_tls(middle.settings("http"));
    assert_eq!(
        reason(fetch_by(&settings, &https).await),
        FailureReason::Tls
    );
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = Middle {
        address: closed.local_addr().unwrap(),
        asked: Arc::default(),
    };
    drop(closed);
    for scheme in ["http", "https", "socks5"] {
        let settings = with_tls(gone.settings(scheme));
        for url in [&http, &https] {
            let reached = fetch_by(&settings, url).await;
            assert_eq!(reason(reached), FailureReason::Proxy, "{scheme} {url}");
            let error = get_by(&settings, url).await.unwrap_err();
            assert!(
                matches!(error, ClientError::Proxy(_)),
                "{scheme}: {error:?}"
            );
        }
    }
    let mut stranger = Middle::socks(server.address).await.settings("socks5");
    let url = stranger.proxy.url.as_mut().unwrap();
    url.set_password(Some("wrong")).unwrap();
    assert_eq!(
        reason(fetch_by(&stranger, &http).await),
        FailureReason::Proxy
    );
}

#[tokio::test]
async fn some_targets_are_reached_without_the_proxy() {
    let server = Server::start(answer("200 OK", b"up 1\n")).await;
    let middle = Middle::http(Tunnels::To(server.address), None).await;
    let mut settings = middle.settings("http");
    let url = server.url("/");
    // As in Prometheus: with an empty list even the machine itself is asked for at the proxy.
    assert_eq!(fetch_by(&settings, &url).await.unwrap(), "forwarded 1\n");
    settings.proxy.no_proxy = Some("other.example".to_owned());
    assert_eq!(fetch_by(&settings, &url).await.unwrap(), "up 1\n");
    assert_eq!(get_by(&settings, &url).await.unwrap().body, "up 1\n");
}

#[tokio::test]
async fn no_password_of_a_proxy_is_printed() {
    let middle = Middle::http(Tunnels::Refused("403 Forbidden"), None).await;
    let settings = middle.settings("http");
    let url = Url::parse("https://target.example/").unwrap();
    let error = fetch_by(&settings, &url).await.unwrap_err();
    let other = get_by(&settings, &url).await.unwrap_err();
    let client = Client::build(settings.clone(), Duration::from_secs(1)).unwrap();
    let fetcher = Fetcher::new(&settings).unwrap();
    let shown = format!("{error} {error:?} {other} {other:?} {settings:?} {client:?} {fetcher:?}");
    for secret in ["p%40ss", "p@ss", "hunter2", "c2l0ZTpwQHNz"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
