# @summary The SHA-256 sum of a certificate, in hexadecimal digits with or without colons
type Prometheus_streams::Fingerprint = Pattern[/\A(SHA256:)?\h{64}\z/, /\A(SHA256:|\(SHA256\) ?)?\h{2}(:\h{2}){31}\z/]
