# @summary TLS with certificates in the layout of a Puppet agent's ssldir
type Prometheus_streams::PuppetSSL = Struct[{
    scheme                         => Enum['puppet'],
    Optional[identity]             => String[1],
    Optional[ssl_dir]              => Stdlib::Unixpath,
    Optional[cache]                => String,
    Optional[server_name]          => String[1],
    Optional[insecure_skip_verify] => Boolean,
    Optional[min_version]          => Enum['TLS12', 'TLS13'],
}]
