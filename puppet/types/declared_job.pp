# @summary The parameters of a `prometheus_streams::scrape_job`, as Hiera has them
type Prometheus_streams::Declared_job = Struct[{
    targets                   => Array[Prometheus_streams::Address, 1],
    Optional[job_name]        => Prometheus_streams::Job_name,
    Optional[labels]          => Prometheus_streams::Labels,
    Optional[site]            => String[1],
    Optional[metrics_path]    => String[1],
    Optional[scheme]          => Enum['http', 'https'],
    Optional[params]          => Hash[String[1], String],
    Optional[scrape_interval] => Prometheus_streams::Duration,
    Optional[scrape_timeout]  => Prometheus_streams::Duration,
    Optional[scrape_config]   => Prometheus_streams::Scrape_config,
    Optional[ensure]          => Enum['present', 'absent'],
}]
