//! A CA that answers as a Puppet server does, with the words of Puppet Server 7.9.5.
//!
//! Root and intermediate certificate, two revocation lists, and a policy that a test can change:
//! what is signed when, whether a second request or a renewal is taken, what goes wrong.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

const DAY: i64 = 24 * 3600;

/// A time so many seconds from now; its type is in no crate of ours.
macro_rules! time {
    ($seconds:expr) => {{
        let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
        let at = now.saturating_add_signed($seconds);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(at)
    }};
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A CA on a free port of 127.0.0.1; its certificate is for `localhost`.
#[derive(Clone)]
pub(crate) struct PuppetCa {
    pub(crate) port: u16,
    authority: Arc<Authority>,
    state: Arc<Mutex<State>>,
}

/// The keys and certificates of a CA.
struct Authority {
    root: Issuer,
    intermediate: Issuer,
}

/// What the CA does, and what it has.
pub(crate) struct State {
    /// Signs whatever comes.
    pub(crate) signs_at_once: bool,
    /// Takes a request for a name that has a certificate.
    pub(crate) takes_duplicates: bool,
    /// Renews as Puppet Server 8 does.
    pub(crate) renews: bool,
    /// From when until when certificates are good, in seconds from now.
    pub(crate) validity: (i64, i64),
    /// How long revocation lists are good, in seconds from now.
    pub(crate) list_validity: i64,
    /// Answers to give next in place of the right ones.
    pub(crate) answers: VecDeque<(u16, String)>,
    /// What was asked: method, path, and the name in the client's certificate.
    pub(crate) asked: Vec<String>,
    requests: HashMap<String, Vec<u8>>,
    signed: HashMap<String, Issued>,
    revoked: Vec<u64>,
    serial: u64,
    /// The revocation lists, and what they were made of.
    lists: ((usize, i64), String),
}

#[derive(Clone)]
struct Issued {
    pem: String,
    serial: u64,
}

impl PuppetCa {
    /// Starts a CA with keys of its own.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let authority = Arc::new(Authority::make());
        let state = State {
            signs_at_once: false,
            takes_duplicates: false,
            renews: false,
            validity: (-DAY, 5 * 365 * DAY),
            list_validity: 5 * 365 * DAY,
            answers: VecDeque::new(),
            asked: Vec::new(),
            requests: HashMap::new(),
            signed: HashMap::new(),
            revoked: Vec::new(),
            serial: 1,
            lists: ((0, 0), String::new()),
        };
        let ca = Self {
            port,
            authority,
            state: Arc::new(Mutex::new(state)),
        };
        tokio::spawn(ca.clone().serve(listener));
        ca
    }

    /// Returns where it is, as the command line takes it.
    pub(crate) fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Returns what it does and has, to look at or to change.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns its certificates as it hands them out: the intermediate one first.
    pub(crate) fn bundle(&self) -> String {
        let Authority { root, intermediate } = &*self.authority;
        format!("{}{}", intermediate.pem(), root.pem())
    }

    /// Returns its root certificate.
    pub(crate) fn root(&self) -> Vec<u8> {
        self.authority.root.der().to_vec()
    }

    /// Returns the certificate that signs.
    pub(crate) fn intermediate(&self) -> Vec<u8> {
        self.authority.intermediate.der().to_vec()
    }

    /// Signs a request that waits, as `puppetserver ca sign` does.
    pub(crate) fn sign(&self, name: &str) {
        let mut state = self.state();
        let request = state.requests.remove(name);
        let request = request.unwrap_or_else(|| panic!("there is no request for `{name}`"));
        let (_, parsed) = X509CertificationRequest::from_der(&request).unwrap();
        let info = &parsed.certification_request_info.subject_pki;
        let mut names = vec![name.to_owned()];
        for extension in parsed.requested_extensions().into_iter().flatten() {
            use x509_parser::extensions::{GeneralName, ParsedExtension};
            if let ParsedExtension::SubjectAlternativeName(found) = extension {
                names.extend(found.general_names.iter().filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                }));
            }
        }
        self.issue(&mut state, &names, info);
    }

    /// Issues a certificate for a key and a name without any request.
    pub(crate) fn issue_for(&self, name: &str, key: &KeyPair) -> String {
        let info = key.subject_public_key_info();
        let (_, info) = SubjectPublicKeyInfo::from_der(&info).unwrap();
        self.issue(&mut self.state(), &[name.to_owned()], &info);
        self.certificate(name).unwrap()
    }

    /// Returns the certificate of a name.
    pub(crate) fn certificate(&self, name: &str) -> Option<String> {
        self.state()
            .signed
            .get(name)
            .map(|issued| issued.pem.clone())
    }

    /// Revokes a certificate, as `puppetserver ca revoke` does.
    pub(crate) fn revoke(&self, name: &str) {
        let mut state = self.state();
        let serial = state.signed[name].serial;
        state.revoked.push(serial);
    }

    /// Revokes and forgets, as `puppetserver ca clean` does.
    pub(crate) fn clean(&self, name: &str) {
        let mut state = self.state();
        state.requests.remove(name);
        if let Some(issued) = state.signed.remove(name) {
            state.revoked.push(issued.serial);
        }
    }

    /// Tells whether a request waits.
    pub(crate) fn has_request(&self, name: &str) -> bool {
        self.state().requests.contains_key(name)
    }

    /// Returns both revocation lists; the same as long as nothing has changed.
    pub(crate) fn lists(&self) -> String {
        let mut state = self.state();
        let version = (state.revoked.len(), state.list_validity);
        if state.lists.0 != version {
            state.lists = (version, self.make_lists(&state));
        }
        state.lists.1.clone()
    }

    fn make_lists(&self, state: &State) -> String {
        let list = |issuer: &Issuer, revoked: &[u64]| {
            let revoked = revoked.iter().map(|serial| RevokedCertParams {
                serial_number: number(*serial),
                revocation_time: time!(0),
                reason_code: None,
                invalidity_date: None,
            });
            let list = CertificateRevocationListParams {
                this_update: time!(-2 * DAY),
                next_update: time!(state.list_validity),
                crl_number: number(u64::try_from(state.revoked.len()).unwrap() + 1),
                issuing_distribution_point: None,
                revoked_certs: revoked.collect(),
                key_identifier_method: rcgen::KeyIdMethod::Sha256,
            };
            list.signed_by(issuer).unwrap().pem().unwrap()
        };
        let Authority { root, intermediate } = &*self.authority;
        format!("{}{}", list(intermediate, &state.revoked), list(root, &[]))
    }

    fn issue(&self, state: &mut State, names: &[String], info: &SubjectPublicKeyInfo<'_>) {
        state.serial += 1;
        let (begin, end) = state.validity;
        let mut parameters = leaf(names, state.serial);
        parameters.not_before = time!(begin);
        parameters.not_after = time!(end);
        let issuer = &self.authority.intermediate;
        let certificate = parameters.signed_by(&Public::of(info), issuer).unwrap();
        let issued = Issued {
            pem: certificate.pem(),
            serial: state.serial,
        };
        state.signed.insert(names[0].clone(), issued);
    }

    async fn serve(self, listener: TcpListener) {
        let acceptor = self.authority.acceptor();
        while let Ok((stream, _)) = listener.accept().await {
            let (ca, acceptor) = (self.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let client = stream.get_ref().1.peer_certificates();
                let client = client
                    .and_then(|chain| chain.first())
                    .map(|leaf| leaf.as_ref().to_vec());
                let service = hyper::service::service_fn(move |request| {
                    let (ca, client) = (ca.clone(), client.clone());
                    async move { Ok::<_, Infallible>(ca.reply(request, client).await) }
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                // A client that goes away is none of our business.
                drop(serving.await);
            });
        }
    }

    async fn reply(
        &self,
        request: http::Request<Incoming>,
        client: Option<Vec<u8>>,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let path = head.uri.path().to_owned();
        let name = client.as_deref().map(name_of).unwrap_or_default();
        let mut state = self.state();
        state.asked.push(
            format!("{} {path} {name}", head.method)
                .trim_end()
                .to_owned(),
        );
        let answer = state.answers.pop_front();
        drop(state);
        let (status, words) = match answer {
            Some(answer) => answer,
            None => self.answer(&head.method, &path, &body.unwrap_or_default(), client),
        };
        let mut response = Response::new(Full::new(Bytes::from(words)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let headers = response.headers_mut();
        headers.insert("content-type", "text/plain".parse().unwrap());
        if (300..400).contains(&status) {
            headers.insert("location", "https://localhost:1/".parse().unwrap());
        }
        response
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        body: &[u8],
        client: Option<Vec<u8>>,
    ) -> (u16, String) {
        let rest = path.strip_prefix("/puppet-ca/v1/").unwrap_or_default();
        let (document, name) = rest.split_once('/').unwrap_or((rest, ""));
        match (method, document, name) {
            (&Method::GET, "certificate", "ca") => (200, self.bundle()),
            (&Method::GET, "certificate_revocation_list", _) => (200, self.lists()),
            (&Method::GET, "certificate", name) => match self.certificate(name) {
                Some(pem) => (200, pem),
                None => (404, format!("Could not find certificate {name}")),
            },
            (&Method::GET, "certificate_request", name) => match self.state().requests.get(name) {
                Some(der) => (200, pem("CERTIFICATE REQUEST", der)),
                None => (404, format!("Could not find certificate_request {name}")),
            },
            (&Method::PUT, "certificate_request", name) => self.submit(name, body),
            (&Method::POST, "certificate_renewal", "") => self.renew(client),
            _ => (404, "Not Found".to_owned()),
        }
    }

    fn submit(&self, name: &str, body: &[u8]) -> (u16, String) {
        let garbage = || {
            let words = "Internal Server Error: java.lang.IndexOutOfBoundsException: Index 0 out \
                         of bounds for length 0";
            (500, words.to_owned())
        };
        let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(body) else {
            return garbage();
        };
        let Ok((_, request)) = X509CertificationRequest::from_der(&pem.contents) else {
            return garbage();
        };
        request.verify_signature().unwrap();
        let subject = request.certification_request_info.subject.to_string();
        let subject = subject.trim_start_matches("CN=").to_owned();
        let mut state = self.state();
        let status = match state.signed.get(&subject) {
            Some(issued) if state.revoked.contains(&issued.serial) => Some("revoked"),
            Some(_) => Some("signed"),
            None if state.requests.contains_key(&subject) => Some("requested"),
            None => None,
        };
        if let Some(status) = status
            && !state.takes_duplicates
        {
            let words = format!(
                "{subject} already has a {status} certificate; ignoring certificate request"
            );
            return (400, words);
        }
        if subject != name {
            let words =
                format!("Instance name \"{subject}\" does not match requested key \"{name}\"");
            return (400, words);
        }
        if name.chars().any(char::is_uppercase) {
            return (400, "Certificate names must be lower case.".to_owned());
        }
        state.requests.insert(subject, pem.contents);
        if state.signs_at_once {
            drop(state);
            self.sign(name);
        }
        (200, String::new())
    }

    fn renew(&self, client: Option<Vec<u8>>) -> (u16, String) {
        let mut state = self.state();
        if !state.renews {
            let words = "Forbidden request: /puppet-ca/v1/certificate_renewal (method :post). \
                         Please see the server logs for details.";
            return (403, words.to_owned());
        }
        let Some(client) = client else {
            return (
                400,
                "No valid certificate found in renewal request".to_owned(),
            );
        };
        let (_, certificate) =
            x509_parser::certificate::X509Certificate::from_der(&client).unwrap();
        let name = name_of(&client);
        self.issue(
            &mut state,
            std::slice::from_ref(&name),
            certificate.public_key(),
        );
        (200, state.signed[&name].pem.clone())
    }
}

impl Authority {
    fn make() -> Self {
        let parameters = |name: &str, serial: u64| {
            let mut parameters = CertificateParams::default();
            parameters.distinguished_name = common_name(name);
            parameters.serial_number = Some(number(serial));
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            parameters.not_before = time!(-DAY);
            parameters.not_after = time!(15 * 365 * DAY);
            parameters
        };
        let key = || KeyPair::generate().unwrap();
        // As Puppet names them; the number tells one CA from another.
        let number = key();
        let unique = number.public_key_raw()[1..9]
            .iter()
            .map(|byte| format!("{byte:02x}"));
        let root = format!("Puppet Root CA: {}", unique.collect::<String>());
        let root = CertifiedIssuer::self_signed(parameters(&root, 1), key()).unwrap();
        let intermediate = parameters("Puppet CA: localhost", 2);
        let intermediate = CertifiedIssuer::signed_by(intermediate, key(), &root).unwrap();
        Self { root, intermediate }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let own: Certificate = leaf(&["localhost".to_owned(), "puppet".to_owned()], 1)
            .signed_by(&key, &self.intermediate)
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.der().clone()).unwrap();
        roots.add(self.intermediate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![own.der().clone()];
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// The public half of somebody's key.
struct Public {
    bits: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl Public {
    fn of(info: &SubjectPublicKeyInfo<'_>) -> Self {
        let is_rsa = info
            .algorithm
            .algorithm
            .to_id_string()
            .starts_with("1.2.840.113549.1.1.");
        Self {
            bits: info.subject_public_key.data.to_vec(),
            algorithm: if is_rsa {
                &rcgen::PKCS_RSA_SHA256
            } else {
                &rcgen::PKCS_ECDSA_P256_SHA256
            },
        }
    }
}

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

fn leaf(names: &[String], serial: u64) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = common_name(&names[0]);
    parameters.serial_number = Some(number(serial));
    for name in names {
        let name = name.as_str().try_into().unwrap();
        parameters.subject_alt_names.push(SanType::DnsName(name));
    }
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn number(number: u64) -> SerialNumber {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    SerialNumber::from(bytes[zeros..].to_vec())
}

fn name_of(der: &[u8]) -> String {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).unwrap();
    certificate
        .subject()
        .to_string()
        .trim_start_matches("CN=")
        .to_owned()
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
