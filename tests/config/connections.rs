//! How servers are reached, who we say we are there, and whom we trust.

use std::path::{Path, PathBuf};
use std::time::Duration;

use prometheus_streams::bus::Auth;
use prometheus_streams::enroll;
use prometheus_streams::http;
use prometheus_streams::model::Secret;
use prometheus_streams::tls::{Pem, SslDir, Version};

use crate::load;

fn inline(secret: &str) -> Secret {
    Secret::Inline(secret.into())
}

#[test]
fn every_form_of_server_url_is_completed() {
    let (config, _) = load(
        "poller_stream: {urls: 'nats://a, tls://b:1 ,c,[::1]:14222'}\n\
         receiver_stream: {urls: ['nats://me:p@ss@a:4222/', 'b:1,c:2']}\n",
    );
    let urls = config.poller_stream.unwrap().urls;
    assert_eq!(
        urls,
        [
            "nats://a:4222",
            "tls://b:1",
            "nats://c:4222",
            "nats://[::1]:14222"
        ]
    );
    let urls = config.receiver_stream.unwrap().urls;
    assert_eq!(urls, ["nats://me:p@ss@a:4222", "nats://b:1", "nats://c:2"]);
}

#[test]
fn each_kind_of_nats_authorization_is_read() {
    #[track_caller]
    fn check(text: &str, expected: Auth) {
        let (config, _) = load(&format!("poller_stream: {{urls: a, {text}}}\n"));
        assert_eq!(config.poller_stream.unwrap().auth, Some(expected), "{text}");
    }
    let file = |name: &str| Path::new("/etc/prometheus-streams").join(name);
    let password = |password| Auth::Password {
        user: "me".to_owned(),
        password,
    };
    check("user: me, password: pw", password(inline("pw")));
    check(
        "user: me, password_file: /run/pw",
        password(Secret::File("/run/pw".into())),
    );
    check("token: t", Auth::Token(inline("t")));
    check("token_file: t", Auth::Token(Secret::File(file("t"))));
    check("nkey_file: seed.nk", Auth::NkeyFile(file("seed.nk")));
    check(
        "credentials_file: a.creds",
        Auth::CredentialsFile(file("a.creds")),
    );
}

#[test]
fn a_set_stream_wins_over_the_cluster_id() {
    let (config, warnings) = load("poller_stream: {urls: a, cluster_id: old, stream: NEW}\n");
    assert_eq!(config.poller_stream.unwrap().stream, "NEW");
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains(":1:26: `cluster_id` has no effect"),
        "{}",
        warnings[0]
    );
}

#[test]
fn a_stream_has_the_tls_of_the_top_level_unless_it_has_its_own() {
    let (config, warnings) = load(
        "tls: {scheme: manual, ca: ca.pem, cert: cert.pem, key: key.pem, crl: crl.pem}\n\
         poller_stream: {urls: a}\n\
         receiver_stream: {urls: a, tls: {server_name: nats, insecure_skip_verify: true, min_version: TLS13}}\n",
    );
    assert_eq!(warnings, [""; 0]);
    let tls = config.poller_stream.unwrap().tls.unwrap();
    let file = |name: &str| PathBuf::from("/etc/prometheus-streams").join(name);
    assert_eq!(tls.ca, Some(Pem::File(file("ca.pem"))));
    assert_eq!(tls.cert, Some(Pem::File(file("cert.pem"))));
    assert_eq!(tls.key, Some(Secret::File(file("key.pem"))));
    assert_eq!(tls.crl, Some(Pem::File(file("crl.pem"))));
    let tls = config.receiver_stream.unwrap().tls.unwrap();
    assert_eq!((tls.ca, tls.server_name.as_deref()), (None, Some("nats")));
    assert_eq!(
        (tls.insecure_skip_verify, tls.min_version),
        (true, Some(Version::Tls13))
    );
}

#[test]
fn enrollment_is_for_what_tls_uses() {
    let check = |text: &str, dir: &str, name: &str| {
        let (config, warnings) = load(text);
        assert_eq!(warnings, [""; 0]);
        let enroll = config.enroll.unwrap();
        assert_eq!(enroll.ssl_dir, SslDir::new(dir, name), "{text}");
        enroll
    };
    let tls = "tls: {scheme: puppet, identity: usdc1.example.net, ssl_dir: ssl}\n";
    let here = "/etc/prometheus-streams/ssl";
    let enroll = check(&format!("{tls}enroll: {{}}\n"), here, "usdc1.example.net");
    assert_eq!(enroll, enroll::Settings::new(enroll.ssl_dir.clone()));
    check(&format!("{tls}enroll: {{identity: a}}\n"), here, "a");
    check("identity: b\nenroll: {ssl_dir: /x}\n", "/x", "b");
    let enroll = check(
        "identity: b\n\
         enroll: {ca: 'ca.example.net:8141', ssl_dir: /x, ca_file: ca.pem, wait: 5s, \
         renew_before: 10d, crl_refresh: 1h, extensions: {pp_role: poller}, \
         dns_alt_names: [nats, 'IP:192.0.2.1'], challenge_file: challenge}\n",
        "/x",
        "b",
    );
    let mut attributes = enroll::Attributes::default();
    attributes.add_extension("pp_role=poller").unwrap();
    attributes.add_alt_name("nats").unwrap();
    attributes.add_alt_name("IP:192.0.2.1").unwrap();
    attributes.set_challenge(Secret::File("/etc/prometheus-streams/challenge".into()));
    let expected = enroll::Settings {
        ca: "ca.example.net:8141".parse().unwrap(),
        trust: enroll::Trust::File("/etc/prometheus-streams/ca.pem".into()),
        attributes,
        wait: Duration::from_secs(5),
        renew_before: Duration::from_secs(10 * 24 * 3600),
        refresh: Duration::from_secs(3600),
        ssl_dir: enroll.ssl_dir.clone(),
    };
    assert_eq!(enroll, expected);
}

#[test]
fn an_http_client_is_authorized_as_in_prometheus() {
    #[track_caller]
    fn check(text: &str, expected: &http::Auth) {
        let (config, _) = load(&format!("push_gateway: {{url: 'http://a', {text}}}\n"));
        assert_eq!(
            config.push_gateway.unwrap().http.auth.as_ref(),
            Some(expected),
            "{text}"
        );
        let (config, _) = load(&format!("remote_write: [{{url: 'http://a', {text}}}]\n"));
        assert_eq!(
            config.remote_write[0].http.auth.as_ref(),
            Some(expected),
            "{text}"
        );
    }
    let file = Secret::File("/etc/prometheus-streams/secret".into());
    let credentials = |scheme: &str, credentials: &Secret| http::Auth::Credentials {
        scheme: scheme.to_owned(),
        credentials: credentials.clone(),
    };
    let basic = |username: &Secret, password: Option<Secret>| http::Auth::Basic {
        username: username.clone(),
        password,
    };
    let me = inline("me");
    check(
        "basic_auth: {username: me, password: pw}",
        &basic(&me, Some(inline("pw"))),
    );
    check(
        "basic_auth: {username: me, password_file: secret}",
        &basic(&me, Some(file.clone())),
    );
    check("basic_auth: {username_file: secret}", &basic(&file, None));
    check("bearer_token: t", &credentials("Bearer", &inline("t")));
    check("bearer_token_file: secret", &credentials("Bearer", &file));
    check(
        "authorization: {credentials: t}",
        &credentials("Bearer", &inline("t")),
    );
    check(
        "authorization: {type: Token, credentials_file: secret}",
        &credentials("Token", &file),
    );
}

#[test]
fn the_way_to_a_server_is_read_as_in_prometheus() {
    let (config, warnings) = load(
        "remote_write:\n\
         - url: https://a/write\n\
         \x20 proxy_url: socks5h://me:pw@proxy:1080\n\
         \x20 no_proxy: 10.0.0.0/8,.example.net\n\
         \x20 proxy_connect_header: {X-Pass: [a, b]}\n\
         \x20 http_headers: {X-One: {values: [a], secrets: [b], files: [c]}}\n\
         \x20 headers: {X-Zero: z}\n\
         \x20 follow_redirects: false\n\
         \x20 enable_http2: false\n\
         \x20 tls_config: {min_version: TLS10}\n\
         - url: https://b/write\n\
         \x20 proxy_from_environment: true\n\
         \x20 follow_redirects: true\n\
         \x20 http_headers: {X-None: {}}\n\
         - url: https://c/write\n\
         \x20 proxy_url: ''\n",
    );
    let http = &config.remote_write[0].http;
    let url = url::Url::parse("socks5h://me:pw@proxy:1080").unwrap();
    let pair = |name: &str, value: Secret| (name.to_owned(), value);
    let expected = http::Proxy {
        url: Some(url),
        no_proxy: Some("10.0.0.0/8,.example.net".to_owned()),
        from_environment: false,
        connect_header: vec![pair("X-Pass", inline("a")), pair("X-Pass", inline("b"))],
    };
    assert_eq!(http.proxy, expected);
    let file = Secret::File("/etc/prometheus-streams/c".into());
    let headers = [
        pair("X-Zero", inline("z")),
        pair("X-One", inline("a")),
        pair("X-One", inline("b")),
        pair("X-One", file),
    ];
    assert_eq!(http.headers, headers);
    assert!(!http.follow_redirects && !http.enable_http2);
    assert_eq!(http.tls.as_ref().unwrap().min_version, None);
    let http = &config.remote_write[1].http;
    assert!(http.proxy.from_environment && http.enable_http2);
    assert_eq!(config.remote_write[2].http, http::Settings::default());
    let expected = [
        "`TLS10` is never spoken",
        "`follow_redirects` has no effect",
        "`X-None` has no value",
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.contains(expected), "{warning}");
    }
}

#[test]
fn a_token_is_asked_for_as_in_prometheus() {
    let (config, _) = load(
        "push_gateway:\n\
         \x20 url: http://a\n\
         \x20 oauth2:\n\
         \x20   client_id: site\n\
         \x20   client_secret_file: secret\n\
         \x20   grant_type: client_credentials\n\
         \x20   scopes: [one, two]\n\
         \x20   token_url: https://login/token\n\
         \x20   endpoint_params: {audience: metrics}\n\
         \x20   tls_config: {server_name: other}\n\
         \x20   proxy_url: http://proxy\n",
    );
    let http = config.push_gateway.unwrap().http;
    let Some(http::Auth::OAuth2(oauth2)) = http.auth else {
        panic!("{:?}", http.auth);
    };
    let secret = Secret::File("/etc/prometheus-streams/secret".into());
    assert_eq!(
        (&*oauth2.client_id, &oauth2.client_secret),
        ("site", &secret)
    );
    assert_eq!(oauth2.scopes, ["one", "two"]);
    assert_eq!(oauth2.token_url.as_str(), "https://login/token");
    let params = [("audience".to_owned(), "metrics".to_owned())];
    assert_eq!(oauth2.endpoint_params, params);
    assert_eq!(oauth2.tls.unwrap().server_name.as_deref(), Some("other"));
    assert!(oauth2.proxy.url.is_some() && http.proxy.url.is_none());
}

#[test]
fn headers_and_tls_config_are_read() {
    let (config, _) = load(
        "remote_write:\n\
         - url: https://a/write\n\
         \x20 headers: {X-Scope-OrgID: 12, X-Key: {file: key}}\n\
         \x20 tls_config: {ca: PEM, cert: PEM, key_file: k, max_version: TLS12}\n",
    );
    let http = &config.remote_write[0].http;
    let key = Secret::File("/etc/prometheus-streams/key".into());
    let expected = [
        ("X-Scope-OrgID".to_owned(), inline("12")),
        ("X-Key".to_owned(), key),
    ];
    assert_eq!(http.headers, expected);
    let tls = http.tls.as_ref().unwrap();
    assert_eq!(tls.ca, Some(Pem::Inline("PEM".to_owned())));
    assert_eq!(
        tls.key,
        Some(Secret::File("/etc/prometheus-streams/k".into()))
    );
    assert_eq!(
        (tls.min_version, tls.max_version),
        (None, Some(Version::Tls12))
    );
}

#[test]
fn an_ssldir_names_its_files() {
    #[track_caller]
    fn check(text: &str, expected: &SslDir) {
        let (config, _) = load(text);
        let stream = config.poller_stream.unwrap();
        let tls = stream.tls.unwrap();
        assert_eq!(tls, expected.settings());
        assert!(stream.tls_first);
    }
    let stream = "poller_stream: {urls: a, tls_first: true}\n";
    let tls = "tls: {scheme: puppet, identity: prom.example.net, ssl_dir: /etc/ssl}\n";
    let expected = SslDir::new("/etc/ssl", "prom.example.net");
    check(&format!("{tls}{stream}"), &expected);
    let short = "identity: usdc1.example.net\ntls: {scheme: puppet}\n";
    let expected = SslDir::new(SslDir::default_dir(), "usdc1.example.net");
    check(&format!("{short}{stream}"), &expected);
}
