# @summary How running programs get and renew a certificate by themselves: the block `enroll` of the configuration
type Prometheus_streams::Enrollment = Struct[{
    Optional[ca]             => Prometheus_streams::Ca,
    Optional[identity]       => Prometheus_streams::Certname,
    Optional[ssl_dir]        => Stdlib::Unixpath,
    Optional[ca_fingerprint] => Prometheus_streams::Fingerprint,
    Optional[ca_file]        => Stdlib::Unixpath,
    Optional[csr_attributes] => Stdlib::Unixpath,
    Optional[renew_before]   => Prometheus_streams::Duration,
    Optional[crl_refresh]    => Prometheus_streams::Duration,
    Optional[wait]           => Prometheus_streams::Duration,
}]
