# @summary How a poller encodes what it publishes
type Prometheus_streams::Wire = Struct[{
    Optional[chain] => Boolean,
}]
