# @summary How running programs get and renew a certificate by themselves: the block `enroll` of the configuration
type Prometheus_streams::Enrollment = Struct[{
    Optional[ca]             => Prometheus_streams::Ca,
    Optional[identity]       => Prometheus_streams::Certname,
    Optional[ssl_dir]        => Stdlib::Unixpath,
    Optional[ca_fingerprint] => Prometheus_streams::Fingerprint,
    Optional[ca_file]        => Stdlib::Unixpath,
    Optional[extensions]     => Hash[String[1], String[1]],
    Optional[dns_alt_names]  => Array[String[1]],
    Optional[challenge]      => Prometheus_streams::Secret,
    Optional[challenge_file] => Stdlib::Unixpath,
    Optional[renew_before]   => Prometheus_streams::Duration,
    Optional[crl_refresh]    => Prometheus_streams::Duration,
    Optional[wait]           => Prometheus_streams::Duration,
}]
