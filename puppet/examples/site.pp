# A site: a poller with a few targets of its own, and what the site's nodes export.
class { 'prometheus_streams':
  poller              => true,
  identity            => 'USDC1',
  scrape_interval     => '15s',
  poller_stream       => {
    'urls'      => 'tls://nats.usdc1.example.net:4222',
    'client_id' => 'usdc1_poller',
  },
  nats_credentials    => Sensitive('-----BEGIN NATS USER JWT-----'),
  jobs                => {
    'nats' => {
      'targets' => [
        { 'name' => 'nats1', 'url' => 'http://nats1.usdc1.example.net:7777/metrics' },
        { 'name' => 'nats2', 'url' => 'http://nats2.usdc1.example.net:7777/metrics' },
      ],
    },
  },
  collect_scrape_jobs => true,
}
