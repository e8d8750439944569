//! `consul_sd_configs`

use std::time::Duration;

use url::Url;

use super::{refresh_interval, tag_separator, texts};
use crate::config::block::Block;
use crate::config::http;
use crate::config::problem::Report;
use crate::discover::Settings as Source;
use crate::discover::consul::Settings;
use crate::http::{Auth, Settings as Client};
use crate::model::Secret;

/// As in Prometheus.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// Where an agent listens that stands beside us.
const SERVER: &str = "localhost:8500";

/// Services and tags of one source: each service has a question of its own on the way.
const NAMES_MAX: usize = 10_000;

const SERVER_REMEDY: &str = "write the agent's address, such as `consul.example.com:8500`";

pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<Source> {
    let server = server(block, report);
    let mut client = http::read_client(block, report);
    let token = block.secret("token", report);
    check_token(block, report);
    add_user(block, &mut client, report);
    Some(Source::Consul(Box::new(Settings {
        token,
        datacenter: block.text("datacenter", report).map(str::to_owned),
        namespace: block.text("namespace", report).map(str::to_owned),
        partition: block.text("partition", report).map(str::to_owned),
        tag_separator: tag_separator(block, report),
        allow_stale: block.boolean("allow_stale", report).unwrap_or(true),
        refresh_interval: refresh_interval(block, REFRESH_INTERVAL, report),
        services: texts(block, "services", NAMES_MAX, report),
        tags: texts(block, "tags", NAMES_MAX, report),
        node_meta: node_meta(block, report),
        filter: block.text("filter", report).map(str::to_owned),
        health_filter: block.text("health_filter", report).map(str::to_owned),
        server: server?,
        http: client,
    })))
}

/// Reads the agent's address: host and port, or a whole URL as Consul's own client takes it.
fn server(block: &Block<'_>, report: &mut Report) -> Option<Url> {
    let schemes = [("http", "http"), ("https", "https")];
    let scheme = block.choice("scheme", &schemes, report);
    let scheme = scheme.unwrap_or("http");
    let prefix = block.text("path_prefix", report).unwrap_or_default();
    let prefix = prefix.trim_matches('/');
    let Some(value) = block.value("server") else {
        return Url::parse(&format!("{scheme}://{SERVER}/{prefix}")).ok();
    };
    let text = value.scalar("a string", report)?;
    let mut refuse = |what: &str| {
        report.problem(&value.place, what, SERVER_REMEDY);
        None
    };
    if text.trim().is_empty() {
        return refuse("consul SD configuration requires a server address");
    }
    let (scheme, rest) = match text.split_once("://") {
        None => (scheme, text),
        // TLS that was asked for is not taken back.
        Some(("http", rest)) => (scheme, rest),
        Some(("https", rest)) => ("https", rest),
        Some(("unix", _)) => return refuse("a Unix socket is not supported as `server`"),
        Some(_) => return refuse("the scheme of `server` is neither `http` nor `https`"),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    // A path in the address stands in place of the prefix.
    let path = if path.is_empty() { prefix } else { path };
    let url = Url::parse(&format!("{scheme}://{host}/{path}"));
    match url {
        Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) => Some(url),
        _ => refuse("`server` is not an address"),
    }
}

fn check_token(block: &Block<'_>, report: &mut Report) {
    const KEYS: [&str; 3] = ["token", "authorization", "oauth2"];
    if block.has("token") && block.has_any(&["authorization", "oauth2"]) {
        let places = KEYS.iter().filter_map(|key| block.place_of(key));
        if let Some(place) = places.max_by_key(|place| place.at) {
            let what = "at most one of consul SD token, authorization, or oauth2 can be configured";
            report.problem(&place, what, "keep one of them");
        }
    }
}

/// Reads `username` and `password`, which are another way to write `basic_auth`.
fn add_user(block: &Block<'_>, client: &mut Client, report: &mut Report) {
    let username = block.text("username", report);
    let password = block.secret("password", report);
    if username.is_none() && password.is_none() {
        return;
    }
    let place = block
        .place_of("username")
        .or_else(|| block.place_of("password"));
    if block.has("basic_auth") {
        let what = "at most one of consul SD configuration username and password and basic auth \
                    can be configured";
        let place = place.unwrap_or_else(|| block.place.clone());
        report.problem(&place, what, "keep `basic_auth`");
    } else if client.auth.is_some() {
        let what = "at most one of basic_auth, oauth2 & authorization must be configured";
        let place = place.unwrap_or_else(|| block.place.clone());
        report.problem(&place, what, "remove `username` and `password`");
    } else {
        client.auth = Some(Auth::Basic {
            username: Secret::Inline(username.unwrap_or_default().into()),
            password,
        });
    }
}

fn node_meta(block: &Block<'_>, report: &mut Report) -> Vec<(String, String)> {
    let Some(value) = block.value("node_meta") else {
        return Vec::new();
    };
    let entries = value.entries("a mapping", report);
    let mut pairs = Vec::with_capacity(entries.len());
    for entry in entries {
        let item = crate::config::block::Value {
            place: value.place.key(&entry.key, entry.value.at),
            node: &entry.value,
        };
        if let Some(text) = item.scalar("a string", report) {
            pairs.push((entry.key.to_string(), text.to_owned()));
        }
    }
    pairs
}
