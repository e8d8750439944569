# frozen_string_literal: true

require 'spec_helper'

describe 'prometheus_streams' do
  Systems.each do |system, facts|
    context "on #{system}" do
      let(:facts) { facts }

      context 'with nothing said' do
        it { is_expected.to compile.with_all_deps }
        it { is_expected.to contain_package('prometheus-streams').with_ensure('present') }
        it { is_expected.not_to contain_user('prometheus-streams') }
        it { is_expected.not_to contain_service('prometheus-streams-poller') }
        it { is_expected.not_to contain_service('prometheus-streams-receiver') }

        it 'has the defaults of the module for 1.0' do
          is_expected.to contain_file(Catalogs::CONFIG)
          expect(configuration).to include(
            'identity' => 'usdc1.example.net',
            'logfile' => '/var/log/prometheus-streams.log',
            'scrape_interval' => '30s',
            'max_age' => 65,
            'monitor_port' => 0,
            'debug' => false,
            'verbose' => false,
          )
        end
      end

      context 'with both services' do
        let(:params) do
          {
            poller: true,
            receiver: true,
            poller_stream: { 'urls' => 'nats://a:4222' },
            receiver_stream: { 'urls' => 'nats://a:4222' },
          }
        end

        it { is_expected.to compile.with_all_deps }

        %w[poller receiver].each do |role|
          it "runs the #{role}, and reloads it" do
            is_expected.to contain_service("prometheus-streams-#{role}").with(
              ensure: true,
              enable: true,
              restart: "systemctl reload-or-restart prometheus-streams-#{role}",
            )
            is_expected.to contain_file(Catalogs::CONFIG).that_notifies("Service[prometheus-streams-#{role}]")
          end

          it "restarts the #{role} for another package or drop-in" do
            restart = "Exec[prometheus_streams: restart prometheus-streams-#{role}]"
            drop_in = "/etc/systemd/system/prometheus-streams-#{role}.service.d/50-puppet.conf"
            is_expected.to contain_class('prometheus_streams::install').that_notifies(restart)
            is_expected.to contain_file(drop_in).that_notifies(restart)
            is_expected.to contain_file(drop_in).that_notifies('Exec[prometheus_streams: systemctl daemon-reload]')
          end

          it "leaves the unit of the #{role} to the package" do
            is_expected.not_to contain_file("/etc/systemd/system/prometheus-streams-#{role}.service")
          end
        end
      end

      context 'without a package' do
        let(:params) { { install_method: 'none' } }
        let(:shell) { facts[:os]['family'] == 'RedHat' ? '/sbin/nologin' : '/usr/sbin/nologin' }

        it { is_expected.to compile.with_all_deps }
        it { is_expected.not_to contain_package('prometheus-streams') }
        it { is_expected.to contain_group('prometheus-streams').with_system(true) }
        it { is_expected.to contain_user('prometheus-streams').with(shell: shell, system: true, gid: 'prometheus-streams') }
        it { is_expected.to contain_file('/var/lib/prometheus-streams').with(owner: 'prometheus-streams', mode: '0750') }
      end

      context 'to be removed' do
        let(:params) { { ensure: 'absent' } }

        it { is_expected.to compile.with_all_deps }
        it { is_expected.to contain_package('prometheus-streams').with_ensure('absent') }
        it { is_expected.to contain_service('prometheus-streams-poller').with(ensure: false, enable: false) }
        it { is_expected.to contain_service('prometheus-streams-receiver').with(ensure: false, enable: false) }
        it { is_expected.to contain_file(Catalogs::CONFIG).with_ensure('absent') }
        it { is_expected.not_to contain_file('/var/lib/prometheus-streams') }

        it 'stops the services before their files go, and these before the package' do
          is_expected.to contain_class('prometheus_streams::service').that_comes_before('Class[prometheus_streams::config]')
          is_expected.to contain_class('prometheus_streams::config').that_comes_before('Class[prometheus_streams::install]')
        end
      end
    end
  end
end
