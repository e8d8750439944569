//! Tokens, from a server that counts how often it is asked.

use tokio::sync::Semaphore;

use super::super::{OAuth2, Proxy};
use super::*;

/// A token's server: what it answers, in turn, the last one for ever; and what it was asked.
struct Issuer {
    url: Url,
    asked: Arc<Mutex<Vec<String>>>,
    /// It answers as often as there are permits.
    gate: Arc<Semaphore>,
}

impl Issuer {
    async fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let (asked, gate) = (Arc::default(), Arc::new(Semaphore::new(1000)));
        let issuer = Self {
            url: Url::parse(&url).unwrap(),
            asked: Arc::clone(&asked),
            gate: Arc::clone(&gate),
        };
        tokio::spawn(async move {
            let mut turn = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = with_body(&mut stream).await else {
                    continue;
                };
                asked.lock().unwrap().push(request);
                gate.acquire().await.unwrap().forget();
                let answer = &answers[turn.min(answers.len() - 1)];
                turn += 1;
                drop(stream.write_all(answer).await);
                drop(stream.shutdown().await);
            }
        });
        issuer
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn oauth2(&self) -> OAuth2 {
        OAuth2 {
            client_id: "poller one".to_owned(),
            client_secret: secret("hunter2&"),
            scopes: vec!["read".to_owned(), "metrics".to_owned()],
            token_url: self.url.clone(),
            endpoint_params: vec![("audience".to_owned(), "a b".to_owned())],
            tls: None,
            proxy: Proxy::default(),
        }
    }

    fn settings(&self) -> Settings {
        settings(self.oauth2())
    }
}

fn settings(oauth2: OAuth2) -> Settings {
    Settings {
        auth: Some(Auth::OAuth2(Box::new(oauth2))),
        ..Settings::default()
    }
}

async fn with_body(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        request.push(stream.read_u8().await.ok()?);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1)?.lines().next()?;
        if body.len() == length.parse::<usize>().ok()? {
            return Some(String::from_utf8(request).unwrap());
        }
    }
}

fn json(body: &str) -> Vec<u8> {
    answer("200 OK\r\nContent-Type: application/json", body.as_bytes())
}

fn granted(token: &str) -> Vec<u8> {
    json(&format!(
        "{{\"access_token\":\"{token}\",\"token_type\":\"bearer\",\"expires_in\":3600}}"
    ))
}

/// An error with its causes, as a log has it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Moves the clock on without waiting.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn one_request_brings_the_token_for_all() {
    tls::install_provider();
    let target = Server::start(answer("200 OK", b"up 1\n")).await;
    let issuer = Issuer::start(vec![granted("t0ken")]).await;
    let fetcher = Fetcher::new(&issuer.settings()).unwrap();
    let url = target.url("/");
    let fetches = (0..50).map(|_| {
        let (mut session, url) = (fetcher.session(), url.clone());
        tokio::spawn(async move { session.fetch(fetching(&url)).await.unwrap().body })
    });
    let fetches: Vec<_> = fetches.collect();
    for fetch in fetches {
        assert_eq!(fetch.await.unwrap(), "up 1\n");
    }
    for index in 0..50 {
        let request = target.request(index);
        assert!(
            request.contains("authorization: Bearer t0ken\r\n"),
            "{request}"
        );
    }
    let asked = issuer.asked();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].starts_with("POST /token HTTP/1.1\r\n"),
        "{asked:?}"
    );
    // `poller+one:hunter2%26`
    let identity = "Basic cG9sbGVyK29uZTpodW50ZXIyJTI2";
    assert!(asked[0].contains(identity), "{asked:?}");
    let form = "grant_type=client_credentials&scope=read+metrics&audience=a+b";
    assert!(asked[0].ends_with(form), "{asked:?}");
}

#[tokio::test]
async fn a_token_is_replaced_shortly_before_it_ends() {
    let target = Server::start(answer("200 OK", b"up 1\n")).await;
    let issuer = Issuer::start(vec![granted("one"), granted("two")]).await;
    let client = Client::build(issuer.settings(), Duration::from_secs(10)).unwrap();
    get(&client, target.url("/")).await.unwrap();
    pass(Duration::from_secs(3580)).await;
    get(&client, target.url("/")).await.unwrap();
    assert!(target.request(1).contains("Bearer one\r\n"));
    pass(Duration::from_secs(11)).await;
    get(&client, target.url("/")).await.unwrap();
    assert!(target.request(2).contains("Bearer two\r\n"));
    assert_eq!(issuer.asked().len(), 2);
}

#[tokio::test]
async fn a_server_that_wants_the_identity_in_the_body_gets_it_there() {
    let target = Server::start(answer("200 OK", b"up 1\n")).await;
    let refused = answer("401 Unauthorized", b"{\"error\":\"invalid_client\"}");
    let form = "access_token=t0ken&expires_in=5";
    let kind = "200 OK\r\nContent-Type: application/x-www-form-urlencoded";
    let issuer = Issuer::start(vec![refused, answer(kind, form.as_bytes())]).await;
    let client = Client::build(issuer.settings(), Duration::from_secs(10)).unwrap();
    get(&client, target.url("/")).await.unwrap();
    assert!(target.request(0).contains("Bearer t0ken\r\n"));
    let asked = issuer.asked();
    assert!(
        !asked[1].to_lowercase().contains("\r\nauthorization"),
        "{asked:?}"
    );
    let identity = "&client_id=poller+one&client_secret=hunter2%26";
    assert!(asked[1].ends_with(identity), "{asked:?}");
    // That is remembered.
    pass(Duration::from_secs(60)).await;
    get(&client, target.url("/")).await.unwrap();
    let asked = issuer.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked[2].ends_with(identity), "{asked:?}");
}

#[tokio::test]
async fn failures_are_not_repeated_at_once_and_show_no_secret() {
    tls::install_provider();
    let target = Server::start(answer("200 OK", b"up 1\n")).await;
    let refused = answer(
        "400 Bad Request\r\nContent-Type: application/json",
        b"{\"error\":\"invalid_scope\",\"error_description\":\"hunter2& is not good\"}",
    );
    let issuer = Issuer::start(vec![refused.clone(), refused, granted("t0ken")]).await;
    let settings = issuer.settings();
    let fetcher = Fetcher::new(&settings).unwrap();
    let (mut session, url) = (fetcher.session(), target.url("/"));
    for _ in 0..20 {
        let error = session.fetch(fetching(&url)).await.unwrap_err();
        assert_eq!(error.reason(), FailureReason::Auth);
        let shown = chain(&error);
        assert!(
            shown.contains("status 400 Bad Request and error `invalid_scope`"),
            "{shown}"
        );
        let shown = format!("{shown} {error:?} {settings:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    // Once with the identity in the header, once in the body.
    assert_eq!(issuer.asked().len(), 2);
    pass(Duration::from_secs(2)).await;
    session.fetch(fetching(&url)).await.unwrap();
    assert_eq!(issuer.asked().len(), 3);
}

#[tokio::test]
async fn a_scrape_that_times_out_takes_nobodys_token_with_it() {
    tls::install_provider();
    let target = Server::start(answer("200 OK", b"up 1\n")).await;
    let issuer = Issuer::start(vec![granted("t0ken")]).await;
    issuer.gate.forget_permits(1000);
    let fetcher = Fetcher::new(&issuer.settings()).unwrap();
    let (mut session, url) = (fetcher.session(), target.url("/"));
    let short = Fetching {
        timeout: Duration::from_millis(50),
        ..fetching(&url)
    };
    let error = session.fetch(short).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::Timeout);
    issuer.gate.add_permits(1);
    session.fetch(fetching(&url)).await.unwrap();
    assert_eq!(issuer.asked().len(), 1);
}

#[tokio::test]
async fn another_secret_gets_another_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "one\n").unwrap();
    let target = Server::start(answer("200 OK", b"up 1\n")).await;
    let issuer = Issuer::start(vec![granted("first"), granted("second")]).await;
    let oauth2 = OAuth2 {
        client_secret: Secret::File(path.clone()),
        ..issuer.oauth2()
    };
    let client = Client::build(settings(oauth2), Duration::from_secs(10)).unwrap();
    get(&client, target.url("/")).await.unwrap();
    std::fs::write(&path, "two\n").unwrap();
    get(&client, target.url("/")).await.unwrap();
    assert!(target.request(0).contains("Bearer first\r\n"));
    assert!(target.request(1).contains("Bearer second\r\n"));
    std::fs::remove_file(&path).unwrap();
    let error = get(&client, target.url("/")).await.unwrap_err();
    assert!(matches!(error, ClientError::Auth(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_no_token_says_what_it_is() {
    async fn check(answer: Vec<u8>, expected: &str) {
        let issuer = Issuer::start(vec![answer]).await;
        let url = Url::parse("http://127.0.0.1:9/").unwrap();
        let error = fetch_by(&issuer.settings(), &url).await.unwrap_err();
        let shown = chain(&error);
        assert_eq!(error.reason(), FailureReason::Auth, "{shown}");
        assert!(shown.contains(expected), "{shown}");
    }
    check(json("[]"), "no JSON object").await;
    check(json("{\"access_token\":"), "no JSON object").await;
    check(json("{\"expires_in\":1e999}"), "no JSON object").await;
    check(json("{}"), "no `access_token`").await;
    check(json("{\"access_token\":\"a\\nb\"}"), "cannot be sent").await;
    check(
        json("{\"error\":\"invalid_grant\"}"),
        "200 OK and error `invalid_grant`",
    )
    .await;
    check(json("{\"error\":\"Speak Friend\"}"), "with status 200 OK").await;
    check(answer("302 Found\r\nLocation: /", b""), "status 302 Found").await;
    check(b"HTTP".to_vec(), "cannot ask for a token").await;
}

#[tokio::test]
async fn strange_lifetimes_harm_nobody() {
    for life in [
        "-5", "0", "\"3600\"", "\"nan\"", "\"inf\"", "1e300", "0.5", "null", "true",
    ] {
        let target = Server::start(answer("200 OK", b"up 1\n")).await;
        let body = format!("{{\"access_token\":\"t\",\"expires_in\":{life}}}");
        let issuer = Issuer::start(vec![json(&body)]).await;
        let client = Client::build(issuer.settings(), Duration::from_secs(10)).unwrap();
        for _ in 0..3 {
            get(&client, target.url("/")).await.unwrap();
        }
        assert_eq!(issuer.asked().len(), 1, "{life}");
    }
}
