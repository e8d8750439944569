# @summary A duration as the program reads it: numbers with units in descending order, such as `1h30m` or `1.5s`
type Prometheus_streams::Duration = Pattern[
  /\A0\z/,
  /\A(?=\d)([\d.]+y)?([\d.]+w)?([\d.]+d)?([\d.]+h)?([\d.]+m)?([\d.]+s)?([\d.]+ms)?\z/
]
