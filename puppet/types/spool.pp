# @summary Where a poller keeps frames on disk while it cannot publish them
type Prometheus_streams::Spool = Struct[{
    Optional[dir]      => Stdlib::Unixpath,
    Optional[max_size] => Prometheus_streams::Size,
    Optional[max_age]  => Prometheus_streams::Duration,
    Optional[fsync]    => Enum['batched', 'always', 'never'],
}]
