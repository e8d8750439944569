//! The keys of an HTTP client, as Prometheus names them: authorization, headers, TLS.

use http::{HeaderName, HeaderValue};

use super::block::{Block, Value};
use super::keys;
use super::problem::Report;
use super::tls;
use super::values::printable;
use super::yaml::Kind;
use crate::http::{Auth, Settings};
use crate::model::Secret;

/// Headers that we, the protocol or the connection set.
const RESERVED_HEADERS: [&str; 16] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "www-authenticate",
];

/// Reserved prefixes, in lower case.
const RESERVED_PREFIXES: [&str; 2] = ["proxy-", "x-prometheus-remote-write-"];

/// Headers of one request; a server refuses far fewer.
const HEADERS_MAX: usize = 100;

const HEADER_VALUE: &str = "characters that an HTTP header cannot carry";

/// Reads the client's keys out of a sink's block.
pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Settings {
    let tls = block.block("tls_config", &keys::TLS_CONFIG, report);
    Settings {
        auth: auth(block, report),
        tls: tls.map(|block| tls::read_tls_config(&block, report)),
        headers: headers(block, report),
    }
}

fn auth(block: &Block<'_>, report: &mut Report) -> Option<Auth> {
    let basic = block.block("basic_auth", &keys::BASIC_AUTH, report);
    let basic = basic.and_then(|block| basic_auth(&block, report));
    let authorization = block.block("authorization", &keys::AUTHORIZATION, report);
    let authorization = authorization.and_then(|block| credentials(&block, report));
    let bearer = block.secret_or_file("bearer_token", "bearer_token_file", report);
    if let Some(token) = &bearer {
        check_header_value(block, "bearer_token", token, report);
    }
    let has_bearer = block.has_any(&["bearer_token", "bearer_token_file"]);
    let (last, what) = match (
        block.has("basic_auth"),
        block.has("authorization"),
        has_bearer,
    ) {
        (true, _, true) => (
            ["basic_auth", "bearer_token", "bearer_token_file"].as_slice(),
            "at most one of basic_auth, bearer_token & bearer_token_file must be configured",
        ),
        (_, true, true) => (
            ["authorization", "bearer_token", "bearer_token_file"].as_slice(),
            "authorization is not compatible with bearer_token & bearer_token_file",
        ),
        (true, true, false) => (
            ["basic_auth", "authorization"].as_slice(),
            "at most one of basic_auth & authorization must be configured",
        ),
        _ => ([].as_slice(), ""),
    };
    let places = last.iter().filter_map(|key| block.place_of(key));
    if let Some(place) = places.max_by_key(|place| place.at) {
        report.problem(&place, what, "keep one of them");
    }
    let bearer = bearer.map(|credentials| Auth::Credentials {
        scheme: "Bearer".to_owned(),
        credentials,
    });
    basic.or(authorization).or(bearer)
}

fn basic_auth(block: &Block<'_>, report: &mut Report) -> Option<Auth> {
    let before = report.count();
    let username = block.secret_or_file("username", "username_file", report);
    let password = block.secret_or_file("password", "password_file", report);
    if let Some(Secret::Inline(name)) = &username
        && name.contains(':')
        && let Some(value) = block.value("username")
    {
        let what = "`username` has a colon, which basic authorization cannot carry";
        report.problem(&value.place, what, "write the name alone");
    }
    if username.is_none() && password.is_none() {
        if report.count() == before {
            let remedy = "add `username` and `password` or `password_file`";
            report.problem(&block.place, "`basic_auth` is empty", remedy);
        }
        return None;
    }
    let username = username.unwrap_or_else(|| Secret::Inline("".into()));
    Some(Auth::Basic { username, password })
}

fn credentials(block: &Block<'_>, report: &mut Report) -> Option<Auth> {
    let scheme = block.text("type", report).unwrap_or("Bearer");
    if let Some(value) = block.value("type") {
        if scheme.eq_ignore_ascii_case("basic") {
            let what = "authorization type cannot be set to `basic`";
            report.problem(&value.place, what, "use `basic_auth` instead");
        } else if HeaderName::from_bytes(scheme.as_bytes()).is_err() {
            // Not shown: it may well be followed by the token.
            let what = "`type` must be one word";
            report.problem(&value.place, what, "write a name such as `Bearer` alone");
        }
    }
    let before = report.count();
    let credentials = block.secret_or_file("credentials", "credentials_file", report);
    if credentials.is_none() && report.count() == before {
        let remedy = "add `credentials` or `credentials_file`";
        report.problem(&block.place, "`authorization` needs `credentials`", remedy);
    }
    let credentials = credentials?;
    check_header_value(block, "credentials", &credentials, report);
    Some(Auth::Credentials {
        scheme: scheme.to_owned(),
        credentials,
    })
}

fn check_header_value(block: &Block<'_>, key: &str, secret: &Secret, report: &mut Report) {
    if let Secret::Inline(text) = secret
        && HeaderValue::from_str(text).is_err()
        && let Some(value) = block.value(key)
    {
        let what = format!("`{key}` has {HEADER_VALUE}");
        report.problem(&value.place, what, "write it in one line");
    }
}

fn headers(block: &Block<'_>, report: &mut Report) -> Vec<(String, Secret)> {
    let Some(value) = block.value("headers") else {
        return Vec::new();
    };
    let entries = value.entries("a mapping", report);
    if entries.len() > HEADERS_MAX {
        let what = format!("`headers` has more than {HEADERS_MAX} headers");
        report.problem(&value.place, what, "remove some");
        return Vec::new();
    }
    let mut headers: Vec<(String, Secret)> = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = value.place.key(&entry.key, entry.at);
        let name = printable(&entry.key);
        let Ok(header) = HeaderName::from_bytes(entry.key.as_bytes()) else {
            let what = format!("`{name}` is not the name of an HTTP header");
            report.problem(&place, what, "write letters, digits and `-`");
            continue;
        };
        let is_reserved = RESERVED_HEADERS.contains(&header.as_str())
            || RESERVED_PREFIXES
                .iter()
                .any(|prefix| header.as_str().starts_with(prefix));
        if is_reserved {
            let what = format!("`{name}` is a reserved header; it must not be changed");
            let remedy = if header == http::header::AUTHORIZATION {
                "use `basic_auth` or `authorization`"
            } else {
                "remove it"
            };
            report.problem(&place, what, remedy);
            continue;
        }
        if headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(&entry.key))
        {
            let what = format!("header `{name}` is given twice, in other letters");
            report.problem(&place, what, "remove one of them");
            continue;
        }
        let value = Value {
            place: place.at(entry.value.at),
            node: &entry.value,
        };
        let secret = header_value(&value, report);
        headers.extend(secret.map(|secret| (entry.key.to_string(), secret)));
    }
    headers
}

/// Reads a header's value, or the name of a file that holds it.
fn header_value(value: &Value<'_>, report: &mut Report) -> Option<Secret> {
    match &value.node.kind {
        Kind::Map(_) => {
            let block = Block::open(value, &keys::HEADER, report)?;
            block.required(
                "file",
                "write the path of a file that holds the value",
                report,
            )?;
            block.file("file", report).map(Secret::File)
        }
        Kind::Null => Some(Secret::Inline("".into())),
        _ => {
            let text = value.scalar("a string", report)?;
            if HeaderValue::from_str(text).is_err() {
                let what = format!("`{}` has {HEADER_VALUE}", value.place.name);
                report.problem(&value.place, what, "write it in one line");
                return None;
            }
            Some(Secret::Inline(text.into()))
        }
    }
}
