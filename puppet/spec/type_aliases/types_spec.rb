# frozen_string_literal: true

require 'spec_helper'

# What each type takes, and what it does not.
{
  'Duration' => [%w[0 5s 1h30m 1.5s 500ms 1y2w3d], ['', '5', 's', '5 s', '1m1h', '-5s', 5, '5sx', "5s\n"]],
  'Size' => [%w[0 1B 256MB 1GiB], ['', '5', '1.5MB', 'MB', 5]],
  'Address' => [%w[a a:1 a.b-c_d:9100 1.2.3.4:80 [::1]:9100 [2001:db8::1]],
                ['', 'a:b', 'http://a', 'a/b', 'a b', '::1', 'u@a', "a:1\n"]],
  'Ca' => [%w[puppet puppet:8140 10.0.0.1:8140 [::1]:8140], ['', 'https://puppet', 'puppet:', 'a b']],
  'Certname' => [%w[a a.example.net a_b-1], ['', 'A', 'a/b', "a\n"]],
  'Fingerprint' => [['a' * 64, (['AB'] * 32).join(':'), "SHA256:#{'a' * 64}"], ['', 'a' * 63, 'SHA1:aa']],
  'Secret_name' => [%w[a a.b _x 1-2], ['', '.a', '-a', 'a/b', '../a', 'a b', "a\n"]],
  'Job_name' => [['a', 'a b', 'a' * 1024], ['', 'a' * 1025, 5]],
  'Labels' => [[{}, { 'a' => 'b' }], [{ 'a' => 1 }, { '' => 'a' }, []]],
  'Secret' => [['a'], ['', 5, {}]],
  'Setting' => [['a', true, 5, ['a'], nil], [{}, 1.5, [1]]],
  'Scrape_protocol' => [['PrometheusText0.0.4'], ['text']],
  'Value' => [['a', 1, nil, [{ 'a' => [1.5, true] }]], [{ 1 => 2 }]],
  'Block' => [[{}, { 'a' => { 'b' => [1] } }], [[], 'a', { '' => 1 }]],
  'Target' => [[{ 'url' => 'http://a' }, { 'name' => 'a', 'url' => 'http://a' }], [{}, { 'name' => 'a' }, { 'url' => '' }]],
  'Job' => [[{ 'targets' => [] }, { 'targets' => [{ 'url' => 'u' }], 'scrape_interval' => '5s' }], [{}, { 'targets' => {} }]],
  'FileSSL' => [[{ 'scheme' => 'manual', 'ca' => '/a' }, { 'cert' => '/c', 'key' => '/k', 'crl' => '/l', 'min_version' => 'TLS13' }],
                [{ 'ca' => 'a' }, { 'scheme' => 'puppet' }, { 'x' => 1 }]],
  'PuppetSSL' => [[{ 'scheme' => 'puppet' }, { 'scheme' => 'puppet', 'identity' => 'x', 'ssl_dir' => '/s' }],
                  [{}, { 'scheme' => 'file' }, { 'scheme' => 'puppet', 'ssl_dir' => 's' }]],
  'Tls' => [[{ 'scheme' => 'puppet' }, { 'scheme' => 'file' }, {}], [{ 'scheme' => 'x' }]],
  'Stream' => [[{ 'urls' => 'a' }, { 'urls' => ['a'], 'max_age' => '10m', 'tls' => { 'scheme' => 'puppet' } }],
               [{}, { 'urls' => [] }, { 'urls' => 'a', 'storage' => 'tape' }, { 'urls' => 'a', 'x' => 1 }]],
  'Push_gateway' => [[{ 'url' => 'a' }, { 'url' => 'a', 'concurrency' => 8 }], [{}, { 'url' => 'a', 'concurrency' => 0 }]],
  'Management' => [[{}, { 'brokers' => ['a'], 'auth' => { 'insecure' => true, 'Full' => [] } }], [{ 'loglevel' => 'x' }]],
  'Authentication' => [[{ 'RO' => ['a'] }], [{ 'RO' => 'a' }]],
  'Global' => [[{}, { 'scrape_protocols' => ['PrometheusText0.0.4'] }], [{ 'scrape_protocols' => [] }, { 'x' => 1 }]],
  'Static_config' => [[{ 'targets' => ['a:1'] }], [{}, { 'targets' => ['http://a'] }]],
  'Scrape_config' => [[{ 'job_name' => 'a', 'params' => { 'm' => ['x', 1] } }, {}], [{ 'job_name' => '' }, { 'scheme' => 'ftp' }]],
  'Remote_write' => [[{ 'url' => 'a', 'name' => 'b-c' }], [{}, { 'url' => 'a', 'name' => 'b c' }]],
  'Spool' => [[{}, { 'dir' => '/a', 'fsync' => 'always' }], [{ 'dir' => 'a' }, { 'fsync' => 'x' }]],
  'Wire' => [[{ 'chain' => true }], [{ 'chain' => 'x' }]],
  'Enrollment' => [[{}, { 'ca' => 'puppet:8140', 'wait' => '2m' }], [{ 'ca' => 'x://' }, { 'identity' => 'A' }]],
  'Declared_job' => [[{ 'targets' => ['a:1'] }], [{}, { 'targets' => [] }]],
}.each do |name, (good, bad)|
  describe "Prometheus_streams::#{name}" do
    it { is_expected.to allow_values(*good) }
    it { is_expected.not_to allow_values(*bad) }
  end
end

describe 'the types that are tested' do
  it 'are all that there are' do
    files = Dir[File.expand_path('../../types/*.pp', __dir__)].map { |file| File.read(file)[%r{^type Prometheus_streams::(\w+)}, 1] }
    tested = File.read(__FILE__).scan(%r{^  '(\w+)' =>}).flatten
    expect(tested).to match_array files
  end
end
