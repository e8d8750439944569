# @summary The name of a file of a secret
type Prometheus_streams::Secret_name = Pattern[/\A[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\z/]
