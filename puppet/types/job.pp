# @summary A job in the short form of `jobs`
type Prometheus_streams::Job = Struct[{
    targets                   => Array[Prometheus_streams::Target],
    Optional[scrape_interval] => Prometheus_streams::Duration,
    Optional[scrape_timeout]  => Prometheus_streams::Duration,
    Optional[body_size_limit] => Prometheus_streams::Size,
}]
