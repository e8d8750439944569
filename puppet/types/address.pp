# @summary The address of a target: `host`, `host:port` or `[IPv6]:port`, without scheme and path
type Prometheus_streams::Address = Pattern[/\A[^\s\/,?#@\[\]:]+(:\d{1,5})?\z/, /\A\[[0-9A-Fa-f:.%]+\](:\d{1,5})?\z/]
