# @summary Labels with their values
type Prometheus_streams::Labels = Hash[String[1], String]
