# frozen_string_literal: true

require 'tmpdir'
require 'yaml'
require 'rspec-puppet'

# The folder of this module has another name than the module, and Puppet finds modules by their folders.
modules = Dir.mktmpdir('prometheus_streams-spec')
at_exit { FileUtils.remove_entry(modules) }
File.symlink(File.expand_path('..', __dir__), File.join(modules, 'prometheus_streams'))
stdlib = ENV.fetch('PUPPET_MODULES', '/usr/share/puppet/modules')

RSpec.configure do |c|
  c.module_path = [modules, stdlib].join(File::PATH_SEPARATOR)
  c.setup_fixtures = false
  c.strict_variables = true
  c.fail_fast = false
  c.mock_with :rspec
  # What Puppet 7 only warns of and Puppet 8 refuses.
  c.before { Puppet[:strict] = :error }
  c.default_facts = { networking: { fqdn: 'usdc1.example.net', hostname: 'usdc1' } }
  c.after(:suite) { RSpec::Puppet::Coverage.report! if ENV['COVERAGE'] }
end

Dir[File.join(__dir__, 'support', '*.rb')].sort.each { |file| require file }
