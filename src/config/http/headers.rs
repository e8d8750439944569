//! `headers` of a sink, and `http_headers` of every client.

use http::{HeaderName, HeaderValue};

use super::HEADER_VALUE;
use crate::config::block::{Block, Value};
use crate::config::keys;
use crate::config::problem::{Place, Report};
use crate::config::values::printable;
use crate::config::yaml::{Entry, Kind};
use crate::model::Secret;

/// Headers that we, the protocol or the connection set.
const RESERVED_HEADERS: [&str; 19] = [
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
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

/// Reserved prefixes, in lower case.
const RESERVED_PREFIXES: [&str; 4] = [
    "proxy-",
    "x-prometheus-remote-read-",
    "x-prometheus-remote-write-",
    "x-prometheus-scrape-",
];

/// Headers of one request; a server refuses far fewer.
const HEADERS_MAX: usize = 100;

/// Reads `http_headers`: each name has lists of values, of secret values, and of files.
pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (name, value) in named(block, "http_headers", report) {
        let Some(block) = Block::open(&value, &keys::HTTP_HEADER, report) else {
            continue;
        };
        if !block.has_any(&["values", "secrets", "files"]) {
            let what = format!("`{}` has no value, so it is not sent", value.place.name);
            report.warn(&value.place, what, "add `values`, `secrets` or `files`");
        }
        for key in ["values", "secrets"] {
            for item in items(&block, key, report) {
                let secret = inline(&item, report);
                if key == "secrets" && secret.is_some() {
                    report.inline_secret(&item.place);
                }
                headers.extend(secret.map(|secret| (name.to_owned(), secret)));
            }
        }
        for item in items(&block, "files", report) {
            if let Some(path) = item.scalar("the path of a file", report) {
                let path = report.resolve(path);
                report.secret_file(&item.place, &path);
                headers.push((name.to_owned(), Secret::File(path)));
            }
        }
    }
    check_count(block, "http_headers", &mut headers, report);
    headers
}

/// Reads `headers`: each name has a value, or the name of a file that holds it.
pub(super) fn of_sink(block: &Block<'_>, report: &mut Report) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (name, value) in named(block, "headers", report) {
        let secret = header_value(&value, report);
        headers.extend(secret.map(|secret| (name.to_owned(), secret)));
    }
    check_count(block, "headers", &mut headers, report);
    headers
}

/// Reads `proxy_connect_header`: each name has a list of secret values.
pub(super) fn of_proxy(block: &Block<'_>, report: &mut Report) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    let Some(value) = block.value("proxy_connect_header") else {
        return headers;
    };
    for entry in value.entries("a mapping", report) {
        let place = value.place.key(&entry.key, entry.at);
        if header_name(entry, &place, report).is_none() {
            continue;
        }
        let value = Value {
            place: place.at(entry.value.at),
            node: &entry.value,
        };
        for item in value.items("a list", report) {
            let secret = inline(&item, report);
            report.inline_secret(&item.place);
            headers.extend(secret.map(|secret| (entry.key.to_string(), secret)));
        }
    }
    check_count(block, "proxy_connect_header", &mut headers, report);
    headers
}

fn check_count(
    block: &Block<'_>,
    key: &str,
    headers: &mut Vec<(String, Secret)>,
    report: &mut Report,
) {
    if headers.len() > HEADERS_MAX
        && let Some(value) = block.value(key)
    {
        let what = format!("`{key}` has more than {HEADERS_MAX} headers");
        report.problem(&value.place, what, "remove some");
        headers.clear();
    }
}

/// Returns the entries whose names can be configured.
fn named<'a>(block: &Block<'a>, key: &str, report: &mut Report) -> Vec<(&'a str, Value<'a>)> {
    let Some(value) = block.value(key) else {
        return Vec::new();
    };
    let mut known: Vec<HeaderName> = Vec::new();
    let mut named = Vec::new();
    for entry in value.entries("a mapping", report) {
        let place = value.place.key(&entry.key, entry.at);
        let Some(header) = header_name(entry, &place, report) else {
            continue;
        };
        let name = printable(&entry.key);
        if is_reserved(&header) {
            let what = format!("`{name}` is a reserved header; it must not be changed");
            let remedy = if header == http::header::AUTHORIZATION {
                "use `basic_auth` or `authorization`"
            } else {
                "remove it"
            };
            report.problem(&place, what, remedy);
            continue;
        }
        if known.contains(&header) {
            let what = format!("header `{name}` is given twice, in other letters");
            report.problem(&place, what, "remove one of them");
            continue;
        }
        known.push(header);
        let value = Value {
            place: place.at(entry.value.at),
            node: &entry.value,
        };
        named.push((&*entry.key, value));
    }
    named
}

fn header_name(entry: &Entry, place: &Place, report: &mut Report) -> Option<HeaderName> {
    let header = HeaderName::from_bytes(entry.key.as_bytes()).ok();
    if header.is_none() {
        let what = format!(
            "`{}` is not the name of an HTTP header",
            printable(&entry.key)
        );
        report.problem(place, what, "write letters, digits and `-`");
    }
    header
}

fn is_reserved(header: &HeaderName) -> bool {
    let name = header.as_str();
    let has_prefix = |prefix: &&str| name.starts_with(*prefix);
    RESERVED_HEADERS.contains(&name) || RESERVED_PREFIXES.iter().any(has_prefix)
}

fn items<'a>(block: &Block<'a>, key: &str, report: &mut Report) -> Vec<Value<'a>> {
    let value = block.value(key);
    value.map_or_else(Vec::new, |value| value.items("a list", report))
}

fn inline(value: &Value<'_>, report: &mut Report) -> Option<Secret> {
    let text = value.scalar("a string", report)?;
    if HeaderValue::from_str(text).is_err() {
        let what = format!("`{}` has {HEADER_VALUE}", value.place.name);
        report.problem(&value.place, what, "write it in one line");
        return None;
    }
    Some(Secret::Inline(text.into()))
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
            block.secret_file("file", report).map(Secret::File)
        }
        Kind::Null => Some(Secret::Inline("".into())),
        _ => inline(value, report),
    }
}
