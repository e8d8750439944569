# @summary A format to ask for
type Prometheus_streams::Scrape_protocol = Enum[
  'PrometheusProto',
  'OpenMetricsText1.0.0',
  'OpenMetricsText0.0.1',
  'PrometheusText1.0.0',
  'PrometheusText0.0.4'
]
