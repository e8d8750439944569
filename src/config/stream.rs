//! `poller_stream` and `receiver_stream`: a NATS connection and its stream.

use std::ops::RangeInclusive;
use std::time::Duration;

use url::Host;

use super::block::{Block, Value};
use super::keys::{self, Keys};
use super::problem::Report;
use super::tls;
use crate::bus::{Auth, Settings, Storage};

const TOPIC: &str = "prometheus";
const STREAM: &str = "PROMETHEUS";
const MAX_AGE: Duration = Duration::from_secs(600);
/// JetStream knows "for ever" as zero, but a stream that nothing empties fills the disk.
const MAX_AGE_LEAST: Duration = Duration::from_secs(1);
/// JetStream's own limit.
const REPLICAS: RangeInclusive<u32> = 1..=5;
const PORT: u16 = 4222;

/// The longest name of a stream or consumer that NATS takes, since it becomes a file's name.
const NAME_MAX: usize = 255;

/// The longest topic: subjects have further tokens, and a server refuses lines above 4 KiB.
const TOPIC_MAX: usize = 512;

/// Servers in a list; the client tries them one after the other.
const URLS_MAX: usize = 100;

const URL_REMEDY: &str = "write `nats://host:4222`, `tls://host:4222` or `host:4222`";

/// Reads one of the two blocks; `identity` and `tls` stand at the top level.
pub(super) fn read(
    block: &Block<'_>,
    identity: &str,
    tls: Option<&crate::tls::Settings>,
    report: &mut Report,
) -> Settings {
    let own_tls = block.block("tls", &keys::TLS, report);
    let own_tls = own_tls.map(|block| tls::read(&block, identity, report));
    let replicas = block.integer("replicas", &REPLICAS, report).unwrap_or(1);
    let storage = [("file", Storage::File), ("memory", Storage::Memory)];
    Settings {
        urls: urls(block, report),
        topic: topic(block, report).unwrap_or(TOPIC).to_owned(),
        stream: stream(block, report).unwrap_or(STREAM).to_owned(),
        client_id: name(block, "client_id", report).map(str::to_owned),
        tls: own_tls.or_else(|| tls.cloned()),
        tls_first: block.boolean("tls_first", report).unwrap_or(false),
        auth: auth(block, report),
        manage: block.boolean("manage", report).unwrap_or(true),
        max_age: block
            .duration("max_age", MAX_AGE_LEAST, report)
            .unwrap_or(MAX_AGE),
        replicas: usize::try_from(replicas).unwrap_or(1),
        storage: block
            .choice("storage", &storage, report)
            .unwrap_or(Storage::File),
    }
}

/// Returns the keys of both blocks by name.
pub(super) fn keys_of(block: &str) -> &'static Keys {
    if block == keys::STREAM.block {
        &keys::STREAM
    } else {
        &keys::RECEIVER_STREAM
    }
}

fn urls(block: &Block<'_>, report: &mut Report) -> Vec<String> {
    let Some(value) = block.required("urls", URL_REMEDY, report) else {
        return Vec::new();
    };
    let before = report.count();
    let mut urls = Vec::new();
    let values = match &value.node.kind {
        super::yaml::Kind::Scalar(_) => vec![value],
        _ => value.items("a string or a list", report),
    };
    let mut given = 0_usize;
    for value in &values {
        let Some(text) = value.scalar("a URL", report) else {
            continue;
        };
        for url in text.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            given += 1;
            if given <= URLS_MAX {
                urls.extend(server(url, value, report));
            }
        }
    }
    let place = block
        .place_of("urls")
        .unwrap_or_else(|| block.place.clone());
    if given == 0 && report.count() == before {
        report.problem(&place, "`urls` has no server", URL_REMEDY);
    }
    if given > URLS_MAX {
        let what = format!("`urls` has more than {URLS_MAX} servers");
        report.problem(
            &place,
            what,
            "name some; the client learns of the others from them",
        );
    }
    urls
}

/// Completes one server's URL; user and password in it stay as they are and are never shown.
fn server(text: &str, value: &Value<'_>, report: &mut Report) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
    let why = match scheme {
        "nats" | "tls" => match server_address(rest) {
            Ok(address) => {
                if address.contains('@') {
                    report.inline_secret(&value.place);
                }
                return Some(format!("{scheme}://{address}"));
            }
            Err(why) => why,
        },
        "ws" | "wss" => "NATS over WebSocket is not supported",
        _ => "its scheme is neither `nats` nor `tls`",
    };
    let what = format!("`{}` is not a usable NATS URL: {why}", value.place.name);
    report.problem(&value.place, what, URL_REMEDY);
    None
}

fn server_address(text: &str) -> Result<String, &'static str> {
    let text = text.strip_suffix('/').unwrap_or(text);
    // A password may hold an `@`, a host cannot.
    let (user, address) = match text.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, text),
    };
    let is_bracketed = address.starts_with('[');
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !is_bracketed || host.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    if host.is_empty() {
        return Err("it has no host");
    }
    if !is_bracketed && host.contains(':') {
        return Err("an IPv6 address needs brackets, as in `nats://[::1]:4222`");
    }
    if host.contains('/') || port.is_some_and(|port| port.contains('/')) {
        return Err("it has a path");
    }
    let host = Host::parse(host).map_err(|_invalid| "its host is not valid")?;
    let port = match port {
        None => PORT,
        Some(port) => port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or("its port is not a number from 1 to 65535")?,
    };
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    Ok(format!("{user}{host}:{port}"))
}

fn topic<'a>(block: &Block<'a>, report: &mut Report) -> Option<&'a str> {
    const REMEDY: &str = "write tokens of letters, digits, `-` and `_`, separated by dots";
    let text = block.text("topic", report)?;
    let is_token =
        |token: &str| !token.is_empty() && token.chars().all(|c| !is_forbidden(c) && c != '.');
    // Subjects that begin with `$` belong to the server.
    let is_topic =
        text.len() <= TOPIC_MAX && !text.starts_with('$') && text.split('.').all(is_token);
    if !is_topic {
        let value = block.value("topic")?;
        value.refuse(text, "the beginning of a NATS subject", REMEDY, report);
    }
    is_topic.then_some(text)
}

fn stream<'a>(block: &Block<'a>, report: &mut Report) -> Option<&'a str> {
    if block.has("stream") {
        if block.text("cluster_id", report).is_some() {
            let why = "it has no meaning on JetStream, and `stream` is set";
            block.no_effect("cluster_id", why, report);
        }
        return name(block, "stream", report);
    }
    let name = name(block, "cluster_id", report)?;
    let place = block.place_of("cluster_id")?;
    let what = "`cluster_id` has no meaning on JetStream; it is used as the stream's name";
    report.warn(&place, what, format!("write `stream: {name}` instead"));
    Some(name)
}

/// Reads a name that NATS takes for streams and consumers.
fn name<'a>(block: &Block<'a>, key: &str, report: &mut Report) -> Option<&'a str> {
    const REMEDY: &str = "write letters, digits, `-` and `_` only";
    let text = block.text(key, report)?;
    let is_name = text.len() <= NAME_MAX && text.chars().all(|c| !is_forbidden(c) && c != '.');
    if !is_name {
        let expected = "a name that NATS takes";
        block.value(key)?.refuse(text, expected, REMEDY, report);
    }
    is_name.then_some(text)
}

/// What no token of a subject and no name may have.
fn is_forbidden(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '*' | '>' | '/' | '\\')
}

fn auth(block: &Block<'_>, report: &mut Report) -> Option<Auth> {
    let before = report.count();
    let user = block.text("user", report).map(str::to_owned);
    let password = block.secret_or_file("password", "password_file", report);
    if user.is_some() != password.is_some() && report.count() == before {
        let what = format!("`{}` needs both `user` and `password`", block.place.name);
        let remedy = "add the other one, `password_file` being as good as `password`";
        let given = ["user", "password", "password_file"];
        let place = given.into_iter().find_map(|key| block.place_of(key));
        report.problem(place.as_ref().unwrap_or(&block.place), what, remedy);
    }
    let token = block
        .secret_or_file("token", "token_file", report)
        .map(Auth::Token);
    let nkey = block.secret_file("nkey_file", report).map(Auth::NkeyFile);
    let credentials = block
        .secret_file("credentials_file", report)
        .map(Auth::CredentialsFile);
    let mut kinds: Vec<&str> = Vec::new();
    kinds.extend(user.as_ref().map(|_| "user"));
    kinds.extend(token.as_ref().map(|_| {
        if block.has("token") {
            "token"
        } else {
            "token_file"
        }
    }));
    kinds.extend(nkey.as_ref().map(|_| "nkey_file"));
    kinds.extend(credentials.as_ref().map(|_| "credentials_file"));
    if kinds.len() > 1 {
        block.at_most_one(&kinds, report);
    }
    let pair = user.zip(password);
    let pair = pair.map(|(user, password)| Auth::Password { user, password });
    pair.or(token).or(nkey).or(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn address(text: &str, expected: &str) {
        assert_eq!(server_address(text).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn completes_addresses() {
        address("nats.example.net", "nats.example.net:4222");
        address("nats.example.net/", "nats.example.net:4222");
        address("127.0.0.1:14222", "127.0.0.1:14222");
        address("[::1]", "[::1]:4222");
        address("[::1]:14222", "[::1]:14222");
        address("user:p@ss:word@host:1", "user:p@ss:word@host:1");
        address("token@[::1]", "token@[::1]:4222");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "", ":4222", "::1", "[::1", "[x]:1", "a:0", "a:70000", "a:b", "a:", "a/b", "a b",
        ] {
            assert!(server_address(text).is_err(), "{text}");
        }
    }
}
