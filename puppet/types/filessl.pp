# @summary TLS with certificates in files that are named one by one
type Prometheus_streams::FileSSL = Struct[{
    Optional[scheme]               => Enum['file', 'manual'],
    Optional[identity]             => String,
    Optional[ca]                   => Stdlib::Unixpath,
    Optional[cert]                 => Stdlib::Unixpath,
    Optional[key]                  => Stdlib::Unixpath,
    Optional[crl]                  => Stdlib::Unixpath,
    Optional[cache]                => String,
    Optional[server_name]          => String[1],
    Optional[insecure_skip_verify] => Boolean,
    Optional[min_version]          => Enum['TLS12', 'TLS13'],
}]
