# frozen_string_literal: true

require 'yaml'

# @summary Renders the configuration as YAML, and takes the secrets out of it.
#
# Every secret that the program can read from a file goes into a file of its own, which the YAML names
# in its place: it is neither in the YAML nor in a report about it.
# What is `Sensitive` elsewhere makes the whole text `Sensitive`.
# Keys stand in the order in which they are given, so that equal data makes equal text.
Puppet::Functions.create_function(:'prometheus_streams::render') do
  # @param config The configuration; keys without a value and empty blocks at its top level are left out.
  # @param extra What is merged into it in the end: hashes key by key, everything else in place of what was there.
  # @param secrets_dir Where the files of secrets are; without it secrets stay where they are, and make the text
  #   `Sensitive`.
  # @return The YAML, which is `Sensitive` when a secret is left in it, and the secrets by the names of their files.
  # @example A token goes to a file of its own
  #   prometheus_streams::render({'bearer_token' => 'x'}, {}, '/etc/s')
  #   # {'content' => "---\nbearer_token_file: /etc/s/bearer_token\n", 'secrets' => {'bearer_token' => Sensitive('x')}}
  dispatch :render do
    param 'Hash', :config
    param 'Variant[Hash, Sensitive[Hash]]', :extra
    param 'Optional[String[1]]', :secrets_dir
    return_type 'Struct[{content => Variant[String, Sensitive[String]], secrets => Hash[String, Variant[Sensitive, Deferred]]}]'
  end

  # No constants and no classes in here: Puppet loads this file once for each environment, and they
  # would be shared by all of them.

  def render(config, extra, secrets_dir)
    state = { dir: secrets_dir, secrets: {}, tainted: false }
    tree = block(open(merge(config, extra), state), [], state)
    tree = tree.reject { |_, value| (value.is_a?(Hash) || value.is_a?(Array)) && value.empty? }
    # A negative width keeps long strings on one line.
    text = YAML.dump(tree, line_width: -1)
    { 'content' => state[:tainted] ? seal(text) : text, 'secrets' => state[:secrets] }
  end

  # Keys of secrets, the keys that name their files, and the blocks in which the program knows both; any block where
  # none is given.
  def file_keys
    streams = %w[poller_stream receiver_stream]
    {
      'password' => ['password_file', streams + ['basic_auth']],
      'token' => ['token_file', streams],
      'nkey' => ['nkey_file', streams],
      'credentials' => ['credentials_file', streams + ['authorization']],
      'bearer_token' => ['bearer_token_file', nil],
      'client_secret' => ['client_secret_file', ['oauth2']],
      'challenge' => ['challenge_file', ['enroll']],
      'key' => ['key_file', ['tls_config']],
    }
  end

  # Merges hashes at every depth; a hash is `Sensitive` when one of the two was.
  def merge(base, over)
    return over unless bare(base).is_a?(Hash) && bare(over).is_a?(Hash)

    merged = bare(base).merge(bare(over)) { |_, old, new| merge(old, new) }
    sealed?(base) || sealed?(over) ? seal(merged) : merged
  end

  def copy(value, path, state)
    value = open(value, state)
    case value
    when Hash then block(value, path, state)
    when Array then value.each_with_index.map { |item, index| copy(item, path + [item_name(item, index)], state) }
    # YAML writes an anchor and an alias for a string that it meets twice, hence the copy.
    when String then value.dup
    when Integer, Float, true, false, nil then value
    else raise Puppet::ParseError, refusal(value, path)
    end
  end

  def block(hash, path, state)
    hash.each_with_object({}) do |(key, value), out|
      next if value.nil?

      name, inside = entry(key.to_s, value, path, state)
      out[name] = inside
    end
  end

  # Returns the key and the value that the YAML has for those that were given.
  def entry(key, value, path, state)
    parent = path.reverse.find { |part| !part.start_with?('[') }
    below = path + [key]
    if state[:dir].nil?
      state[:tainted] = true if key == 'secrets' || (file_key(key, parent) && secret?(value))
      [key, copy(value, below, state)]
    elsif file_key(key, parent) && secret?(value)
      [file_key(key, parent), keep(value, below, state)]
    elsif parent == 'headers' && (sealed?(value) || deferred?(value))
      [key, { 'file' => keep(value, below, state) }]
    elsif parent == 'http_headers' && bare(value).is_a?(Hash) && bare(bare(value)['secrets']).is_a?(Array)
      [key, header(bare(value), below, state)]
    else
      [key, copy(value, below, state)]
    end
  end

  # Moves the secret values of one of `http_headers` to its files.
  def header(header, path, state)
    secrets = bare(header['secrets']).each_with_index.map do |secret, index|
      keep(secret, path + [index.to_s], state)
    end
    rest = header.reject { |key, _| %w[secrets files].include?(key) }
    block(rest, path, state).merge('files' => secrets + copy(header['files'] || [], path, state))
  end

  # Puts a secret among those that go to files, and returns the path of its file.
  def keep(value, path, state)
    base = path.map { |part| part.tr('[]', '').gsub(%r{[^A-Za-z0-9_-]}, '_') }.join('.')[0, 180]
    name = base
    number = 1
    name = "#{base}.#{number += 1}" while state[:secrets].key?(name)
    state[:secrets][name] = deferred?(bare(value)) ? bare(value) : seal(bare(value))
    "#{state[:dir]}/#{name}"
  end

  # Names an item of a list, in brackets, since it is no key.
  def item_name(item, index)
    item = bare(item)
    name = item.is_a?(Hash) && bare(item['job_name'] || item['name'])
    "[#{name.is_a?(String) ? name : index}]"
  end

  def file_key(key, parent)
    name, parents = file_keys[key]
    name if parents.nil? || parents.include?(parent)
  end

  def secret?(value)
    bare(value).is_a?(String) || deferred?(bare(value))
  end

  def open(value, state)
    state[:tainted] = true if sealed?(value)
    bare(value)
  end

  def bare(value)
    sealed?(value) ? value.unwrap : value
  end

  def seal(value)
    Puppet::Pops::Types::PSensitiveType::Sensitive.new(value)
  end

  def sealed?(value)
    value.is_a?(Puppet::Pops::Types::PSensitiveType::Sensitive)
  end

  def deferred?(value)
    value.respond_to?(:_pcore_type) && value._pcore_type.name == 'Deferred'
  end

  def refusal(value, path)
    where = path.join('.').gsub('.[', '[')
    return "prometheus_streams: `#{where}` cannot be deferred: the program reads it from no file" if deferred?(value)

    "prometheus_streams: `#{where}` has a value that YAML has no word for: #{value.class}"
  end
end
