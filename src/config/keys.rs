//! Every key there is, by block: what the reader takes, what the documentation lists.

pub(super) use super::web_keys::{
    HTTP_SERVER_CONFIG, RATE_LIMIT, TLS_SERVER_CONFIG, WEB, WEB_HEADERS,
};

/// The keys of one block.
#[derive(Debug)]
pub(super) struct Keys {
    /// The block as the documentation calls it; `*` stands for a name that the operator chooses.
    pub(super) block: &'static str,
    pub(super) known: &'static [&'static str],
    /// Keys that are right elsewhere or in Prometheus but not here, with what to do instead.
    pub(super) foreign: &'static [(&'static str, &'static str)],
}

/// Lists keys of a block, and behind them those of an HTTP client, which `http::read_client` reads.
macro_rules! client_and {
    ($($key:literal),* $(,)?) => {
        &[
            $($key,)*
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
        ]
    };
}
pub(super) use client_and;

const UNSUPPORTED: &str = "it is not supported here; remove it";
const NO_SECRET_MANAGER: &str = "there is no secret manager; name a file";
const OTHER_GRANT: &str = "only the grant `client_credentials` is supported; remove it";

const NOT_SCRAPING: &str =
    "it does not concern scraping; remove it, or name your prometheus.yml in `prometheus_config`";
const OTHER_DISCOVERY: &str = "this kind of discovery is not supported; serve the targets as JSON and use \
     `http_sd_configs`, or write them into files for `file_sd_configs`";

pub(super) const TOP: Keys = Keys {
    block: "",
    known: &[
        "identity",
        "verbose",
        "debug",
        "logfile",
        "strict",
        "scrape_interval",
        "scrape_timeout",
        "body_size_limit",
        "max_age",
        "site_timeout",
        "monitor_port",
        "monitor_address",
        "web_config",
        "external_labels",
        "poller_stream",
        "receiver_stream",
        "spool",
        "wire",
        "push_gateway",
        "remote_write",
        "tls",
        "enroll",
        "management",
        "jobs",
        "global",
        "scrape_configs",
        "scrape_config_files",
        "prometheus_config",
    ],
    foreign: &[
        ("alerting", NOT_SCRAPING),
        ("otlp", NOT_SCRAPING),
        ("remote_read", NOT_SCRAPING),
        ("rule_files", NOT_SCRAPING),
        ("runtime", NOT_SCRAPING),
        ("storage", NOT_SCRAPING),
        ("tracing", NOT_SCRAPING),
        (
            "urls",
            "write it under `poller_stream` or `receiver_stream`",
        ),
        ("targets", "write it under `jobs`, below the name of a job"),
    ],
};

pub(super) const STREAM: Keys = Keys {
    block: "poller_stream",
    known: STREAM_KEYS,
    foreign: STREAM_FOREIGN,
};

pub(super) const RECEIVER_STREAM: Keys = Keys {
    block: "receiver_stream",
    known: STREAM_KEYS,
    foreign: STREAM_FOREIGN,
};

const STREAM_KEYS: &[&str] = &[
    "urls",
    "topic",
    "client_id",
    "cluster_id",
    "stream",
    "manage",
    "max_age",
    "replicas",
    "storage",
    "tls",
    "tls_first",
    "user",
    "password",
    "password_file",
    "token",
    "token_file",
    "nkey_file",
    "credentials_file",
];

const STREAM_FOREIGN: &[(&str, &str)] = &[
    ("url", "write `urls`"),
    ("subject", "write `topic`"),
    ("username", "write `user`"),
    (
        "nkey",
        "put the seed into a file, and name it in `nkey_file`",
    ),
    (
        "credentials",
        "put them into a file, and name it in `credentials_file`",
    ),
];

pub(super) const TLS: Keys = Keys {
    block: "tls",
    known: &[
        "identity",
        "scheme",
        "ssl_dir",
        "ca",
        "cert",
        "key",
        "crl",
        "cache",
        "server_name",
        "insecure_skip_verify",
        "min_version",
    ],
    foreign: &[
        ("ca_file", "write `ca`"),
        ("cert_file", "write `cert`"),
        ("key_file", "write `key`"),
        ("crl_file", "write `crl`"),
    ],
};

pub(super) const WIRE: Keys = Keys {
    block: "wire",
    known: &["chain"],
    foreign: &[],
};

pub(super) const PUSH_GATEWAY: Keys = Keys {
    block: "push_gateway",
    known: client_and![
        "url",
        "publisher_label",
        "on_failure",
        "timeout",
        "concurrency",
        "min_backoff",
        "max_backoff",
        "headers",
    ],
    foreign: &[("remote_timeout", "write `timeout`")],
};

pub(super) const REMOTE_WRITE: Keys = Keys {
    block: "remote_write",
    known: client_and![
        "url",
        "name",
        "remote_timeout",
        "publisher_label",
        "write_relabel_configs",
        "send_exemplars",
        "send_native_histograms",
        "headers",
        "queue_config",
    ],
    foreign: &[
        ("timeout", "write `remote_timeout`"),
        ("external_labels", "write it at the top level"),
        ("protobuf_message", "remote write 1.0 is sent; remove it"),
        ("metadata_config", UNSUPPORTED),
        ("round_robin_dns", UNSUPPORTED),
        ("sigv4", UNSUPPORTED),
        ("azuread", UNSUPPORTED),
        ("google_iam", UNSUPPORTED),
    ],
};

pub(super) const BASIC_AUTH: Keys = Keys {
    block: "basic_auth",
    known: &["username", "username_file", "password", "password_file"],
    foreign: &[
        ("user", "write `username`"),
        ("username_ref", NO_SECRET_MANAGER),
        ("password_ref", NO_SECRET_MANAGER),
    ],
};

pub(super) const AUTHORIZATION: Keys = Keys {
    block: "authorization",
    known: &["type", "credentials", "credentials_file"],
    foreign: &[
        ("token", "write `credentials`"),
        ("credentials_ref", NO_SECRET_MANAGER),
    ],
};

pub(super) const OAUTH2: Keys = Keys {
    block: "oauth2",
    known: &[
        "client_id",
        "client_secret",
        "client_secret_file",
        "grant_type",
        "scopes",
        "token_url",
        "endpoint_params",
        "tls_config",
        "proxy_url",
        "no_proxy",
        "proxy_from_environment",
        "proxy_connect_header",
    ],
    foreign: &[
        ("client_secret_ref", NO_SECRET_MANAGER),
        ("client_certificate_key_id", OTHER_GRANT),
        ("client_certificate_key", OTHER_GRANT),
        ("client_certificate_key_file", OTHER_GRANT),
        ("client_certificate_key_ref", OTHER_GRANT),
        ("signature_algorithm", OTHER_GRANT),
        ("iss", OTHER_GRANT),
        ("audience", OTHER_GRANT),
        ("claims", OTHER_GRANT),
    ],
};

pub(super) const HTTP_HEADER: Keys = Keys {
    block: "http_headers.*",
    known: &["values", "secrets", "files"],
    foreign: &[
        ("value", "write `values`, a list"),
        ("secret", "write `secrets`, a list"),
        ("file", "write `files`, a list"),
    ],
};

pub(super) const TLS_CONFIG: Keys = Keys {
    block: "tls_config",
    known: &[
        "ca",
        "ca_file",
        "cert",
        "cert_file",
        "key",
        "key_file",
        "server_name",
        "insecure_skip_verify",
        "min_version",
        "max_version",
    ],
    foreign: &[
        ("ca_ref", NO_SECRET_MANAGER),
        ("cert_ref", NO_SECRET_MANAGER),
        ("key_ref", NO_SECRET_MANAGER),
    ],
};

pub(super) const QUEUE_CONFIG: Keys = Keys {
    block: "queue_config",
    known: &[
        "max_samples_per_send",
        "batch_send_deadline",
        "max_shards",
        "min_backoff",
        "max_backoff",
        "retry_on_http_429",
        "capacity",
        "min_shards",
    ],
    foreign: &[("sample_age_limit", "write `max_age` at the top level")],
};

pub(super) const HEADER: Keys = Keys {
    block: "headers.*",
    known: &["file"],
    foreign: &[],
};

pub(super) const JOB: Keys = Keys {
    block: "jobs.*",
    known: &[
        "targets",
        "scrape_interval",
        "scrape_timeout",
        "body_size_limit",
    ],
    foreign: &[
        (
            "static_configs",
            "write `targets`, a list of `name` and `url`",
        ),
        ("metrics_path", "write the path into each target's `url`"),
        ("scheme", "write the scheme into each target's `url`"),
    ],
};

pub(super) const TARGET: Keys = Keys {
    block: "jobs.*.targets",
    known: &["name", "url"],
    foreign: &[("labels", UNSUPPORTED)],
};

pub(super) const RELABEL: Keys = Keys {
    block: "relabel_configs",
    known: &[
        "source_labels",
        "separator",
        "regex",
        "modulus",
        "target_label",
        "replacement",
        "action",
    ],
    foreign: &[
        ("source_label", "write `source_labels`, a list"),
        ("if", "write `source_labels` and `regex`"),
        ("match", "write `source_labels` and `regex`"),
    ],
};

pub(super) const GLOBAL: Keys = Keys {
    block: "global",
    known: &[
        "scrape_interval",
        "scrape_timeout",
        "scrape_protocols",
        "evaluation_interval",
        "rule_query_offset",
        "query_log_file",
        "scrape_failure_log_file",
        "external_labels",
        "body_size_limit",
        "sample_limit",
        "target_limit",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
        "keep_dropped_targets",
        "metric_name_validation_scheme",
        "metric_name_escaping_scheme",
        "scrape_native_histograms",
        "convert_classic_histograms_to_nhcb",
        "always_scrape_classic_histograms",
        "extra_scrape_metrics",
    ],
    foreign: &[],
};

pub(super) const SCRAPE: Keys = Keys {
    block: "scrape_configs",
    known: client_and![
        "job_name",
        "scrape_interval",
        "scrape_timeout",
        "scrape_protocols",
        "fallback_scrape_protocol",
        "metrics_path",
        "scheme",
        "params",
        "honor_labels",
        "honor_timestamps",
        "track_timestamps_staleness",
        "enable_compression",
        "body_size_limit",
        "sample_limit",
        "target_limit",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
        "keep_dropped_targets",
        "metric_name_validation_scheme",
        "metric_name_escaping_scheme",
        "scrape_native_histograms",
        "always_scrape_classic_histograms",
        "convert_classic_histograms_to_nhcb",
        "native_histogram_bucket_limit",
        "native_histogram_min_bucket_factor",
        "extra_scrape_metrics",
        "scrape_failure_log_file",
        "static_configs",
        "file_sd_configs",
        "http_sd_configs",
        "dns_sd_configs",
        "consul_sd_configs",
        "nomad_sd_configs",
        "puppetdb_sd_configs",
        "kubernetes_sd_configs",
        "relabel_configs",
        "metric_relabel_configs",
    ],
    foreign: &[
        ("targets", "write it under `static_configs`"),
        (
            "labels",
            "write it under `static_configs`, beside `targets`",
        ),
        ("write_relabel_configs", "write it under `remote_write`"),
        ("aws_sd_configs", OTHER_DISCOVERY),
        ("azure_sd_configs", OTHER_DISCOVERY),
        ("digitalocean_sd_configs", OTHER_DISCOVERY),
        ("docker_sd_configs", OTHER_DISCOVERY),
        ("dockerswarm_sd_configs", OTHER_DISCOVERY),
        ("ec2_sd_configs", OTHER_DISCOVERY),
        ("ecs_sd_configs", OTHER_DISCOVERY),
        ("elasticache_sd_configs", OTHER_DISCOVERY),
        ("eureka_sd_configs", OTHER_DISCOVERY),
        ("gce_sd_configs", OTHER_DISCOVERY),
        ("hetzner_sd_configs", OTHER_DISCOVERY),
        ("ionos_sd_configs", OTHER_DISCOVERY),
        ("kuma_sd_configs", OTHER_DISCOVERY),
        ("lightsail_sd_configs", OTHER_DISCOVERY),
        ("linode_sd_configs", OTHER_DISCOVERY),
        ("marathon_sd_configs", OTHER_DISCOVERY),
        ("msk_sd_configs", OTHER_DISCOVERY),
        ("nerve_sd_configs", OTHER_DISCOVERY),
        ("oci_sd_configs", OTHER_DISCOVERY),
        ("openstack_sd_configs", OTHER_DISCOVERY),
        ("outscale_sd_configs", OTHER_DISCOVERY),
        ("ovhcloud_sd_configs", OTHER_DISCOVERY),
        ("rds_sd_configs", OTHER_DISCOVERY),
        ("scaleway_sd_configs", OTHER_DISCOVERY),
        ("serverset_sd_configs", OTHER_DISCOVERY),
        ("stackit_sd_configs", OTHER_DISCOVERY),
        ("triton_sd_configs", OTHER_DISCOVERY),
        ("uyuni_sd_configs", OTHER_DISCOVERY),
        ("vultr_sd_configs", OTHER_DISCOVERY),
    ],
};

pub(super) const STATIC: Keys = Keys {
    block: "static_configs",
    known: &["targets", "labels"],
    foreign: &[],
};

/// A file that `scrape_config_files` names.
pub(super) const SCRAPE_FILE: Keys = Keys {
    block: "scrape_config_files",
    known: &["scrape_configs"],
    foreign: &[(
        "global",
        "write it into the file that names this one; it holds here, too",
    )],
};

/// A whole `prometheus.yml`.
pub(super) const PROMETHEUS: Keys = Keys {
    block: "prometheus_config",
    known: &[
        "global",
        "scrape_configs",
        "scrape_config_files",
        "remote_write",
        "alerting",
        "otlp",
        "remote_read",
        "rule_files",
        "runtime",
        "storage",
        "tracing",
    ],
    foreign: &[],
};

/// What has no meaning here in a `prometheus.yml`.
pub(super) const PROMETHEUS_IGNORED: &[&str] = &[
    "alerting",
    "otlp",
    "remote_read",
    "rule_files",
    "runtime",
    "storage",
    "tracing",
];

/// Every block with its keys, in the order of the documentation.
///
/// The last step of a path such as `remote_write[0].basic_auth.password` belongs to the block
/// that the step before it names.
pub fn known_keys() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    const ALL: [&Keys; 25] = [
        &TOP,
        &GLOBAL,
        &SCRAPE,
        &STATIC,
        &RELABEL,
        &JOB,
        &TARGET,
        &STREAM,
        &RECEIVER_STREAM,
        &TLS,
        &super::enroll::KEYS,
        &super::spool::KEYS,
        &WIRE,
        &PUSH_GATEWAY,
        &REMOTE_WRITE,
        &QUEUE_CONFIG,
        &BASIC_AUTH,
        &AUTHORIZATION,
        &OAUTH2,
        &HEADER,
        &HTTP_HEADER,
        &TLS_CONFIG,
        &TLS_SERVER_CONFIG,
        &HTTP_SERVER_CONFIG,
        &RATE_LIMIT,
    ];
    let discovery = super::discover::keys::ALL;
    let all = ALL.into_iter().chain(discovery);
    all.map(|keys| (keys.block, keys.known))
}
