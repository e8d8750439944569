//! The keys of each kind of source.

use crate::config::keys::Keys;

/// Every kind, in the order of the documentation.
pub(in crate::config) const ALL: [&Keys; 3] = [&FILE_SD, &HTTP_SD, &DNS_SD];

pub(in crate::config) const DNS_SD: Keys = Keys {
    block: "dns_sd_configs",
    known: &["names", "type", "port", "refresh_interval"],
    foreign: &[("name", "write `names`, a list")],
};

pub(in crate::config) const FILE_SD: Keys = Keys {
    block: "file_sd_configs",
    known: &["files", "refresh_interval"],
    foreign: &[
        ("file", "write `files`, a list"),
        ("names", "write `files`"),
    ],
};

pub(in crate::config) const HTTP_SD: Keys = Keys {
    block: "http_sd_configs",
    known: &[
        "url",
        "refresh_interval",
        "basic_auth",
        "authorization",
        "bearer_token",
        "bearer_token_file",
        "oauth2",
        "http_headers",
        "tls_config",
        "proxy_url",
        "no_proxy",
        "proxy_from_environment",
        "proxy_connect_header",
        "follow_redirects",
        "enable_http2",
    ],
    foreign: &[("headers", "write `http_headers`")],
};
