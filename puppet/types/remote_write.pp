# @summary An endpoint of remote write, as in prometheus.yml
#
# In a hash the key is its name.
type Prometheus_streams::Remote_write = Struct[{
    url                              => Variant[String[1], Sensitive[String[1]]],
    Optional[name]                   => Pattern[/\A[A-Za-z0-9_-]+\z/],
    Optional[remote_timeout]         => Prometheus_streams::Duration,
    Optional[publisher_label]        => Boolean,
    Optional[write_relabel_configs]  => Array[Prometheus_streams::Block],
    Optional[send_exemplars]         => Boolean,
    Optional[send_native_histograms] => Boolean,
    Optional[headers]                => Prometheus_streams::Block,
    Optional[basic_auth]             => Prometheus_streams::Block,
    Optional[authorization]          => Prometheus_streams::Block,
    Optional[bearer_token]           => Prometheus_streams::Secret,
    Optional[bearer_token_file]      => String[1],
    Optional[oauth2]                 => Prometheus_streams::Block,
    Optional[http_headers]           => Prometheus_streams::Block,
    Optional[tls_config]             => Prometheus_streams::Block,
    Optional[proxy_url]              => Variant[String[1], Sensitive[String[1]]],
    Optional[no_proxy]               => String,
    Optional[proxy_from_environment] => Boolean,
    Optional[proxy_connect_header]   => Prometheus_streams::Block,
    Optional[follow_redirects]       => Boolean,
    Optional[enable_http2]           => Boolean,
    Optional[queue_config]           => Prometheus_streams::Block,
}]
