# frozen_string_literal: true

require 'spec_helper'

describe 'prometheus_streams::named' do
  let(:facts) { Systems::DEBIAN_12 }

  it { is_expected.to run.with_params({ 'b' => { 'x' => 1 }, 'a' => {} }, 'n').and_return([{ 'n' => 'b', 'x' => 1 }, { 'n' => 'a' }]) }
  it { is_expected.to run.with_params({ 'b' => { 'n' => 'own' } }, 'n').and_return([{ 'n' => 'own' }]) }
  it { is_expected.to run.with_params([{ 'n' => 'b' }], 'n').and_return([{ 'n' => 'b' }]) }
  it { is_expected.to run.with_params({}, 'n').and_return([]) }
end

describe 'prometheus_streams::stream' do
  let(:facts) { Systems::DEBIAN_12 }

  let(:token) { { 'token' => 't' } }

  it { is_expected.to run.with_params({}, token, '/s').and_return({}) }
  it { is_expected.to run.with_params({ 'urls' => 'a' }, token, '/s').and_return({ 'urls' => 'a', 'token' => 't' }) }
  it { is_expected.to run.with_params({ 'token_file' => '/f' }, token, '/s').and_return({ 'token_file' => '/f' }) }

  it 'completes its TLS' do
    is_expected.to run.with_params({ 'tls' => { 'scheme' => 'puppet' } }, {}, '/s')
      .and_return({ 'tls' => { 'scheme' => 'puppet', 'ssl_dir' => '/s' } })
  end
end

describe 'prometheus_streams::tls' do
  let(:facts) { Systems::DEBIAN_12 }

  it { is_expected.to run.with_params(nil, '/s').and_return(nil) }
  it { is_expected.to run.with_params({ 'ca' => '/c' }, '/s').and_return({ 'ca' => '/c' }) }
  it { is_expected.to run.with_params({ 'scheme' => 'puppet' }, '/s').and_return({ 'scheme' => 'puppet', 'ssl_dir' => '/s' }) }

  it 'keeps what was said' do
    own = { 'scheme' => 'puppet', 'ssl_dir' => '/own' }
    is_expected.to run.with_params(own, '/s').and_return(own)
  end
end

describe 'prometheus_streams::secret_file' do
  let(:facts) { Systems::DEBIAN_12 }

  it { is_expected.to run.with_params('a.b').and_return('/etc/prometheus-streams/secrets/a.b') }
  it { is_expected.to run.with_params('a/b').and_raise_error(%r{parameter 'name'}) }
end

describe 'prometheus_streams::to_yaml' do
  it { is_expected.to run.with_params([{ 'a' => 'x', 'b' => 'x' }]).and_return("---\n- a: x\n  b: x\n") }
end
