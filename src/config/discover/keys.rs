//! The keys of each kind of source.

use crate::config::keys::{Keys, client_and};

/// Every kind, in the order of the documentation.
pub(in crate::config) const ALL: [&Keys; 10] = [
    &FILE_SD,
    &HTTP_SD,
    &DNS_SD,
    &CONSUL_SD,
    &NOMAD_SD,
    &PUPPETDB_SD,
    &KUBERNETES_SD,
    &KUBERNETES_NAMESPACES,
    &KUBERNETES_SELECTOR,
    &KUBERNETES_ATTACH,
];

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
    known: client_and!["url", "refresh_interval",],
    foreign: &[("headers", "write `http_headers`")],
};

pub(in crate::config) const CONSUL_SD: Keys = Keys {
    block: "consul_sd_configs",
    known: client_and![
        "server",
        "path_prefix",
        "scheme",
        "token",
        "username",
        "password",
        "datacenter",
        "namespace",
        "partition",
        "services",
        "tags",
        "node_meta",
        "filter",
        "health_filter",
        "tag_separator",
        "allow_stale",
        "refresh_interval",
    ],
    foreign: &[
        (
            "token_file",
            "write `authorization` with `credentials_file`",
        ),
        ("headers", "write `http_headers`"),
        ("url", "write `server`"),
    ],
};

pub(in crate::config) const NOMAD_SD: Keys = Keys {
    block: "nomad_sd_configs",
    known: client_and![
        "server",
        "namespace",
        "region",
        "tag_separator",
        "allow_stale",
        "refresh_interval",
    ],
    foreign: &[
        ("headers", "write `http_headers`"),
        ("url", "write `server`"),
        (
            "token",
            "write `authorization`, or the header `X-Nomad-Token` under `http_headers`",
        ),
    ],
};

pub(in crate::config) const PUPPETDB_SD: Keys = Keys {
    block: "puppetdb_sd_configs",
    known: client_and![
        "url",
        "query",
        "include_parameters",
        "port",
        "refresh_interval",
    ],
    foreign: &[
        ("headers", "write `http_headers`"),
        ("server", "write `url`"),
    ],
};

pub(in crate::config) const KUBERNETES_SD: Keys = Keys {
    block: "kubernetes_sd_configs",
    known: client_and![
        "role",
        "api_server",
        "kubeconfig_file",
        "namespaces",
        "selectors",
        "attach_metadata",
    ],
    foreign: &[
        ("headers", "write `http_headers`"),
        ("refresh_interval", "changes are told at once; remove it"),
        ("kubeconfig", "write `kubeconfig_file`"),
        ("namespace", "write `namespaces`, with `names`"),
    ],
};

pub(in crate::config) const KUBERNETES_NAMESPACES: Keys = Keys {
    block: "kubernetes_sd_configs.namespaces",
    known: &["names", "own_namespace"],
    foreign: &[("name", "write `names`, a list")],
};

pub(in crate::config) const KUBERNETES_SELECTOR: Keys = Keys {
    block: "kubernetes_sd_configs.selectors",
    known: &["role", "label", "field"],
    foreign: &[],
};

pub(in crate::config) const KUBERNETES_ATTACH: Keys = Keys {
    block: "kubernetes_sd_configs.attach_metadata",
    known: &["node", "namespace", "deployment", "job", "cronjob"],
    foreign: &[],
};
