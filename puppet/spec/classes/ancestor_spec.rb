# frozen_string_literal: true

require 'spec_helper'

# Data that worked with the module for 1.0.
describe 'prometheus_streams' do
  let(:facts) { Systems::DEBIAN_12 }

  context 'with every parameter that it had' do
    let(:params) do
      {
        poller: true,
        receiver: true,
        identity: 'USDC1',
        config_file: '/etc/streams.yaml',
        log_file: '/var/log/streams.log',
        debug: true,
        verbose: true,
        scrape_interval: '1m',
        max_age: 80,
        monitor_port: 10_000,
        poller_stream: {
          'cluster_id' => 'dc1_stream', 'urls' => 'nats://nats.dc1.example.net:4222', 'topic' => 'prometheus'
        },
        receiver_stream: {
          'client_id' => 'prometheus_receiver', 'cluster_id' => 'global_stream',
          'urls' => 'nats://nats.dc2.example.net:4222', 'topic' => 'prometheus',
          'tls' => { 'identity' => 'x', 'scheme' => 'puppet', 'ssl_dir' => '/etc/x/ssl' }
        },
        push_gateway: { 'url' => 'http://prometheus.dc2.example.net:9091', 'publisher_label' => true },
        management: {
          'brokers' => ['choria.example.net:4222'], 'name' => 'prom', 'logfile' => '/dev/null', 'loglevel' => 'warn',
          'auth' => { 'insecure' => false, 'Full' => ['a'], 'RO' => ['b'] }
        },
        tls: {
          'identity' => 'x', 'scheme' => 'manual', 'ca' => '/ca.pem', 'cert' => '/cert.pem', 'key' => '/key.pem',
          'cache' => '/cache'
        },
        jobs: {
          'choria' => {
            'targets' => [
              { 'name' => 'choria1', 'url' => 'http://choria1.dc1.example.net:8222/choria/prometheus' },
              { 'url' => 'http://choria2.dc1.example.net:8222/choria/prometheus' },
            ],
          },
        },
        poller_service_name: 'streams-poller',
        receiver_service_name: 'streams-receiver',
        package_name: 'streams',
        ensure: 'present',
        version: '2.0.0-1',
      }
    end

    it { is_expected.to compile.with_all_deps }
    it { is_expected.to contain_package('streams').with_ensure('2.0.0-1') }
    it { is_expected.to contain_service('streams-poller').with_ensure(true) }
    it { is_expected.to contain_service('streams-receiver').with_ensure(true) }

    it 'writes each of them under its key' do
      expected = params.transform_keys(&:to_s)
      kept = %w[identity debug verbose scrape_interval max_age monitor_port poller_stream receiver_stream push_gateway
                management tls jobs]
      expect(configuration('/etc/streams.yaml')).to include(expected.slice(*kept))
      expect(configuration('/etc/streams.yaml')['logfile']).to eq '/var/log/streams.log'
    end

    it 'tells the package\'s units of another file' do
      is_expected.to contain_file('/etc/systemd/system/streams-poller.service.d/50-puppet.conf')
        .with_content(%r{^Environment=CONFIG=/etc/streams.yaml$})
        .with_content(%r{^ReadWritePaths=-/var/log/streams.log$})
    end

    it 'rotates a log that the package does not know' do
      is_expected.to contain_file('/etc/logrotate.d/prometheus-streams-puppet').with_ensure('file')
        .with_content(%r{^/var/log/streams.log \{$})
    end
  end

  context 'with the management of its README' do
    let(:params) do
      { management: { 'identity' => 'prom.example.net', 'collective' => 'prometheus', 'brokers' => ['c:4222'] } }
    end

    it { expect(configuration['management']).to eq params[:management] }
  end

  context 'with empty hashes' do
    let(:params) do
      { poller_stream: {}, receiver_stream: {}, push_gateway: {}, management: {}, jobs: {} }
    end

    it 'leaves their keys out' do
      is_expected.to compile.with_all_deps
      expect(configuration.keys).not_to include('poller_stream', 'receiver_stream', 'push_gateway', 'management', 'jobs')
    end
  end

  context 'with one service' do
    let(:params) { { poller: true, poller_stream: { 'urls' => 'nats://a' } } }

    it { is_expected.to contain_service('prometheus-streams-poller') }
    it { is_expected.not_to contain_service('prometheus-streams-receiver') }
  end

  context 'with one service, and the other not wanted' do
    let(:params) { { poller: true, stop_unused_services: true, poller_stream: { 'urls' => 'nats://a' } } }

    it { is_expected.to contain_service('prometheus-streams-receiver').with(ensure: false, enable: false) }
  end
end
