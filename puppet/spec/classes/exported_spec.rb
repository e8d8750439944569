# frozen_string_literal: true

require 'spec_helper'

# What nodes export, as the poller's catalog collects it.
describe 'prometheus_streams' do
  let(:facts) { Systems::DEBIAN_12 }
  let(:params) { { poller: true, poller_stream: { 'urls' => 'nats://a' }, identity: 'USDC1', collect_scrape_jobs: true } }
  let(:pre_condition) do
    <<~MANIFEST
      @@prometheus_streams::scrape_job { 'db1 node':
        job_name => 'node',
        site     => 'USDC1',
        targets  => ['db1:9100'],
      }
      @@prometheus_streams::scrape_job { 'db2 node':
        job_name => 'node',
        site     => 'USDC1',
        targets  => ['db2:9100'],
      }
      @@prometheus_streams::scrape_job { 'far node':
        job_name => 'node',
        site     => 'EUDC1',
        targets  => ['far:9100'],
      }
    MANIFEST
  end

  # A PuppetDB that has nothing of other nodes: these are all from the catalog itself.
  before do
    allow(Puppet).to receive(:[]).and_call_original
    allow(Puppet).to receive(:[]).with(:storeconfigs).and_return(true)
    allow(Puppet::Resource.indirection).to receive(:search).and_return([])
  end

  it { is_expected.to compile.with_all_deps }

  it 'has what is for its site' do
    files = catalogue.resources.select { |r| r.type == 'File' && r.title.include?('/targets.d/') }.map(&:title)
    expect(files).to contain_exactly(
      '/etc/prometheus-streams/targets.d/db1_node.yaml', '/etc/prometheus-streams/targets.d/db2_node.yaml',
    )
  end

  context 'with a site of another name' do
    let(:params) { super().merge(site: 'EUDC1') }

    it { is_expected.to contain_file('/etc/prometheus-streams/targets.d/far_node.yaml') }
    it { is_expected.not_to contain_file('/etc/prometheus-streams/targets.d/db1_node.yaml') }
  end

  context 'when nothing is collected' do
    let(:params) { super().merge(collect_scrape_jobs: false) }

    it { is_expected.not_to contain_file('/etc/prometheus-streams/targets.d/db1_node.yaml') }
  end
end
