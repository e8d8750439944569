# @summary The value of one setting of a systemd unit; a list is written as one line each, `undef` not at all
type Prometheus_streams::Setting = Optional[Variant[Boolean, Integer, String, Array[String]]]
