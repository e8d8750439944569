# frozen_string_literal: true

require 'spec_helper'
require 'open3'

# What the module writes, as the program itself reads it.
describe 'prometheus_streams' do
  let(:facts) { Systems::DEBIAN_12 }

  program = ENV['PROMETHEUS_STREAMS'] || File.expand_path('../../../target/debug/prometheus-streams', __dir__)

  # Writes all files of the catalog that are about the configuration below another folder, and checks one of them.
  def check(program, *options, file: Catalogs::CONFIG)
    skip "there is no #{program}" unless File.executable?(program)

    Dir.mktmpdir do |folder|
      place = ->(text) { text.gsub('/etc/prometheus-streams', folder) }
      files = catalogue.resources.select { |r| r.type == 'File' && r.title.start_with?('/etc/prometheus-streams/') && r[:content] }
      files.each do |resource|
        path = place.call(resource.title)
        FileUtils.mkdir_p(File.dirname(path))
        File.write(path, place.call(bare(resource[:content])), perm: 0o640)
      end
      Open3.capture2e(program, 'check', *options, place.call(file))
    end
  end

  def expect_good((output, status))
    expect(status.exitstatus).to eq(0), output
  end

  context 'with the example of the module for 1.0' do
    let(:params) do
      {
        poller: true,
        receiver: true,
        poller_stream: {
          'cluster_id' => 'dc1_stream', 'urls' => 'nats://nats.dc1.example.net:4222', 'topic' => 'prometheus'
        },
        receiver_stream: {
          'client_id' => 'prometheus_receiver', 'cluster_id' => 'global_stream',
          'urls' => 'nats://nats.dc2.example.net:4222', 'topic' => 'prometheus'
        },
        push_gateway: { 'url' => 'http://prometheus.dc2.example.net:9091', 'publisher_label' => true },
        management: { 'identity' => 'prom.example.net', 'collective' => 'prometheus', 'brokers' => ['c:4222'] },
        jobs: {
          'choria' => {
            'targets' => [{ 'name' => 'choria1', 'url' => 'http://choria1.dc1.example.net:8222/choria/prometheus' }],
          },
        },
      }
    end

    it('is good for a poller') { expect_good check(program, '--for', 'poller') }
    it('is good for a receiver') { expect_good check(program, '--for', 'receiver') }
  end

  context 'with secrets of all kinds, and scrape jobs' do
    let(:params) do
      {
        poller: true,
        receiver: true,
        nats_token: sensitive('t'),
        poller_stream: { 'urls' => ['nats://a', 'nats://b'], 'max_age' => '1h', 'replicas' => 3 },
        receiver_stream: { 'urls' => 'nats://a', 'user' => 'u', 'password' => 'p' },
        max_age: '10m',
        scrape_timeout: '5s',
        body_size_limit: '10MB',
        site_timeout: '10m',
        monitor_port: 10_000,
        monitor_address: '127.0.0.1',
        external_labels: { 'federation' => 'main' },
        global: { 'sample_limit' => 1000, 'scrape_protocols' => ['PrometheusText0.0.4'] },
        spool: { 'max_size' => '2GB', 'fsync' => 'always' },
        wire: { 'chain' => false },
        push_gateway: {
          'url' => 'http://p:9091', 'on_failure' => 'keep', 'bearer_token' => 'b', 'headers' => { 'X' => sensitive('h') }
        },
        scrape_configs: {
          'db' => {
            'static_configs' => [{ 'targets' => ['db1:9104'], 'labels' => { 'role' => 'db' } }],
            'basic_auth' => { 'username' => 'u', 'password' => 'p' },
            'relabel_configs' => [{ 'source_labels' => ['__address__'], 'target_label' => 'host' }],
          },
          'web' => {
            'static_configs' => [{ 'targets' => ['web1:80'] }],
            'oauth2' => { 'client_id' => 'c', 'client_secret' => 's', 'token_url' => 'https://login.example.net/' },
            'params' => { 'collect[]' => %w[cpu meminfo] },
          },
        },
        remote_write: {
          'mimir' => {
            'url' => 'https://mimir/api',
            'authorization' => { 'credentials' => 'c' },
            'http_headers' => { 'X-Scope-OrgID' => { 'values' => ['a'] }, 'X-Key' => { 'secrets' => ['k'] } },
            'write_relabel_configs' => [{ 'source_labels' => ['__name__'], 'regex' => 'go_.*', 'action' => 'drop' }],
            'queue_config' => { 'max_shards' => 4 },
          },
        },
        scrape_jobs: {
          'plain' => { 'targets' => ['a:1'], 'job_name' => 'node', 'scrape_interval' => '15s', 'params' => { 'm' => 'x' } },
          'own' => { 'targets' => ['b:1'], 'scrape_config' => { 'bearer_token' => 'x', 'honor_labels' => true } },
        },
      }
    end

    it('is good for a poller') { expect_good check(program, '--for', 'poller') }
    it('is good for a receiver') { expect_good check(program, '--for', 'receiver') }

    it 'has scrape jobs that are good by themselves' do
      expect_good check(program, file: '/etc/prometheus-streams/scrape.d/own.yaml')
    end

    it 'makes the targets that were declared' do
      output, status = check(program, '--targets')
      expect(status.exitstatus).to eq(0), output
      expect(output).to match(%r{http://a:1/metrics\?m=x})
      expect(output).to match(%r{http://b:1/metrics})
    end
  end

  context 'with a key that the program does not know' do
    let(:params) { { extra_config: { 'scrape_intervall' => '5s' } } }

    it 'is refused by the program' do
      output, status = check(program)
      expect(status.exitstatus).to eq 1
      expect(output).to match(%r{scrape_intervall})
    end
  end
end
