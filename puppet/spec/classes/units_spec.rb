# frozen_string_literal: true

require 'spec_helper'

describe 'prometheus_streams' do
  let(:facts) { Systems::DEBIAN_12 }
  let(:stream) { { 'urls' => 'nats://a' } }
  let(:drop_in) { '/etc/systemd/system/prometheus-streams-poller.service.d/50-puppet.conf' }

  context 'with settings and variables for its services' do
    let(:params) do
      {
        poller: true,
        poller_stream: stream,
        user: 'metrics',
        group: 'metrics',
        bin_dir: '/opt/bin',
        hardening: { 'MemoryMax' => '1G', 'PrivateTmp' => false, 'IPAddressAllow' => ['10.0.0.0/8', '::1'], 'Nice' => :undef },
        environment: { 'HTTPS_PROXY' => 'http://u:a"b%c\\d@proxy' },
      }
    end

    it 'writes them in the order in which they are given' do
      expect(content(drop_in).lines.map(&:chomp).drop_while { |line| line != '[Service]' }).to eq [
        '[Service]',
        'ExecStart=',
        'ExecStart=/opt/bin/prometheus-streams-poller --config ${CONFIG} $OPTIONS',
        'ExecReload=',
        'ExecReload=/opt/bin/prometheus-streams $OPTIONS check ${CONFIG}',
        "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'",
        'User=metrics',
        'Group=metrics',
        'Environment="HTTPS_PROXY=http://u:a\"b%%c\\\\d@proxy"',
        'ReadWritePaths=-/var/lib/prometheus-streams',
        'ReadWritePaths=-/var/lib/prometheus-streams/spool',
        'ReadWritePaths=-/var/log/prometheus-streams.log',
        'MemoryMax=1G',
        'PrivateTmp=false',
        'IPAddressAllow=10.0.0.0/8',
        'IPAddressAllow=::1',
      ]
    end
  end

  context 'from an archive' do
    let(:sum) { 'a' * 64 }
    let(:params) do
      {
        poller: true,
        receiver: true,
        poller_stream: stream,
        receiver_stream: stream,
        install_method: 'archive',
        archive_source: 'https://example.net/prometheus-streams.tar.gz',
        archive_checksum: sum,
      }
    end

    it { is_expected.to compile.with_all_deps }
    it { is_expected.not_to contain_package('prometheus-streams') }
    it { is_expected.to contain_user('prometheus-streams') }

    it 'takes an archive with this sum alone' do
      is_expected.to contain_file('/opt/prometheus-streams/aaaaaaaaaaaaaaaa.tar').with(
        source: 'https://example.net/prometheus-streams.tar.gz', checksum: 'sha256', checksum_value: sum,
      )
      is_expected.to contain_exec('prometheus_streams: unpack the archive')
        .with_creates('/opt/prometheus-streams/aaaaaaaaaaaaaaaa')
    end

    %w[prometheus-streams prometheus-streams-poller prometheus-streams-receiver].each do |program|
      it do
        is_expected.to contain_file("/usr/local/bin/#{program}")
          .with(ensure: 'link', target: "/opt/prometheus-streams/aaaaaaaaaaaaaaaa/#{program}")
      end
    end

    it 'starts the services anew for another archive' do
      is_expected.to contain_class('prometheus_streams::install')
        .that_notifies('Exec[prometheus_streams: restart prometheus-streams-poller]')
    end

    it 'starts them anew for another unit' do
      is_expected.to contain_file('/etc/systemd/system/prometheus-streams-poller.service')
        .that_notifies('Exec[prometheus_streams: restart prometheus-streams-poller]')
    end

    # What the package has, with the programs' folder as the only difference.
    %w[poller receiver].each do |role|
      it "has the package's unit of the #{role}" do
        packaged = File.expand_path("../../../packaging/systemd/prometheus-streams-#{role}.service", __dir__)
        skip 'the module stands alone' unless File.exist?(packaged)
        own = content("/etc/systemd/system/prometheus-streams-#{role}.service")
        expect(own.lines.drop(1).join).to eq File.read(packaged).gsub('/usr/bin/', '/usr/local/bin/')
      end
    end

    context 'to be removed' do
      let(:params) { super().merge(ensure: 'absent') }

      it { is_expected.to compile.with_all_deps }
      it { is_expected.to contain_file('/opt/prometheus-streams').with(ensure: 'absent', force: true) }
      it { is_expected.to contain_file('/usr/local/bin/prometheus-streams').with_ensure('absent') }
      it { is_expected.to contain_file('/etc/systemd/system/prometheus-streams-poller.service').with_ensure('absent') }
    end
  end

  context 'without services to manage' do
    let(:params) { { poller: true, poller_stream: stream, manage_services: false } }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.not_to contain_service('prometheus-streams-poller') }
    it { is_expected.to contain_file(drop_in) }
  end

  context 'with a package from a file' do
    let(:params) { { package_source: '/srv/p.deb', package_provider: 'dpkg', version: 'latest' } }

    it do
      is_expected.to contain_package('prometheus-streams')
        .with(ensure: 'latest', source: '/srv/p.deb', provider: 'dpkg')
    end
  end
end
