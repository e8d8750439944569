# @summary Management over NATS, in the ancestor's form
type Prometheus_streams::Management = Struct[{
    Optional[brokers]    => Variant[String[1], Array[String[1]]],
    Optional[name]       => String,
    Optional[identity]   => String,
    Optional[collective] => String,
    Optional[logfile]    => String,
    Optional[loglevel]   => Enum['debug', 'info', 'warn', 'error', 'fatal'],
    Optional[tls]        => Optional[Prometheus_streams::Tls],
    Optional[auth]       => Optional[Prometheus_streams::Authentication],
}]
