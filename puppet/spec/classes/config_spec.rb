# frozen_string_literal: true

require 'spec_helper'

describe 'prometheus_streams' do
  let(:facts) { Systems::DEBIAN_12 }

  context 'with everything that the program knows' do
    let(:params) do
      {
        poller: true,
        receiver: true,
        log_file: 'journal',
        poller_stream: { 'urls' => ['nats://a', 'nats://b'], 'stream' => 'S', 'replicas' => 3, 'tls_first' => true },
        receiver_stream: { 'urls' => 'nats://a' },
        scrape_timeout: '5s',
        body_size_limit: '10MB',
        site_timeout: '10m',
        monitor_address: '127.0.0.1',
        external_labels: { 'federation' => 'main' },
        global: { 'sample_limit' => 1000 },
        tls: { 'scheme' => 'puppet', 'ssl_dir' => '/srv/ssl' },
        enroll: { 'ca' => 'puppet.example.net:8140', 'renew_before' => '30d', 'challenge' => sensitive('c') },
        strict: true,
        spool: { 'max_size' => '2GB' },
        wire: { 'chain' => false },
        push_gateway: { 'url' => 'http://p:9091', 'on_failure' => 'keep' },
        scrape_config_files: ['/etc/more/*.yml'],
        prometheus_config: '/etc/prometheus/prometheus.yml',
        scrape_configs: {
          'db' => { 'static_configs' => [{ 'targets' => ['db1:9104'], 'labels' => { 'role' => 'db' } }] },
          'web' => { 'file_sd_configs' => [{ 'files' => ['/etc/web/*.json'] }], 'metrics_path' => '/m' },
        },
        remote_write: { 'mimir' => { 'url' => 'https://mimir/api', 'queue_config' => { 'max_shards' => 4 } } },
        exposition: { 'listen' => ':9099' },
        extra_config: { 'wire' => { 'level' => 3 }, 'scrape_timeout' => '6s', 'later' => ['x'] },
      }
    end

    it { is_expected.to compile.with_all_deps }

    it 'writes the keys in one order' do
      expect(configuration.keys).to eq %w[
        identity verbose debug strict scrape_interval scrape_timeout body_size_limit max_age site_timeout monitor_port
        monitor_address external_labels tls enroll poller_stream receiver_stream spool wire push_gateway remote_write
        exposition global prometheus_config scrape_config_files scrape_configs jobs later
      ] - ['jobs']
    end

    it 'turns hashes by names into lists' do
      expect(configuration['scrape_configs'].map { |job| job['job_name'] }).to eq %w[db web]
      expect(configuration['remote_write']).to eq [
        { 'name' => 'mimir', 'url' => 'https://mimir/api', 'queue_config' => { 'max_shards' => 4 } },
      ]
    end

    it 'keeps the spool in the state\'s folder' do
      expect(configuration['spool']).to eq('dir' => '/var/lib/prometheus-streams/spool', 'max_size' => '2GB')
    end

    it 'enrolls where TLS looks' do
      expect(configuration['enroll']).to eq(
        'ssl_dir' => '/srv/ssl', 'ca' => 'puppet.example.net:8140', 'renew_before' => '30d',
        'challenge_file' => '/etc/prometheus-streams/secrets/enroll.challenge'
      )
    end

    it 'merges the rest in the end' do
      expect(configuration['wire']).to eq('chain' => false, 'level' => 3)
      expect(configuration['scrape_timeout']).to eq '6s'
      expect(configuration['later']).to eq ['x']
    end

    it 'lets the program check it for each service' do
      is_expected.to contain_file(Catalogs::CONFIG).with(
        owner: 'root',
        group: 'prometheus-streams',
        mode: '0640',
        show_diff: false,
        validate_cmd: '/usr/bin/prometheus-streams check --for poller % && ' \
                      '/usr/bin/prometheus-streams check --for receiver %',
      )
    end

    it { is_expected.not_to contain_file('/var/log/prometheus-streams.log') }
    it { is_expected.not_to contain_file('/etc/logrotate.d/prometheus-streams-puppet') }
  end

  context 'with the defaults of a poller' do
    let(:params) { { poller: true, poller_stream: { 'urls' => 'nats://a' } } }

    it 'has a spool, and scrapes what is declared' do
      expect(configuration['spool']).to eq('dir' => '/var/lib/prometheus-streams/spool')
      expect(configuration['scrape_config_files']).to eq ['/etc/prometheus-streams/scrape.d/*.yaml']
      jobs = YAML.safe_load(content('/etc/prometheus-streams/scrape.d/scrape-jobs.yaml'))
      expect(jobs['scrape_configs']).to eq [
        { 'job_name' => 'scrape_jobs', 'file_sd_configs' => [{ 'files' => ['/etc/prometheus-streams/targets.d/*.yaml'] }] },
      ]
    end

    it 'removes the scrape jobs that are declared no more, and reloads' do
      is_expected.to contain_file('/etc/prometheus-streams/scrape.d').with(purge: true, recurse: true, force: true)
        .that_notifies('Service[prometheus-streams-poller]')
      is_expected.to contain_file('/etc/prometheus-streams/targets.d').with(purge: true, recurse: true, force: true)
    end

    it 'gives the service a log that it may write' do
      is_expected.to contain_file('/var/log/prometheus-streams.log').with(owner: 'prometheus-streams', mode: '0640')
      is_expected.to contain_file('/etc/logrotate.d/prometheus-streams-puppet').with_ensure('absent')
    end
  end

  context 'with certificates of a Puppet CA' do
    let(:params) { { tls: { 'scheme' => 'puppet' }, enroll: { 'wait' => '1m' } } }

    it 'keeps them in the state\'s folder' do
      expect(configuration['tls']).to eq('scheme' => 'puppet', 'ssl_dir' => '/var/lib/prometheus-streams/ssl')
      expect(configuration['enroll']).to eq('ssl_dir' => '/var/lib/prometheus-streams/ssl', 'wait' => '1m')
    end
  end

  context 'without a spool' do
    let(:params) { { poller: true, spool: false, poller_stream: { 'urls' => 'nats://a' } } }

    it { expect(configuration).not_to have_key('spool') }
  end

  context 'with a spool elsewhere' do
    let(:params) { { poller: true, spool: { 'dir' => '/data/spool' }, poller_stream: { 'urls' => 'nats://a' } } }

    it { is_expected.to contain_file('/data/spool').with(owner: 'prometheus-streams', mode: '0750') }

    it 'lets the service write there' do
      is_expected.to contain_file('/etc/systemd/system/prometheus-streams-poller.service.d/50-puppet.conf')
        .with_content(%r{^ReadWritePaths=-/data/spool$})
    end
  end

  context 'with a receiver alone' do
    let(:params) { { receiver: true, receiver_stream: { 'urls' => 'nats://a' }, push_gateway: { 'url' => 'http://p' } } }

    it { expect(configuration.keys).not_to include('spool', 'scrape_config_files') }
    it { is_expected.to contain_file(Catalogs::CONFIG).with_validate_cmd('/usr/bin/prometheus-streams check --for receiver %') }
    it { is_expected.not_to contain_file('/etc/prometheus-streams/scrape.d/scrape-jobs.yaml') }
  end

  context 'with its own idea of a check' do
    let(:params) { { validate_cmd: '/bin/true %' } }

    it { is_expected.to contain_file(Catalogs::CONFIG).with_validate_cmd('/bin/true %') }
  end

  context 'with changes shown' do
    let(:params) { { show_diff: true, nats_token: sensitive('t'), receiver_stream: { 'urls' => 'nats://a' } } }

    it { is_expected.to contain_file(Catalogs::CONFIG).with_show_diff(true) }
    it { is_expected.to contain_file('/etc/prometheus-streams/secrets/receiver_stream.token').with_show_diff(false) }
  end

  context 'without a check' do
    let(:params) { { validate_cmd: false } }

    it { is_expected.to contain_file(Catalogs::CONFIG).without_validate_cmd }
  end

  context 'with its own pages protected' do
    let(:params) { { web_config: { 'basic_auth_users' => { 'admin' => '$2y$10$hash' } } } }

    it { expect(configuration['web_config']).to eq '/etc/prometheus-streams/web-config.yaml' }
    it { expect(YAML.safe_load(content('/etc/prometheus-streams/web-config.yaml'))).to eq params[:web_config] }
    it { expect(in_clear('$2y$10$hash')).to eq [] }
  end

  context 'with a file that protects its own pages' do
    let(:params) { { web_config: '/etc/web.yml' } }

    it { expect(configuration['web_config']).to eq '/etc/web.yml' }
    it { is_expected.not_to contain_file('/etc/prometheus-streams/web-config.yaml') }
  end

  context 'with other owners and modes' do
    let(:params) do
      { config_owner: 'admin', group: 'metrics', config_mode: '0440', secret_mode: '0400', nats_token: sensitive('t'),
        receiver_stream: { 'urls' => 'nats://a' } }
    end

    it { is_expected.to contain_file(Catalogs::CONFIG).with(owner: 'admin', group: 'metrics', mode: '0440') }

    it 'has them for secrets as well' do
      is_expected.to contain_file('/etc/prometheus-streams/secrets/receiver_stream.token')
        .with(owner: 'admin', group: 'metrics', mode: '0400')
    end
  end

  context 'when data is purged' do
    let(:params) { { ensure: 'absent', purge_data: true } }

    it { is_expected.to contain_package('prometheus-streams').with_ensure('purged') }
    it { is_expected.to contain_file('/var/lib/prometheus-streams').with(ensure: 'absent', force: true) }
    it { is_expected.to contain_file('/etc/prometheus-streams').with(ensure: 'absent', force: true) }
    it { is_expected.to contain_file('/var/log/prometheus-streams.log').with_ensure('absent') }
  end
end
