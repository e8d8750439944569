# @summary A target in the short form of `jobs`; without a name it is called by host and port
type Prometheus_streams::Target = Struct[{
    Optional[name] => Optional[String],
    url            => Variant[String[1], Sensitive[String[1]]],
}]
