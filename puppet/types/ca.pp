# @summary The address of a Puppet CA: a host, and maybe a port
type Prometheus_streams::Ca = Pattern[/\A[A-Za-z0-9._-]+(:\d{1,5})?\z/, /\A\[[0-9A-Fa-f:.]+\](:\d{1,5})?\z/]
