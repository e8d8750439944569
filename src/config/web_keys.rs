//! The keys of the web configuration of our own pages.

use super::keys::Keys;

/// A web configuration, as every exporter takes it.
pub(super) const WEB: Keys = Keys {
    block: "web_config",
    known: &[
        "tls_server_config",
        "http_server_config",
        "basic_auth_users",
        "rate_limit",
    ],
    foreign: &[("tls_config", "write `tls_server_config`")],
};

pub(super) const TLS_SERVER_CONFIG: Keys = Keys {
    block: "tls_server_config",
    known: &[
        "cert",
        "cert_file",
        "key",
        "key_file",
        "client_auth_type",
        "client_ca",
        "client_ca_file",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "prefer_server_cipher_suites",
        "curve_preferences",
    ],
    foreign: &[("ca_file", "write `client_ca_file`")],
};

pub(super) const HTTP_SERVER_CONFIG: Keys = Keys {
    block: "http_server_config",
    known: &["http2", "headers"],
    foreign: &[],
};

pub(super) const WEB_HEADERS: Keys = Keys {
    block: "http_server_config.headers",
    known: &[
        "Content-Security-Policy",
        "Strict-Transport-Security",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "X-XSS-Protection",
    ],
    foreign: &[],
};

pub(super) const RATE_LIMIT: Keys = Keys {
    block: "rate_limit",
    known: &["interval", "burst"],
    foreign: &[],
};
