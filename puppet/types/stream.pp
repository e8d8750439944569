# @summary Where a poller publishes, or a receiver reads
#
# `password`, `token`, `nkey` and `credentials` are written to files, which the configuration names.
# `cluster_id` has no meaning on JetStream; where `stream` is missing it names the stream.
type Prometheus_streams::Stream = Struct[{
    urls                       => Variant[String[1], Array[String[1], 1]],
    Optional[topic]            => String[1],
    Optional[client_id]        => Optional[String],
    Optional[cluster_id]       => String,
    Optional[stream]           => String[1],
    Optional[manage]           => Boolean,
    Optional[max_age]          => Prometheus_streams::Duration,
    Optional[replicas]         => Integer[1, 5],
    Optional[storage]          => Enum['file', 'memory'],
    Optional[tls]              => Optional[Prometheus_streams::Tls],
    Optional[tls_first]        => Boolean,
    Optional[user]             => String[1],
    Optional[password]         => Prometheus_streams::Secret,
    Optional[password_file]    => Stdlib::Unixpath,
    Optional[token]            => Prometheus_streams::Secret,
    Optional[token_file]       => Stdlib::Unixpath,
    Optional[nkey]             => Prometheus_streams::Secret,
    Optional[nkey_file]        => Stdlib::Unixpath,
    Optional[credentials]      => Prometheus_streams::Secret,
    Optional[credentials_file] => Stdlib::Unixpath,
}]
