# @summary Targets with the labels that they have in common
type Prometheus_streams::Static_config = Struct[{
    targets          => Array[Prometheus_streams::Address],
    Optional[labels] => Prometheus_streams::Labels,
}]
