# frozen_string_literal: true

require 'json'

# Every system that metadata.json names, with the few facts that the module looks at.
module Systems
  METADATA = JSON.parse(File.read(File.expand_path('../../metadata.json', __dir__)))
  DEBIANS = %w[Debian Ubuntu].freeze

  def self.each
    METADATA['operatingsystem_support'].each do |system|
      system['operatingsystemrelease'].each do |release|
        yield "#{system['operatingsystem']} #{release}", facts(system['operatingsystem'], release)
      end
    end
  end

  def self.facts(name, release)
    family = DEBIANS.include?(name) ? 'Debian' : 'RedHat'
    {
      kernel: 'Linux',
      os: { 'name' => name, 'family' => family, 'release' => { 'full' => release, 'major' => release } },
      networking: { 'fqdn' => 'usdc1.example.net', 'hostname' => 'usdc1' },
    }
  end

  DEBIAN_12 = facts('Debian', '12')
end
