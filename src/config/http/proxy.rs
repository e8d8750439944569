//! The way that requests take: `proxy_url` and what belongs to it.

use url::Url;

use super::headers;
use crate::config::block::{Block, Value};
use crate::config::problem::Report;
use crate::http::Proxy;

const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// Reads the four keys, by Prometheus's rules on what may stand beside what.
pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Proxy {
    let is_given = |key: &str, report: &mut Report| block.text(key, report).is_some();
    let has_url = is_given("proxy_url", report);
    let url = block.value("proxy_url").filter(|_| has_url);
    let url = url.and_then(|value| address(&value, report));
    let no_proxy = block.text("no_proxy", report);
    let from_environment = block.boolean("proxy_from_environment", report);
    let from_environment = from_environment.unwrap_or(false);
    let connect_header = headers::of_proxy(block, report);
    let mut check = |is_wrong: bool, key: &str, what: &str, remedy: &str| {
        if is_wrong && let Some(place) = block.place_of(key) {
            report.problem(&place, what, remedy);
        }
    };
    check(
        from_environment && has_url,
        "proxy_url",
        "if proxy_from_environment is configured, proxy_url must not be configured",
        "keep one of them",
    );
    check(
        from_environment && no_proxy.is_some(),
        "no_proxy",
        "if proxy_from_environment is configured, no_proxy must not be configured",
        "set `NO_PROXY` in the environment instead",
    );
    check(
        !from_environment && !has_url && no_proxy.is_some(),
        "no_proxy",
        "if no_proxy is configured, proxy_url must also be configured",
        "add `proxy_url`, or remove it",
    );
    check(
        !from_environment && !has_url && !connect_header.is_empty(),
        "proxy_connect_header",
        "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
        "add one of them, or remove it",
    );
    Proxy {
        url,
        no_proxy: no_proxy.map(str::to_owned),
        from_environment,
        connect_header,
    }
}

/// Parses a proxy's address; the text is never shown, since it may hold a password.
fn address(value: &Value<'_>, report: &mut Report) -> Option<Url> {
    const REMEDY: &str =
        "write it as `http://host:port`, `https://…`, `socks5://…` or `socks5h://…`";
    const WRONG: &str = "its scheme is none of `http`, `https`, `socks5` and `socks5h`";
    value.url(&SCHEMES, WRONG, REMEDY, report)
}
