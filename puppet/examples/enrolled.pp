# A site whose certificate comes from the Puppet CA, under a name of its own.
$certname = "streams.${facts['networking']['fqdn']}"

prometheus_streams::enroll { $certname:
  ca         => 'puppet.example.net:8140',
  extensions => { 'pp_role' => 'metrics_poller' },
}

class { 'prometheus_streams':
  poller        => true,
  poller_stream => { 'urls' => 'tls://nats.usdc1.example.net:4222' },
  tls           => {
    'scheme'   => 'puppet',
    'identity' => $certname,
    'ssl_dir'  => '/var/lib/prometheus-streams/ssl',
  },
}
