# frozen_string_literal: true

require 'spec_helper'

# What Hiera may have wrong: the error names the parameter, and what is expected.
describe 'prometheus_streams' do
  let(:facts) { Systems::DEBIAN_12 }

  {
    poller: ['yes', %r{'poller' expects a Boolean}],
    ensure: ['gone', %r{'ensure' expects a match for Enum\['absent', 'present'\]}],
    identity: [5, %r{'identity' expects a String}],
    config_file: ['streams.yaml', %r{'config_file' expects}],
    log_file: ['streams.log', %r{'log_file' expects}],
    scrape_interval: ['often', %r{'scrape_interval' expects}],
    scrape_timeout: [5, %r{'scrape_timeout' expects}],
    body_size_limit: ['1 meter', %r{'body_size_limit' expects}],
    max_age: [-1, %r{'max_age' expects}],
    monitor_port: [70_000, %r{'monitor_port' expects an Integer\[0, 65535\]}],
    monitor_address: ['here', %r{'monitor_address' expects}],
    poller_stream: [{ 'topic' => 'x' }, %r{'poller_stream'.*'urls'}m],
    receiver_stream: [{ 'urls' => 'x', 'replicas' => 9 }, %r{'receiver_stream'.*replicas}m],
    push_gateway: [{ 'url' => 'x', 'publisher_lable' => true }, %r{'push_gateway'.*publisher_lable}m],
    management: [{ 'loglevel' => 'loud' }, %r{'management'}],
    tls: [{ 'scheme' => 'magic' }, %r{'tls' expects}],
    jobs: [{ 'db' => { 'targets' => 'http://x' } }, %r{'jobs' entry 'db' entry 'targets' expects an Array}],
    scrape_configs: [[{ 'job_name' => 'a', 'scrape_intervall' => '5s' }], %r{'scrape_configs'.*scrape_intervall}m],
    remote_write: [[{ 'name' => 'a' }], %r{'remote_write'}],
    global: [{ 'sample_limit' => 'many' }, %r{'global'}],
    external_labels: [{ 'a' => 1 }, %r{'external_labels' entry 'a' expects a String}],
    spool: [{ 'max_size' => 5 }, %r{'spool'}],
    wire: [{ 'chain' => 'no' }, %r{'wire'}],
    enroll: [{ 'ca' => 'https://ca' }, %r{'enroll'}],
    strict: ['maybe', %r{'strict' expects}],
    nats_credentials: ['', %r{'nats_credentials' expects}],
    hardening: [{ 'noNewPrivileges' => true }, %r{'hardening'}],
    environment: [{ 'A B' => 'x' }, %r{'environment'}],
    install_method: ['pip', %r{'install_method' expects}],
    archive_checksum: ['abc', %r{'archive_checksum' expects}],
    config_mode: ['rw', %r{'config_mode' expects}],
    scrape_jobs: [{ 'db' => { 'targets' => ['http://db1/metrics'] } }, %r{'scrape_jobs' entry 'db' entry 'targets'}],
  }.each do |name, (value, message)|
    context "with #{name} => #{value.inspect}" do
      let(:params) { { name => value } }

      it { is_expected.to compile.and_raise_error(message) }
    end
  end

  context 'with a parameter that is none' do
    let(:params) { { scrape_intervall: '5s' } }

    it { is_expected.to compile.and_raise_error(%r{no parameter named 'scrape_intervall'}) }
  end

  context 'with an archive that has no checksum' do
    let(:params) { { install_method: 'archive', archive_source: '/x.tar.gz' } }

    it { is_expected.to compile.and_raise_error(%r{needs `archive_source` and `archive_checksum`}) }
  end

  context 'with a deferred value that no file can hold' do
    let(:pre_condition) do
      "class { 'prometheus_streams': extra_config => { 'a' => [{ 'b' => Deferred('file', ['/x']) }] } }"
    end

    it { is_expected.to compile.and_raise_error(%r{`a\[0\]\.b` cannot be deferred}) }
  end
end
