# @summary A name that a Puppet CA signs
type Prometheus_streams::Certname = Pattern[/\A[a-z0-9._-]+\z/]
