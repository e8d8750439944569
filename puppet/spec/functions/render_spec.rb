# frozen_string_literal: true

require 'spec_helper'

describe 'prometheus_streams::render' do
  def text(config, extra = {}, dir = '/s')
    bare(subject.execute(config, extra, dir)['content'])
  end

  def secrets(config)
    subject.execute(config, {}, '/s')['secrets'].transform_values { |value| bare(value) }
  end

  def seal(value)
    Puppet::Pops::Types::PSensitiveType::Sensitive.new(value)
  end

  it 'keeps the order of keys' do
    expect(text('b' => 1, 'a' => { 'd' => true, 'c' => 1.5 })).to eq "---\nb: 1\na:\n  d: true\n  c: 1.5\n"
  end

  it 'leaves out what has no value, and empty blocks at the top' do
    expect(text('a' => nil, 'b' => {}, 'c' => [], 'd' => { 'e' => nil, 'f' => {} })).to eq "---\nd:\n  f: {}\n"
  end

  it 'quotes strings that YAML would read as something else' do
    values = ['yes', 'on', '0640', '1e3', '12:30:00', '~', '', 'null', '#x', "two\nlines\n", '*', '%d', 'a: b']
    expect(YAML.safe_load(text('values' => values))['values']).to eq values
  end

  it 'writes no anchors for what it meets twice' do
    twice = { 'x' => 'y' }
    expect(text('a' => twice, 'b' => twice)).not_to match %r{[&*]1}
  end

  it 'breaks no long strings' do
    long = (['word'] * 100).join(' ')
    expect(text('a' => long)).to eq "---\na: #{long}\n"
  end

  it 'merges the rest at every depth, lists as a whole' do
    merged = YAML.safe_load(text({ 'a' => { 'b' => [1], 'c' => 2 }, 'd' => 3 }, 'a' => { 'b' => [4] }, 'e' => 5))
    expect(merged).to eq('a' => { 'b' => [4], 'c' => 2 }, 'd' => 3, 'e' => 5)
  end

  it 'is sensitive only when a secret is left' do
    sensitive = Puppet::Pops::Types::PSensitiveType::Sensitive
    expect(subject.execute({ 'a' => 1 }, {}, '/s')['content']).to be_a(String)
    expect(subject.execute({ 'poller_stream' => { 'token' => seal('x') } }, {}, '/s')['content']).to be_a(String)
    expect(subject.execute({ 'url' => seal('x') }, {}, '/s')['content']).to be_a(sensitive)
    expect(subject.execute({}, seal({ 'a' => 1 }), '/s')['content']).to be_a(sensitive)
  end

  # What is written, and what goes to files, for each block that knows a secret.
  {
    { 'poller_stream' => { 'token' => 't' } } =>
      [{ 'poller_stream' => { 'token_file' => '/s/poller_stream.token' } }, { 'poller_stream.token' => 't' }],
    { 'receiver_stream' => { 'nkey' => 'n' } } =>
      [{ 'receiver_stream' => { 'nkey_file' => '/s/receiver_stream.nkey' } }, { 'receiver_stream.nkey' => 'n' }],
    { 'enroll' => { 'challenge' => 'c' } } =>
      [{ 'enroll' => { 'challenge_file' => '/s/enroll.challenge' } }, { 'enroll.challenge' => 'c' }],
    { 'push_gateway' => { 'bearer_token' => 'b' } } =>
      [{ 'push_gateway' => { 'bearer_token_file' => '/s/push_gateway.bearer_token' } }, { 'push_gateway.bearer_token' => 'b' }],
    { 'remote_write' => [{ 'basic_auth' => { 'password' => 'p' } }] } =>
      [{ 'remote_write' => [{ 'basic_auth' => { 'password_file' => '/s/remote_write.0.basic_auth.password' } }] },
       { 'remote_write.0.basic_auth.password' => 'p' }],
    { 'scrape_configs' => [{ 'job_name' => 'a b/c', 'tls_config' => { 'key' => 'PEM' } }] } =>
      [{ 'scrape_configs' => [
        { 'job_name' => 'a b/c', 'tls_config' => { 'key_file' => '/s/scrape_configs.a_b_c.tls_config.key' } },
      ] },
       { 'scrape_configs.a_b_c.tls_config.key' => 'PEM' }],
    # The program reads these from no file, and names of files are no secrets.
    { 'consul_sd_configs' => [{ 'token' => 't', 'password' => 'p' }] } =>
      [{ 'consul_sd_configs' => [{ 'token' => 't', 'password' => 'p' }] }, {}],
    { 'tls' => { 'key' => '/key.pem' }, 'receiver_stream' => { 'token_file' => '/t' } } =>
      [{ 'tls' => { 'key' => '/key.pem' }, 'receiver_stream' => { 'token_file' => '/t' } }, {}],
    { 'remote_write' => [{ 'http_headers' => { 'X' => { 'values' => ['v'], 'secrets' => ['s'], 'files' => ['/f'] } } }] } =>
      [{ 'remote_write' => [
        { 'http_headers' => { 'X' => { 'values' => ['v'], 'files' => ['/s/remote_write.0.http_headers.X.0', '/f'] } } },
      ] },
       { 'remote_write.0.http_headers.X.0' => 's' }],
  }.each do |given, (written, kept)|
    it "moves the secrets of #{given}" do
      expect(YAML.safe_load(text(given))).to eq written
      expect(secrets(given)).to eq kept
    end
  end

  it 'moves a header that is sensitive, and no other' do
    headers = { 'push_gateway' => { 'headers' => { 'A' => 'open', 'B' => seal('hidden') } } }
    expect(YAML.safe_load(text(headers))).to eq(
      'push_gateway' => { 'headers' => { 'A' => 'open', 'B' => { 'file' => '/s/push_gateway.headers.B' } } },
    )
    expect(secrets(headers)).to eq('push_gateway.headers.B' => 'hidden')
  end

  it 'gives secrets of one name files of their own' do
    twice = { 'scrape_configs' => [{ 'job_name' => 'a b', 'bearer_token' => '1' }, { 'job_name' => 'a/b', 'bearer_token' => '2' }] }
    expect(secrets(twice)).to eq('scrape_configs.a_b.bearer_token' => '1', 'scrape_configs.a_b.bearer_token.2' => '2')
  end

  it 'keeps secrets in the text without a folder for them' do
    result = subject.execute({ 'a' => { 'bearer_token' => 'x' } }, {}, nil)
    expect(result['content'].unwrap).to eq "---\na:\n  bearer_token: x\n"
    expect(result['secrets']).to eq({})
  end

  it { is_expected.to run.with_params({ 'a' => [{ 'b' => :symbol }] }, {}, '/s').and_raise_error(%r{`a\[0\]\.b` has a value}) }
end
