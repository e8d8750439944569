# @summary Whatever can stand in the configuration: data, in which any part may be `Sensitive`
type Prometheus_streams::Value = Variant[
  Undef,
  Scalar,
  Sensitive,
  Deferred,
  Array[Prometheus_streams::Value],
  Hash[String[1], Prometheus_streams::Value]
]
