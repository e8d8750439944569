# frozen_string_literal: true

require 'spec_helper'

# Data in two levels, a site and what is common, as spec/fixtures/hiera has it.
describe 'prometheus_streams' do
  let(:facts) { Systems::DEBIAN_12 }
  let(:hiera_config) { File.expand_path('../fixtures/hiera/hiera.yaml', __dir__) }

  it { is_expected.to compile.with_all_deps }

  it 'merges jobs deeply' do
    expect(configuration['jobs'].transform_values { |job| job['targets'].map { |target| target['url'] }.sort }).to eq(
      'node' => ['http://common:9100/metrics', 'http://site:9100/metrics'],
      'nats' => ['http://site:8222/metrics'],
    )
  end

  it 'merges streams, with the site above what is common' do
    expect(configuration['poller_stream']).to include('urls' => 'nats://site:4222', 'topic' => 'prometheus')
  end

  it 'merges scrape configurations by their names' do
    expect(configuration['scrape_configs']).to eq [
      {
        'job_name' => 'db',
        'static_configs' => [{ 'targets' => ['db1:9104'] }],
        'scrape_interval' => '15s',
        'sample_limit' => 500,
      },
    ]
  end

  it 'merges what comes in the end' do
    expect(configuration).to include('first' => { 'a' => 1, 'b' => 2 })
  end

  it 'makes secrets of what is looked up as one' do
    expect(catalogue.resource('Class', 'prometheus_streams').sensitive_parameters).to include(:nats_token)
    expect(content('/etc/prometheus-streams/secrets/poller_stream.token')).to eq 'the-token'
    expect(in_clear('the-token')).to eq []
  end

  it 'declares scrape jobs' do
    is_expected.to contain_prometheus_streams__scrape_job('web').with_targets(['web1:80'])
  end
end
