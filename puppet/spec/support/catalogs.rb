# frozen_string_literal: true

# Questions that several specs ask of a catalog.
module Catalogs
  CONFIG = '/etc/prometheus-streams/prometheus-streams.yaml'

  def bare(value)
    value.respond_to?(:unwrap) ? value.unwrap : value
  end

  def content(path)
    bare(catalogue.resource('File', path)[:content])
  end

  # The configuration as the program reads it.
  def configuration(path = CONFIG)
    YAML.safe_load(content(path))
  end

  # Where a word stands in clear among the parameters of what is made; the classes' and definitions' own parameters are
  # what they were given.
  def in_clear(word)
    made = catalogue.resources.select { |r| %w[File Exec Package Service User Group].include?(r.type) }
    made.flat_map do |resource|
      clear = resource.to_hash.reject { |name, _| resource.sensitive_parameters.include?(name) }
      clear.select { |_, value| value.to_s.include?(word) }.map { |name, _| "#{resource.ref} #{name}" }
    end
  end
end

RSpec.configure { |c| c.include Catalogs }
