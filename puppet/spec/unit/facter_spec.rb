# frozen_string_literal: true

require 'spec_helper'
require 'facter'
require 'openssl'

describe 'the fact prometheus_streams' do
  def certificate(name, days)
    key = OpenSSL::PKey::EC.generate('prime256v1')
    cert = OpenSSL::X509::Certificate.new
    cert.version = 2
    cert.serial = 1
    cert.subject = cert.issuer = OpenSSL::X509::Name.parse("/CN=#{name}")
    cert.not_before = Time.now - 86_400
    # Half a day more, so that no day begins while this runs.
    cert.not_after = Time.now + (days * 86_400) + 43_200
    cert.public_key = key
    cert.sign(key, OpenSSL::Digest.new('SHA256'))
    cert.to_pem
  end

  def fact
    variables = { 'PROMETHEUS_STREAMS_CONFIG' => config_file, 'PROMETHEUS_STREAMS_SSL_DIR' => File.join(folder, 'ssl') }
    before = ENV.to_h.slice(*variables.keys)
    ENV.update(variables)
    Facter.clear
    allow(File).to receive(:executable?).and_call_original
    allow(File).to receive(:executable?).with('/usr/bin/prometheus-streams').and_return(!version.nil?)
    allow(File).to receive(:executable?).with('/usr/local/bin/prometheus-streams').and_return(false)
    allow(Facter::Core::Execution).to receive(:execute).and_call_original
    allow(Facter::Core::Execution).to receive(:execute)
      .with('/usr/bin/prometheus-streams --version', anything).and_return(version)
    load File.expand_path('../../lib/facter/prometheus_streams.rb', __dir__)
    Facter.value(:prometheus_streams)
  ensure
    variables.each_key { |name| ENV.delete(name) }
    ENV.update(before)
  end

  let(:folder) { Dir.mktmpdir }
  let(:config_file) { File.join(folder, 'config.yaml') }
  let(:version) { 'prometheus-streams 2.0.0' }

  before { FileUtils.mkdir_p(File.join(folder, 'ssl', 'certs')) }
  after { FileUtils.remove_entry(folder) }

  it 'has the version' do
    expect(fact).to eq('version' => '2.0.0')
  end

  context 'without the program and certificates' do
    let(:version) { nil }

    it { expect(fact).to be_nil }
  end

  context 'with a program that says something else' do
    let(:version) { "error: no\nmore" }

    it { expect(fact).to be_nil }
  end

  it 'has the certificates that were enrolled' do
    path = File.join(folder, 'ssl', 'certs', 'a.pem')
    File.write(path, certificate('a', 30))
    expect(fact['certificates'][path]).to include('subject' => '/CN=a', 'days_left' => 30)
    expect(fact['certificates'][path]['not_after']).to match %r{\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z}
  end

  it 'has the certificates that the configuration names' do
    one = File.join(folder, 'one.pem')
    File.write(one, "text before it\n#{certificate('late', 90)}#{certificate('soon', -3)}")
    File.write(config_file, <<~YAML)
      identity: usdc1
      tls: {scheme: puppet, ssl_dir: #{folder}/other}
      poller_stream: {urls: x, tls: {cert: #{one}}}
    YAML
    expect(fact['certificates'][one]).to include('subject' => '/CN=soon', 'days_left' => -3)
    expect(fact['certificates']["#{folder}/other/certs/usdc1.pem"]).to match('error' => %r{No such file})
  end

  {
    'a file without a certificate' => 'hello',
    'a damaged certificate' => "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    'an empty file' => '',
  }.each do |words, text|
    it "says what is wrong with #{words}" do
      path = File.join(folder, 'ssl', 'certs', 'a.pem')
      File.write(path, text)
      expect(fact['certificates'][path]).to match('error' => be_a(String))
    end
  end

  ["a: [\n", 'just text', "tls: 5\npoller_stream: []\n", '', "\xff\xfe"].each do |text|
    it "takes #{text.inspect} for no configuration" do
      File.binwrite(config_file, text)
      expect(fact).to eq('version' => '2.0.0')
    end
  end
end
