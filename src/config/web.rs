//! The web configuration of our own pages, in the form that Prometheus and its exporters share.

use std::path::Path;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::block::{Block, Value};
use super::http::HEADER_VALUE;
use super::keys;
use super::problem::{Place, Report};
use super::tls::{max_version, min_version};
use super::values::{printable, shown};
use super::yaml::Kind;
use super::{LoadError, Problems, text_of, yaml};
use crate::admin::{PasswordHash, RateLimit, User, Web};
use crate::model::Secret;
use crate::tls::{CipherName, ClientAuth, Curve, Pem, ServerSettings};

/// Users: every one that is tried costs the time of a hash.
const USERS_MAX: usize = 1000;

/// Requests at once that a limit may let pass.
const BURST_RANGE: std::ops::RangeInclusive<u32> = 1..=1_000_000;

const CLIENT_AUTH: [(&str, ClientAuth); 6] = [
    ("NoClientCert", ClientAuth::None),
    ("RequestClientCert", ClientAuth::Request),
    ("RequireAnyClientCert", ClientAuth::RequireAny),
    ("RequireClientCert", ClientAuth::RequireAny),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
];

/// What Go still speaks, and we do not.
const OTHER_CIPHERS: [&str; 5] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
];

/// Suites of TLS 1.3, which Go takes in the list and speaks whether they stand there or not.
const CIPHERS_13: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// Reads a web configuration file.
pub fn web_config(path: &Path) -> Result<Web, LoadError> {
    let text = text_of(path)?;
    let mut report = Report::new(&path.to_string_lossy());
    if is_empty(&text) {
        return Ok(Web::default());
    }
    let root = yaml::parse(&text, &mut report);
    let web = root.and_then(|root| {
        let value = Value {
            place: Place::root(),
            node: &root,
        };
        let block = Block::open(&value, &keys::WEB, &mut report)?;
        Some(read(&block, &mut report))
    });
    let finished: Result<_, Problems> = report.finish();
    finished?;
    Ok(web.unwrap_or_default())
}

/// Tells whether a file says nothing, and so asks for nothing.
pub(super) fn is_empty(text: &str) -> bool {
    let document = crate::yaml::parse(text);
    document.root.is_none() && document.faults.is_empty()
}

/// Reads the top level.
pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Web {
    let tls = block.block("tls_server_config", &keys::TLS_SERVER_CONFIG, report);
    let tls = tls.and_then(|block| self::tls(&block, report));
    let http = block.block("http_server_config", &keys::HTTP_SERVER_CONFIG, report);
    let http2 = http.as_ref().and_then(|http| http.boolean("http2", report));
    let headers = http.and_then(|http| http.block("headers", &keys::WEB_HEADERS, report));
    let headers = headers.map(|headers| self::headers(&headers, report));
    let rate_limit = block.block("rate_limit", &keys::RATE_LIMIT, report);
    Web {
        tls,
        http2: http2.unwrap_or(true),
        headers: headers.unwrap_or_default(),
        users: users(block, report),
        rate_limit: rate_limit.and_then(|limit| self::rate_limit(&limit, report)),
    }
}

fn tls(block: &Block<'_>, report: &mut Report) -> Option<ServerSettings> {
    let before = report.count();
    let cert = pem(block, "cert", "cert_file", report);
    let key = block.secret_or_file("key", "key_file", report);
    let client_ca = pem(block, "client_ca", "client_ca_file", report);
    let client_auth = block.choice("client_auth_type", &CLIENT_AUTH, report);
    let has_any = cert.is_some() || key.is_some() || client_ca.is_some() || client_auth.is_some();
    let min_version = min_version(block, report);
    let max_version = max_version(block, report);
    let allowed = names(block, "client_allowed_sans", report);
    let cipher_suites = ciphers(block, report);
    let curve_preferences = curves(block, report);
    let prefer = block.boolean("prefer_server_cipher_suites", report);
    if !has_any || report.count() > before {
        return None;
    }
    let mut need = |what: &str, remedy: &str| report.problem(&block.place, what, remedy);
    let (Some(cert), Some(key)) = (cert, key) else {
        need(
            "`tls_server_config` needs a certificate and its key",
            "add `cert_file` and `key_file`",
        );
        return None;
    };
    let client_auth = client_auth.unwrap_or(ClientAuth::None);
    if client_ca.is_some() && client_auth == ClientAuth::None {
        need(
            "`tls_server_config` has a CA for clients, but asks for no certificate",
            "add `client_auth_type: RequireAndVerifyClientCert`",
        );
    }
    let is_required = matches!(
        client_auth,
        ClientAuth::RequireAny | ClientAuth::RequireAndVerify
    );
    if !allowed.is_empty() && !is_required {
        need(
            "`client_allowed_sans` needs every client to have a certificate",
            "add `client_auth_type: RequireAndVerifyClientCert`",
        );
    }
    if let (Some(least), Some(most)) = (min_version, max_version)
        && least > most
    {
        need(
            "`min_version` is newer than `max_version`",
            "leave one of them out",
        );
    }
    let settings = ServerSettings {
        cert,
        key,
        client_auth,
        client_ca,
        client_allowed_sans: allowed,
        min_version,
        max_version,
        cipher_suites,
        prefer_server_cipher_suites: prefer.unwrap_or(true),
        curve_preferences,
    };
    report.serves_tls(&block.place, &settings);
    Some(settings)
}

fn pem(block: &Block<'_>, key: &str, file_key: &str, report: &mut Report) -> Option<Pem> {
    match block.text_or_file(key, file_key, report)? {
        Secret::Inline(text) => Some(Pem::Inline(text.into())),
        Secret::File(path) => Some(Pem::File(path)),
    }
}

fn names(block: &Block<'_>, key: &str, report: &mut Report) -> Vec<String> {
    let Some(value) = block.value(key) else {
        return Vec::new();
    };
    let items = value.items("a list", report);
    let names = items
        .iter()
        .filter_map(|item| item.scalar("a string", report));
    names.map(str::to_owned).collect()
}

fn ciphers(block: &Block<'_>, report: &mut Report) -> Vec<CipherName> {
    let Some(value) = block.value("cipher_suites") else {
        return Vec::new();
    };
    let before = report.count();
    let mut ciphers = Vec::new();
    for item in value.items("a list", report) {
        let Some(text) = item.scalar("a cipher suite", report) else {
            continue;
        };
        if let Some(cipher) = CipherName::parse(text) {
            ciphers.push(cipher);
        } else if OTHER_CIPHERS.contains(&text) {
            let what = format!("`{text}` is never spoken");
            report.warn(&item.place, what, "take it out of the list");
        } else if !CIPHERS_13.contains(&text) {
            let remedy = "write a name such as `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`";
            item.refuse(text, "a cipher suite as Go calls it", remedy, report);
        }
    }
    if ciphers.is_empty() && report.count() == before {
        let what = "`cipher_suites` has none for TLS 1.2 that is spoken here";
        let remedy = "add one, or write `min_version: TLS13` in its place";
        report.problem(&value.place, what, remedy);
    }
    ciphers
}

fn curves(block: &Block<'_>, report: &mut Report) -> Vec<Curve> {
    let Some(value) = block.value("curve_preferences") else {
        return Vec::new();
    };
    let before = report.count();
    let mut curves = Vec::new();
    for item in value.items("a list", report) {
        match item.scalar("a curve", report) {
            None => {}
            Some("CurveP256") => curves.push(Curve::P256),
            Some("CurveP384") => curves.push(Curve::P384),
            Some("X25519") => curves.push(Curve::X25519),
            Some("CurveP521") => {
                let what = "`CurveP521` is never spoken";
                report.warn(&item.place, what, "take it out of the list");
            }
            Some(text) => {
                let expected = "`X25519` or `CurveP256` or `CurveP384`";
                item.refuse(text, expected, "write one of these", report);
            }
        }
    }
    if curves.is_empty() && report.count() == before {
        let what = "`curve_preferences` has none that is spoken here";
        report.problem(&value.place, what, "add `X25519`");
    }
    curves
}

/// Reads headers of answers; one without a value is not sent.
fn headers(block: &Block<'_>, report: &mut Report) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for key in keys::WEB_HEADERS.known {
        let Some(text) = block.text(key, report) else {
            continue;
        };
        let Some(value) = block.value(key) else {
            continue;
        };
        let choices: &[&str] = match *key {
            "X-Content-Type-Options" => &["nosniff"],
            "X-Frame-Options" => &["deny", "sameorigin"],
            _ => &[],
        };
        if !choices.is_empty() && !choices.contains(&text) {
            let expected = format!("`{}`", choices.join("` or `"));
            value.refuse(text, &expected, "write one of these", report);
            continue;
        }
        let pair = key.parse::<HeaderName>().ok();
        let pair = pair.zip(HeaderValue::from_str(text).ok());
        if pair.is_none() {
            let what = format!("`{key}` has {HEADER_VALUE}");
            report.problem(&value.place, what, "write it without them");
        }
        headers.extend(pair);
    }
    headers
}

/// Reads users with the hashes of their passwords; a hash is shown no more than a password.
fn users(block: &Block<'_>, report: &mut Report) -> Vec<User> {
    const REMEDY: &str = "write what `htpasswd -nBC 10 \"\"` prints behind the colon";
    let Some(value) = block.value("basic_auth_users") else {
        return Vec::new();
    };
    let entries = value.entries("a mapping", report);
    if entries.len() > USERS_MAX {
        let what = format!("there are more than {USERS_MAX} users");
        report.problem(&value.place, what, "put a proxy in front that knows them");
        return Vec::new();
    }
    let mut users = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = value.place.key(&entry.key, entry.at).at(entry.value.at);
        let Kind::Scalar(text) = &entry.value.kind else {
            let found = entry.value.describe();
            let name = printable(&entry.key);
            let what = format!("the password of user `{name}` must be a hash, not {found}");
            report.problem(&place, what, REMEDY);
            continue;
        };
        match PasswordHash::parse(text) {
            Ok(hash) => {
                // Who has it can try passwords at leisure.
                report.inline_secret(&value.place);
                users.push(User {
                    name: entry.key.to_string(),
                    hash,
                });
            }
            Err(why) => {
                let name = shown(&printable(&entry.key));
                let what = format!("the password of user `{name}` is {why}");
                report.problem(&place, what, REMEDY);
            }
        }
    }
    users
}

/// Reads a limit of requests; none without an interval.
fn rate_limit(block: &Block<'_>, report: &mut Report) -> Option<RateLimit> {
    let interval = block.duration("interval", Duration::ZERO, report);
    let burst = block.integer("burst", &BURST_RANGE, report);
    let interval = interval.filter(|interval| !interval.is_zero())?;
    if burst.is_none() && !block.has("burst") {
        let what = "`rate_limit` without `burst` lets no request pass";
        report.problem(&block.place, what, "add `burst: 1` or more");
    }
    Some(RateLimit {
        interval,
        burst: burst?,
    })
}
