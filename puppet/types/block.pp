# @summary A block of the configuration whose keys the program checks
type Prometheus_streams::Block = Hash[String[1], Prometheus_streams::Value]
