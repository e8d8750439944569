# @summary A number of bytes with a unit, such as `256MB`; each unit is 1024 of the one before
type Prometheus_streams::Size = Pattern[/\A0\z/, /\A\d+([KMGTPE]i?)?B\z/]
