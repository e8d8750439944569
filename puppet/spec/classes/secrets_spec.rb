# frozen_string_literal: true

require 'spec_helper'

describe 'prometheus_streams' do
  let(:facts) { Systems::DEBIAN_12 }
  let(:dir) { '/etc/prometheus-streams/secrets' }

  context 'with credentials for both streams' do
    let(:params) do
      {
        poller: true,
        receiver: true,
        nats_credentials: sensitive('the-seed'),
        poller_stream: { 'urls' => 'nats://a' },
        receiver_stream: { 'urls' => 'nats://a', 'user' => 'u', 'password' => sensitive('the-password') },
      }
    end

    it { is_expected.to compile.with_all_deps }

    it 'writes them to files that the configuration names' do
      expect(configuration['poller_stream']).to eq('urls' => 'nats://a', 'credentials_file' => "#{dir}/poller_stream.credentials")
      is_expected.to contain_file("#{dir}/poller_stream.credentials").with(
        content: sensitive('the-seed'),
        owner: 'root',
        group: 'prometheus-streams',
        mode: '0640',
        show_diff: false,
        backup: false,
      ).that_comes_before("File[#{Catalogs::CONFIG}]")
    end

    it 'leaves alone a stream that has its own' do
      expect(configuration['receiver_stream']).to eq(
        'urls' => 'nats://a', 'user' => 'u', 'password_file' => "#{dir}/receiver_stream.password",
      )
      expect(content("#{dir}/receiver_stream.password")).to eq 'the-password'
      is_expected.not_to contain_file("#{dir}/receiver_stream.credentials")
    end

    it 'reloads when one changes' do
      is_expected.to contain_prometheus_streams__hidden_file("#{dir}/poller_stream.credentials")
        .that_notifies(['Service[prometheus-streams-poller]', 'Service[prometheus-streams-receiver]'])
    end

    it 'shows them nowhere' do
      expect(in_clear('the-seed') + in_clear('the-password')).to eq []
      expect(catalogue.resource('Class', 'prometheus_streams').sensitive_parameters).to include(:nats_credentials)
    end

    it 'removes files that nothing names any more once the configuration is in place' do
      is_expected.to contain_exec('prometheus_streams: remove secrets that are not used any more').with_command(
        "find '#{dir}' -type f ! -name 'poller_stream.credentials' ! -name 'receiver_stream.password' -delete",
      ).that_requires("File[#{Catalogs::CONFIG}]")
    end
  end

  {
    nats_nkey: ['nkey_file', 'nkey'],
    nats_token: ['token_file', 'token'],
    nats_credentials: ['credentials_file', 'credentials'],
  }.each do |param, (key, name)|
    context "with #{param}" do
      let(:params) { { param => sensitive('the-secret'), receiver_stream: { 'urls' => 'nats://a' } } }

      it { expect(configuration['receiver_stream'][key]).to eq "#{dir}/receiver_stream.#{name}" }
      it { expect(content("#{dir}/receiver_stream.#{name}")).to eq 'the-secret' }
    end
  end

  context 'with a user and a password' do
    let(:params) { { nats_user: 'u', nats_password: sensitive('p'), receiver_stream: { 'urls' => 'nats://a' } } }

    it do
      expect(configuration['receiver_stream']).to eq(
        'urls' => 'nats://a', 'user' => 'u', 'password_file' => "#{dir}/receiver_stream.password",
      )
    end
  end

  context 'with secrets in plain text, as Hiera may have them' do
    let(:params) do
      {
        remote_write: {
          'mimir' => { 'url' => 'https://m', 'basic_auth' => { 'username' => 'u', 'password' => 'the-password' } },
        },
        scrape_configs: [
          { 'job_name' => 'db', 'authorization' => { 'credentials' => 'the-token' } },
          { 'job_name' => 'web', 'oauth2' => { 'client_id' => 'c', 'client_secret' => 'the-secret' } },
        ],
      }
    end

    it 'takes them out all the same' do
      expect(configuration['remote_write'][0]['basic_auth']).to eq(
        'username' => 'u', 'password_file' => "#{dir}/remote_write.mimir.basic_auth.password",
      )
      expect(content("#{dir}/scrape_configs.db.authorization.credentials")).to eq 'the-token'
      expect(content("#{dir}/scrape_configs.web.oauth2.client_secret")).to eq 'the-secret'
      expect(%w[the-password the-token the-secret].flat_map { |word| in_clear(word) }).to eq []
    end
  end

  context 'with a secret where the program reads no file' do
    let(:params) do
      { push_gateway: { 'url' => sensitive('http://user:the-password@p:9091') } }
    end

    it 'hides the whole configuration' do
      expect(configuration['push_gateway']['url']).to eq 'http://user:the-password@p:9091'
      is_expected.to contain_file(Catalogs::CONFIG).with(show_diff: false, backup: false)
      expect(in_clear('the-password')).to eq []
    end
  end

  context 'with a stream that is a secret as a whole' do
    let(:params) { { receiver_stream: sensitive({ 'urls' => 'nats://a', 'token' => 'the-token' }), nats_user: 'u' } }

    it { is_expected.to compile.with_all_deps }
    it { expect(configuration['receiver_stream']['token_file']).to eq "#{dir}/receiver_stream.token" }
    it { expect(configuration['receiver_stream']).not_to have_key('user') }
    it { expect(in_clear('the-token')).to eq [] }
  end

  context 'with secrets of its own names' do
    let(:params) { { secrets: { 'shared.password' => sensitive('the-secret') } } }

    it { expect(content("#{dir}/shared.password")).to eq 'the-secret' }

    it 'keeps them' do
      is_expected.to contain_exec('prometheus_streams: remove secrets that are not used any more')
        .with_command(%r{! -name 'shared.password'})
    end
  end

  context 'with a name that the configuration takes' do
    let(:params) do
      { secrets: { 'receiver_stream.token' => 'x' }, nats_token: 'y', receiver_stream: { 'urls' => 'nats://a' } }
    end

    it { is_expected.to compile.and_raise_error(%r{`secrets` has names.*receiver_stream\.token}) }
  end

  context 'with a name that is a path' do
    let(:params) { { secrets: { '../x' => 'y' } } }

    it { is_expected.to compile.and_raise_error(%r{'secrets'}) }
  end

  context 'with a secret that the agent looks up' do
    let(:pre_condition) do
      <<~MANIFEST
        class { 'prometheus_streams':
          receiver_stream  => { 'urls' => 'nats://a' },
          nats_credentials => Deferred('sprintf', ['the-%s', 'seed']),
        }
      MANIFEST
    end

    it 'writes what the agent has found' do
      expect(configuration['receiver_stream']['credentials_file']).to eq "#{dir}/receiver_stream.credentials"
      expect(content("#{dir}/receiver_stream.credentials")).to eq 'the-seed'
    end
  end
end
