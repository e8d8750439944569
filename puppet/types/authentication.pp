# @summary Who may manage, in the ancestor's form
type Prometheus_streams::Authentication = Struct[{
    Optional[insecure]  => Boolean,
    Optional[full]      => Array[String],
    Optional[read_only] => Array[String],
    Optional['Full']    => Array[String],
    Optional['RO']      => Array[String],
}]
