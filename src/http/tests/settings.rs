//! What the settings of a client do: credentials, headers, redirects, versions of HTTP.

use super::*;

fn basic(password: Secret) -> Settings {
    Settings {
        auth: Some(Auth::Basic {
            username: secret("site"),
            password: Some(password),
        }),
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_password_is_read_from_its_file_each_time() {
    tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let server = Server::start(answer("200 OK", b"up 1\n")).await;
    let mut session = Fetcher::new(&basic(Secret::File(path.clone())))
        .unwrap()
        .session();
    let url = server.url("/");
    let error = session.fetch(fetching(&url)).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::Auth);
    // `site:one` and `site:two`
    for (password, expected) in [("one\n", "c2l0ZTpvbmU="), ("two\n", "c2l0ZTp0d28=")] {
        std::fs::write(&path, password).unwrap();
        session.fetch(fetching(&url)).await.unwrap();
        let request = server.requests.lock().unwrap().pop().unwrap();
        assert!(
            request.contains(&format!("Basic {expected}\r\n")),
            "{request}"
        );
    }
}

#[tokio::test]
async fn user_and_password_in_the_address_win() {
    let server = Server::start(answer("200 OK", b"up 1\n")).await;
    let url = format!("http://a:b@{}/", server.address);
    let url = Url::parse(&url).unwrap();
    fetch_by(&basic(secret("x")), &url).await.unwrap();
    get_by(&basic(secret("x")), &url).await.unwrap();
    for index in 0..2 {
        let request = server.request(index);
        assert_eq!(request.matches("Basic ").count(), 1, "{request}");
        assert!(request.contains("Basic YTpi\r\n"), "{request}");
    }
}

#[tokio::test]
async fn configured_headers_are_sent_side_by_side_with_ours() {
    tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "from a file\n").unwrap();
    let server = Server::start(answer("200 OK", b"up 1\n")).await;
    let settings = Settings {
        headers: vec![
            ("X-Scope-OrgID".to_owned(), secret("one")),
            ("X-Scope-OrgID".to_owned(), secret("two")),
            ("X-Key".to_owned(), Secret::File(path.clone())),
        ],
        ..Settings::default()
    };
    let url = server.url("/");
    let mut session = Fetcher::new(&settings).unwrap().session();
    let plain = Fetching {
        is_compressed: false,
        timeout: Duration::from_millis(9500),
        ..fetching(&url)
    };
    session.fetch(plain).await.unwrap();
    get_by(&settings, &url).await.unwrap();
    for index in 0..2 {
        let request = server.request(index).to_lowercase();
        for line in [
            "x-scope-orgid: one\r\n",
            "x-scope-orgid: two\r\n",
            "x-key: from a file\r\n",
        ] {
            assert!(request.contains(line), "{request}");
        }
    }
    let request = server.request(0).to_lowercase();
    assert!(
        request.contains("accept-encoding: identity\r\n"),
        "{request}"
    );
    assert!(
        request.contains("x-prometheus-scrape-timeout-seconds: 9.5\r\n"),
        "{request}"
    );
    assert!(
        request.contains("user-agent: prometheus-streams/"),
        "{request}"
    );
    std::fs::remove_file(&path).unwrap();
    let error = fetch_by(&settings, &url).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::Auth);
}

#[tokio::test]
async fn nothing_that_is_ours_goes_to_another_host() {
    let other = Server::start(answer("200 OK", b"up 1\n")).await;
    let location = format!("http://localhost:{}/metrics", other.address.port());
    let head = format!("307 Temporary Redirect\r\nLocation: {location}");
    let server = Server::start(answer(&head, b"")).await;
    let settings = Settings {
        headers: vec![("X-Key".to_owned(), secret("hunter2"))],
        ..basic(secret("hunter2"))
    };
    fetch_by(&settings, &server.url("/")).await.unwrap();
    let client = Client::build(settings.clone(), Duration::from_secs(10)).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-plain", HeaderValue::from_static("plain"));
    let mut token = HeaderValue::from_static("hunter2");
    token.set_sensitive(true);
    headers.insert("x-token", token);
    let url = server.url("/");
    let got = client.get(&url, &headers, Duration::from_secs(10), 100);
    assert_eq!(got.await.unwrap().body, "up 1\n");
    for index in 0..2 {
        let request = server.request(index).to_lowercase();
        assert!(request.contains("authorization: basic"), "{request}");
        assert!(request.contains("x-key: hunter2"), "{request}");
        let request = other.request(index).to_lowercase();
        assert!(request.starts_with("get /metrics"), "{request}");
        assert!(!request.contains("authorization"), "{request}");
        assert!(!request.contains("hunter2"), "{request}");
    }
    assert!(server.request(1).contains("x-token: hunter2\r\n"));
    assert!(other.request(1).contains("x-plain: plain\r\n"));
}

#[tokio::test]
async fn redirects_need_not_be_followed() {
    let server = Server::start(answer("302 Found\r\nLocation: /other", b"")).await;
    let mut settings = Settings::default();
    let url = server.url("/");
    let error = fetch_by(&settings, &url).await.unwrap_err();
    assert!(error.to_string().contains("stopped after 10"), "{error}");
    let error = get_by(&settings, &url).await.unwrap_err();
    assert!(error.to_string().contains("stopped after 10"), "{error}");
    let client = Client::build(settings.clone(), Duration::from_secs(10)).unwrap();
    get(&client, url.clone()).await.unwrap_err();
    let none = HeaderMap::new();
    let written = client.send(Method::POST, url.clone(), none, Bytes::new(), 10);
    assert_eq!(written.await.unwrap().status, 302);
    settings.follow_redirects = false;
    let error = fetch_by(&settings, &url).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::Status);
    assert_eq!(get_by(&settings, &url).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_document_is_refused_when_it_is_too_large_or_too_late() {
    tls::install_provider();
    let server = Server::start(answer("200 OK", &[b'x'; 1001])).await;
    let (url, long) = (server.url("/"), Duration::from_secs(300));
    let client = Client::build(Settings::default(), Duration::from_millis(1)).unwrap();
    let none = HeaderMap::new();
    let whole = client.get(&url, &none, long, 1001).await.unwrap();
    assert_eq!(whole.body.len(), 1001);
    let error = client.get(&url, &none, long, 1000).await.unwrap_err();
    assert!(
        matches!(error, ClientError::BodyTooLarge(1000)),
        "{error:?}"
    );
    // Nobody accepts, but the system takes the connection.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", silent.local_addr().unwrap())).unwrap();
    let short = Duration::from_millis(50);
    let error = client.get(&url, &none, short, 1000).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Timeout(limit) if limit == short),
        "{error:?}"
    );
}

#[test]
fn nobody_prints_a_secret() {
    let oauth2 = super::super::OAuth2 {
        client_id: "id".to_owned(),
        client_secret: secret("hunter2"),
        scopes: Vec::new(),
        token_url: Url::parse("http://a:hunter2@host/?x=hunter2").unwrap(),
        endpoint_params: vec![("password".to_owned(), "hunter2".to_owned())],
        tls: None,
        proxy: super::super::Proxy {
            url: Some(Url::parse("http://a:hunter2@proxy").unwrap()),
            connect_header: vec![("X-Key".to_owned(), secret("hunter2"))],
            ..super::super::Proxy::default()
        },
    };
    let settings = Settings {
        proxy: oauth2.proxy.clone(),
        auth: Some(Auth::OAuth2(Box::new(oauth2))),
        headers: vec![("X-Key".to_owned(), secret("hunter2"))],
        ..Settings::default()
    };
    tls::install_provider();
    let client = Client::build(settings.clone(), Duration::from_secs(1)).unwrap();
    let shown = format!("{settings:?} {client:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
