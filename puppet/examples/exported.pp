# On each node of a site: what its poller is to scrape.
@@prometheus_streams::scrape_job { "${facts['networking']['fqdn']} node":
  job_name => 'node',
  site     => 'USDC1',
  targets  => ["${facts['networking']['fqdn']}:9100"],
  labels   => { 'os' => $facts['os']['name'] },
}
