# @summary TLS towards NATS
type Prometheus_streams::Tls = Variant[Prometheus_streams::FileSSL, Prometheus_streams::PuppetSSL]
