# frozen_string_literal: true

require 'spec_helper'

describe 'prometheus_streams::scrape_job' do
  let(:title) { 'db1 node' }
  let(:facts) { Systems::DEBIAN_12 }
  let(:pre_condition) do
    "class { 'prometheus_streams': poller => true, poller_stream => { 'urls' => 'nats://a' } }"
  end
  let(:targets_file) { '/etc/prometheus-streams/targets.d/db1_node.yaml' }
  let(:scrape_file) { '/etc/prometheus-streams/scrape.d/db1_node.yaml' }

  Systems.each do |system, facts|
    context "on #{system}" do
      let(:facts) { facts }
      let(:params) { { targets: ['db1:9100'] } }

      it { is_expected.to compile.with_all_deps }
    end
  end

  context 'with targets alone' do
    let(:params) { { targets: ['db1:9100', '[2001:db8::1]:9100'] } }

    it { expect(configuration(targets_file)).to eq [{ 'targets' => params[:targets], 'labels' => { 'job' => 'db1 node' } }] }
    it { is_expected.to contain_file(targets_file).with(owner: 'root', group: 'prometheus-streams', mode: '0640') }
    it { is_expected.not_to contain_file(scrape_file) }

    it 'asks for no reload' do
      is_expected.not_to contain_exec('prometheus_streams: take up scrape job db1 node')
    end
  end

  context 'with all that a target can say' do
    let(:params) do
      {
        targets: ['db1:9100'],
        job_name: 'node',
        labels: { 'role' => 'db' },
        metrics_path: '/m',
        scheme: 'https',
        params: { 'module' => 'x' },
        scrape_interval: '15s',
        scrape_timeout: '5s',
        site: 'USDC1',
      }
    end

    it 'says it by labels' do
      expect(configuration(targets_file)[0]['labels']).to eq(
        'job' => 'node', '__scrape_interval__' => '15s', '__scrape_timeout__' => '5s', '__metrics_path__' => '/m',
        '__scheme__' => 'https', '__param_module' => 'x', 'role' => 'db',
      )
    end
  end

  context 'with a scrape configuration of its own' do
    let(:params) do
      {
        targets: ['db1:9100'],
        job_name: 'node',
        labels: { 'role' => 'db' },
        params: { 'module' => 'x' },
        scrape_interval: '15s',
        scrape_config: {
          'honor_labels' => true,
          'bearer_token' => sensitive('the-token'),
          'static_configs' => [{ 'targets' => ['db2:9100'] }],
        },
      }
    end

    it { is_expected.to compile.with_all_deps }

    it 'writes a file of scrape configurations' do
      expect(configuration(scrape_file)['scrape_configs']).to eq [
        {
          'job_name' => 'node', 'scrape_interval' => '15s', 'params' => { 'module' => ['x'] }, 'honor_labels' => true,
          'bearer_token' => 'the-token',
          'static_configs' => [{ 'targets' => ['db2:9100'] }, { 'targets' => ['db1:9100'], 'labels' => { 'role' => 'db' } }]
        },
      ]
    end

    it 'lets the program check it, and hides the secret' do
      is_expected.to contain_file(scrape_file)
        .with(validate_cmd: '/usr/bin/prometheus-streams check %', show_diff: false, backup: false)
      expect(in_clear('the-token')).to eq []
    end

    it 'reloads by itself, so that a refusal stops nothing else' do
      is_expected.to contain_exec('prometheus_streams: take up scrape job db1 node')
        .with(command: 'systemctl reload-or-restart prometheus-streams-poller', refreshonly: true)
        .that_subscribes_to("File[#{scrape_file}]")
    end
  end

  context 'with a secret in plain text' do
    let(:params) { { targets: ['a:1'], scrape_config: { 'basic_auth' => { 'username' => 'u', 'password' => 'the-password' } } } }

    it { expect(in_clear('the-password')).to eq [] }
  end

  context 'when it is absent' do
    let(:params) { { targets: ['a:1'], ensure: 'absent' } }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.not_to contain_file(targets_file) }
  end

  context 'when the class is absent' do
    let(:pre_condition) { "class { 'prometheus_streams': ensure => 'absent' }" }
    let(:params) { { targets: ['a:1'], scrape_config: { 'honor_labels' => true } } }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.not_to contain_file(scrape_file) }
  end

  {
    targets: [['http://db1:9100/metrics'], %r{parameter 'targets' index 0 expects}],
    scrape_interval: ['often', %r{parameter 'scrape_interval' expects}],
    scheme: ['ftp', %r{parameter 'scheme' expects}],
    labels: [{ 'a' => 1 }, %r{parameter 'labels' entry 'a' expects a String}],
    scrape_config: [{ 'relabel_config' => [] }, %r{parameter 'scrape_config'.*relabel_config}m],
  }.each do |name, (value, message)|
    context "with #{name} => #{value.inspect}" do
      let(:params) { { targets: ['a:1'] }.merge(name => value) }

      it { is_expected.to compile.and_raise_error(message) }
    end
  end
end
