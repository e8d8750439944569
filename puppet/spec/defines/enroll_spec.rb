# frozen_string_literal: true

require 'spec_helper'

describe 'prometheus_streams::enroll' do
  let(:title) { 'usdc1.example.net' }
  let(:facts) { Systems::DEBIAN_12 }
  let(:pre_condition) do
    "class { 'prometheus_streams': poller => true, poller_stream => { 'urls' => 'nats://a' } }"
  end
  let(:exec) { 'prometheus_streams: enroll usdc1.example.net' }
  let(:unit) { '/etc/systemd/system/prometheus-streams-enroll-usdc1.example.net' }

  Systems.each do |system, facts|
    context "on #{system}" do
      let(:facts) { facts }

      it { is_expected.to compile.with_all_deps }
    end
  end

  context 'with nothing said' do
    it 'runs once, as the services\' user, before the configuration' do
      is_expected.to contain_exec(exec).with(
        command: '/usr/bin/prometheus-streams enroll usdc1.example.net --dir /var/lib/prometheus-streams/ssl --waitforcert 0',
        creates: '/var/lib/prometheus-streams/ssl/certs/usdc1.example.net.pem',
        user: 'prometheus-streams',
      ).that_requires('Class[prometheus_streams::install]')
       .that_comes_before(["File[#{Catalogs::CONFIG}]", 'Class[prometheus_streams::service]'])
    end

    it 'renews each day' do
      is_expected.to contain_service('prometheus-streams-enroll-usdc1.example.net.timer').with(ensure: true, enable: true)
      is_expected.to contain_file("#{unit}.timer").with_content(%r{^OnCalendar=daily$})
      is_expected.to contain_file("#{unit}.service").with_content(
        %r{^ExecStart=/usr/bin/prometheus-streams enroll usdc1.example.net --dir /var/lib/prometheus-streams/ssl --renew$},
      )
    end
  end

  context 'with all that can be said' do
    let(:fingerprint) { "SHA256:#{(['AB'] * 32).join(':')}" }
    let(:params) do
      {
        certname: 'other.example.net',
        ssl_dir: '/srv/ssl',
        ca: 'puppet.example.net:8140',
        ca_fingerprint: fingerprint,
        extensions: { 'pp_role' => 'metrics poller' },
        challenge: sensitive('the-challenge'),
        dns_alt_names: ['nats.example.net'],
        wait: 60,
        renew: false,
      }
    end

    it 'says it to the program, but for the challenge' do
      is_expected.to contain_exec('prometheus_streams: enroll other.example.net').with(
        command: '/usr/bin/prometheus-streams enroll other.example.net --dir /srv/ssl --ca puppet.example.net:8140 ' \
                 "--ca-fingerprint #{fingerprint} --extension \"pp_role=metrics poller\" --dns-alt-name nats.example.net " \
                 '--challenge-file /etc/prometheus-streams/enroll-other.example.net.challenge --waitforcert 10 --timeout 60',
        timeout: 180,
      )
      expect(content('/etc/prometheus-streams/enroll-other.example.net.challenge')).to eq 'the-challenge'
      expect(in_clear('the-challenge')).to eq []
    end

    it { is_expected.to contain_file('/srv/ssl').with(owner: 'prometheus-streams', mode: '0750') }

    it 'has no timer' do
      is_expected.to contain_service('prometheus-streams-enroll-other.example.net.timer').with(ensure: false, enable: false)
    end
  end

  context 'when the class is absent' do
    let(:pre_condition) { "class { 'prometheus_streams': ensure => 'absent' }" }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.not_to contain_exec(exec) }
    it { is_expected.to contain_file("#{unit}.timer").with_ensure('absent') }
  end

  {
    certname: ['Upper.example.net', %r{parameter 'certname' expects}],
    ca: ['https://puppet', %r{parameter 'ca' expects}],
    ca_fingerprint: ['abc', %r{parameter 'ca_fingerprint' expects}],
    ssl_dir: ['ssl', %r{parameter 'ssl_dir' expects}],
    wait: ['long', %r{parameter 'wait' expects}],
  }.each do |name, (value, message)|
    context "with #{name} => #{value.inspect}" do
      let(:params) { { name => value } }

      it { is_expected.to compile.and_raise_error(message) }
    end
  end
end
