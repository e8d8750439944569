# @summary The name of a job, at most 1024 bytes
type Prometheus_streams::Job_name = String[1, 1024]
