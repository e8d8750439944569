//! The keys of an HTTP client, as Prometheus names them.
//!
//! In: the block of a sink, a scrape configuration or a source of targets. Out: the client's
//! `Settings`, with Prometheus's rules on what may stand beside what. This module alone knows which
//! headers are reserved. It opens no file and shows no secret.

mod headers;
mod oauth2;
mod proxy;

use http::{HeaderName, HeaderValue};

use super::block::Block;
use super::problem::Report;
use super::{keys, tls};
use crate::http::{Auth, Settings};
use crate::model::Secret;

pub(super) const HEADER_VALUE: &str = "characters that an HTTP header cannot carry";

/// Reads the client's keys out of a sink's block.
pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Settings {
    let mut settings = read_client(block, report);
    settings
        .headers
        .splice(0..0, headers::of_sink(block, report));
    if block.has("follow_redirects") && settings.follow_redirects {
        let why = "what is written survives only some redirects, so none is followed";
        block.no_effect("follow_redirects", why, report);
    }
    settings
}

/// Reads the keys that every client has; the block's table of keys has to list them.
///
/// `basic_auth`, `authorization`, `bearer_token`, `bearer_token_file`, `oauth2`, `http_headers`,
/// `tls_config`, `proxy_url`, `no_proxy`, `proxy_from_environment`, `proxy_connect_header`,
/// `follow_redirects` and `enable_http2`.
pub(super) fn read_client(block: &Block<'_>, report: &mut Report) -> Settings {
    let tls = block.block("tls_config", &keys::TLS_CONFIG, report);
    Settings {
        auth: auth(block, report),
        tls: tls.map(|block| tls::read_tls_config(&block, report)),
        headers: headers::read(block, report),
        proxy: proxy::read(block, report),
        follow_redirects: block.boolean("follow_redirects", report).unwrap_or(true),
        enable_http2: block.boolean("enable_http2", report).unwrap_or(true),
    }
}

fn auth(block: &Block<'_>, report: &mut Report) -> Option<Auth> {
    let basic = block.block("basic_auth", &keys::BASIC_AUTH, report);
    let basic = basic.and_then(|block| basic_auth(&block, report));
    let authorization = block.block("authorization", &keys::AUTHORIZATION, report);
    let authorization = authorization.and_then(|block| credentials(&block, report));
    let oauth2 = block.block("oauth2", &keys::OAUTH2, report);
    let oauth2 = oauth2.and_then(|block| oauth2::read(&block, report));
    let bearer = block.secret_or_file("bearer_token", "bearer_token_file", report);
    if let Some(token) = &bearer {
        check_header_value(block, "bearer_token", token, report);
    }
    check_one_kind(block, report);
    let bearer = bearer.map(|credentials| Auth::Credentials {
        scheme: "Bearer".to_owned(),
        credentials,
    });
    let oauth2 = oauth2.map(|oauth2| Auth::OAuth2(Box::new(oauth2)));
    basic.or(authorization).or(oauth2).or(bearer)
}

/// Checks that there is at most one kind of authorization; points at the last of several.
fn check_one_kind(block: &Block<'_>, report: &mut Report) {
    const KEYS: [&str; 5] = [
        "basic_auth",
        "authorization",
        "oauth2",
        "bearer_token",
        "bearer_token_file",
    ];
    let has_bearer = block.has_any(&["bearer_token", "bearer_token_file"]);
    let others = ["basic_auth", "oauth2"].map(|key| block.has(key));
    let what = match (others, block.has("authorization"), has_bearer) {
        ([true, _] | [_, true], _, true) => {
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured"
        }
        (_, true, true) => "authorization is not compatible with bearer_token & bearer_token_file",
        ([true, true], _, _) | ([true, _] | [_, true], true, _) => {
            "at most one of basic_auth, oauth2 & authorization must be configured"
        }
        _ => return,
    };
    let places = KEYS.iter().filter_map(|key| block.place_of(key));
    if let Some(place) = places.max_by_key(|place| place.at) {
        report.problem(&place, what, "keep one of them");
    }
}

fn basic_auth(block: &Block<'_>, report: &mut Report) -> Option<Auth> {
    let before = report.count();
    let username = block.text_or_file("username", "username_file", report);
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
    let scheme = block.text("type", report).map_or("Bearer", str::trim);
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
