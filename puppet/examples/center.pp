# The center: one receiver that feeds a Mimir.
class { 'prometheus_streams':
  receiver         => true,
  log_file         => 'journal',
  max_age          => '10m',
  monitor_port     => 10000,
  monitor_address  => '127.0.0.1',
  nats_credentials => Sensitive('-----BEGIN NATS USER JWT-----'),
  receiver_stream  => {
    'urls'      => ['tls://nats1.example.net:4222', 'tls://nats2.example.net:4222'],
    'client_id' => 'center',
    'replicas'  => 3,
  },
  remote_write     => {
    'mimir' => {
      'url'             => 'https://mimir.example.net/api/v1/push',
      'publisher_label' => true,
      'basic_auth'      => { 'username' => 'federation', 'password' => Sensitive('…') },
    },
  },
  hardening        => { 'MemoryMax' => '2G' },
}
