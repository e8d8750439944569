//! Certificates: whom both clients trust, who they are, and what happens when files change.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};

use super::*;
use crate::tls::Version;

/// An authority of our own.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        tls::install_provider();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        Self {
            certificate,
            issuer,
        }
    }

    fn certify(&self, name: &str, last_year: i32) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn revoke(&self, serial: u64) -> String {
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2001, 1, 1),
            next_update: rcgen::date_time_ymd(2999, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: rcgen::date_time_ymd(2001, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    async fn serve(&self, name: &str, last_year: i32) -> (Server, Url) {
        let (certificate, key) = self.certify(name, last_year);
        serve(acceptor(&certificate, &key, &[])).await
    }

    fn trusting(&self) -> Settings {
        trusting(Pem::Inline(self.certificate.pem()))
    }
}

fn trusting(ca: Pem) -> Settings {
    let tls = tls::Settings {
        ca: Some(ca),
        ..tls::Settings::default()
    };
    Settings {
        tls: Some(tls),
        ..Settings::default()
    }
}

async fn serve(acceptor: TlsAcceptor) -> (Server, Url) {
    let server = Server::start_with(answer("200 OK", b"up 1\n"), Some(acceptor)).await;
    let url = Url::parse(&format!("https://{}/", server.address)).unwrap();
    (server, url)
}

/// Checks both clients against one server.
async fn check(settings: &Settings, url: &Url, is_good: bool) {
    let fetched = fetch_by(settings, url).await;
    let got = get_by(settings, url).await;
    if is_good {
        assert_eq!(fetched.unwrap(), "up 1\n");
        assert_eq!(got.unwrap().body, "up 1\n");
    } else {
        assert_eq!(fetched.unwrap_err().reason(), FailureReason::Tls);
        got.unwrap_err();
    }
}

#[tokio::test]
async fn a_certificate_must_be_of_the_authority_and_in_time_and_for_the_name() {
    let ours = Authority::new();
    let (_good, url) = ours.serve("127.0.0.1", 2999).await;
    check(&ours.trusting(), &url, true).await;
    check(&Authority::new().trusting(), &url, false).await;
    // The system's store knows nothing of it.
    check(&Settings::default(), &url, false).await;
    let (_expired, url) = ours.serve("127.0.0.1", 2001).await;
    check(&ours.trusting(), &url, false).await;
    let (_named, url) = ours.serve("target.example", 2999).await;
    check(&ours.trusting(), &url, false).await;
    let mut settings = ours.trusting();
    let tls = settings.tls.as_mut().unwrap();
    tls.server_name = Some("target.example".to_owned());
    check(&settings, &url, true).await;
    let mut careless = Authority::new().trusting();
    careless.tls.as_mut().unwrap().insecure_skip_verify = true;
    check(&careless, &url, true).await;
}

#[tokio::test]
async fn both_sides_must_speak_one_version() {
    let ours = Authority::new();
    let (certificate, key) = ours.certify("127.0.0.1", 2999);
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let old = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let (_old, url) = serve(TlsAcceptor::from(Arc::new(old))).await;
    let mut settings = ours.trusting();
    check(&settings, &url, true).await;
    settings.tls.as_mut().unwrap().max_version = Some(Version::Tls12);
    check(&settings, &url, true).await;
    settings.tls.as_mut().unwrap().max_version = None;
    settings.tls.as_mut().unwrap().min_version = Some(Version::Tls13);
    check(&settings, &url, false).await;
}

#[tokio::test]
async fn we_show_our_certificate_where_one_is_asked_for() {
    let ours = Authority::new();
    let (certificate, key) = ours.certify("127.0.0.1", 2999);
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ours.certificate.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots));
    let asking = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let (_asking, url) = serve(TlsAcceptor::from(Arc::new(asking))).await;
    let mut settings = ours.trusting();
    fetch_by(&settings, &url).await.unwrap_err();
    let (certificate, key) = ours.certify("poller.example", 2999);
    let tls = settings.tls.as_mut().unwrap();
    tls.cert = Some(Pem::Inline(certificate.pem()));
    tls.key = Some(secret(&key.serialize_pem()));
    check(&settings, &url, true).await;
}

#[tokio::test]
async fn an_authority_that_is_replaced_is_trusted_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let (_old, old_url) = old.serve("127.0.0.1", 2999).await;
    let (_new, new_url) = new.serve("127.0.0.1", 2999).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    // What tells the files apart may be no more than their lengths.
    std::fs::write(&path, old.certificate.pem()).unwrap();
    let settings = trusting(Pem::File(path.clone()));
    let fetcher = Fetcher::new(&settings).unwrap();
    let client = Client::build(settings, Duration::from_secs(10)).unwrap();
    let mut session = fetcher.session();
    session.fetch(fetching(&old_url)).await.unwrap();
    get(&client, old_url.clone()).await.unwrap();
    std::fs::write(&path, format!("{}\n\n", new.certificate.pem())).unwrap();
    session.fetch(fetching(&new_url)).await.unwrap();
    get(&client, new_url.clone()).await.unwrap();
    session.fetch(fetching(&old_url)).await.unwrap_err();
    std::fs::remove_file(&path).unwrap();
    let error = session.fetch(fetching(&new_url)).await.unwrap_err();
    assert_eq!(error.reason(), FailureReason::Tls);
    assert!(error.to_string().contains("ca.pem"), "{error}");
    get(&client, new_url).await.unwrap_err();
}

#[tokio::test]
async fn a_certificate_on_a_revocation_list_is_refused() {
    let ours = Authority::new();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(5));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ours.issuer).unwrap();
    let (_server, url) = serve(acceptor(&certificate, &key, &[])).await;
    for (serial, is_good) in [(4, true), (5, false)] {
        let mut settings = ours.trusting();
        let revoked = Some(Pem::Inline(ours.revoke(serial)));
        settings.tls.as_mut().unwrap().crl = revoked;
        check(&settings, &url, is_good).await;
    }
}

/// Shows the name that a target is asked for, and nothing else.
#[derive(Debug)]
struct Named(Arc<Mutex<Vec<String>>>);

impl rustls::server::ResolvesServerCert for Named {
    fn resolve(
        &self,
        hello: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default().to_owned();
        self.0.lock().unwrap().push(name);
        None
    }
}

#[tokio::test]
async fn a_target_is_asked_for_by_the_name_that_it_should_have() {
    let ours = Authority::new();
    let names = Arc::new(Mutex::new(Vec::new()));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Named(Arc::clone(&names))));
    let (_server, mut url) = serve(TlsAcceptor::from(Arc::new(config))).await;
    let mut settings = ours.trusting();
    fetch_by(&settings, &url).await.unwrap_err();
    url.set_host(Some("localhost")).unwrap();
    fetch_by(&settings, &url).await.unwrap_err();
    settings.tls.as_mut().unwrap().server_name = Some("target.example".to_owned());
    fetch_by(&settings, &url).await.unwrap_err();
    let names = names.lock().unwrap().clone();
    assert_eq!(names, ["", "localhost", "target.example"]);
}

#[test]
fn a_missing_authority_is_told_before_the_first_scrape() {
    let error = Fetcher::new(&trusting(Pem::File("/nowhere/ca.pem".into()))).unwrap_err();
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
}

#[tokio::test]
async fn http2_is_spoken_unless_it_is_switched_off() {
    let ours = Authority::new();
    let (certificate, key) = ours.certify("127.0.0.1", 2999);
    let acceptor = acceptor(&certificate, &key, &[b"h2", b"http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let io = hyper_util::rt::TokioIo::new(stream);
            let service = hyper::service::service_fn(|request: http::Request<_>| async move {
                let version = format!("{:?}\n", request.version());
                drop::<hyper::body::Incoming>(request.into_body());
                let body = http_body_util::Full::new(Bytes::from(version));
                Ok::<_, std::convert::Infallible>(http::Response::new(body))
            });
            if is_http2 {
                let executor = hyper_util::rt::TokioExecutor::new();
                let server = hyper::server::conn::http2::Builder::new(executor);
                tokio::spawn(server.serve_connection(io, service));
            } else {
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.serve_connection(io, service));
            }
        }
    });
    let mut settings = ours.trusting();
    for (enable_http2, expected) in [(true, "HTTP/2.0\n"), (false, "HTTP/1.1\n")] {
        settings.enable_http2 = enable_http2;
        assert_eq!(fetch_by(&settings, &url).await.unwrap(), expected);
        assert_eq!(get_by(&settings, &url).await.unwrap().body, expected);
    }
}
