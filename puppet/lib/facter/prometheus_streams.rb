# frozen_string_literal: true

# What is installed, and until when its certificates are good:
#
#   {
#     'version'      => '2.0.0',
#     'certificates' => {
#       '/var/lib/prometheus-streams/ssl/certs/usdc1.example.net.pem' => {
#         'subject' => '/CN=usdc1.example.net', 'not_after' => '2031-01-02T03:04:05Z', 'days_left' => 1501
#       }
#     }
#   }
#
# Certificates are those that the configuration names for NATS, and those in the folder of enrollment.
# Of a file with several, the one that ends first counts. One that cannot be read has an `error`.
Facter.add(:prometheus_streams) do
  confine kernel: 'Linux'

  setcode do
    require 'openssl'
    require 'time'
    require 'yaml'

    folders = ['/usr/bin', '/usr/local/bin']
    config_file = ENV.fetch('PROMETHEUS_STREAMS_CONFIG', '/etc/prometheus-streams/prometheus-streams.yaml')
    enrolled = ENV.fetch('PROMETHEUS_STREAMS_SSL_DIR', '/var/lib/prometheus-streams/ssl')

    program = folders.map { |folder| File.join(folder, 'prometheus-streams') }.find { |path| File.executable?(path) }
    version = program && Facter::Core::Execution.execute("#{program} --version", on_fail: nil, timeout: 10)

    # Returns the path of the certificate that a block `tls` names.
    certificate = lambda do |tls, identity|
      next unless tls.is_a?(Hash)
      next tls['cert'] unless tls['scheme'] == 'puppet'

      name = tls['identity'] || identity
      File.join(tls['ssl_dir'] || '/etc/puppetlabs/puppet/ssl', 'certs', "#{name}.pem") if name
    end

    named = begin
      config = YAML.safe_load(File.read(config_file), aliases: true)
      config = {} unless config.is_a?(Hash)
      blocks = [config['tls']] + %w[poller_stream receiver_stream].map do |stream|
        config[stream].is_a?(Hash) ? config[stream]['tls'] : nil
      end
      blocks.map { |tls| certificate.call(tls, config['identity']) }
    rescue SystemCallError, Psych::Exception, ArgumentError
      []
    end

    paths = (named.compact + Dir.glob(File.join(enrolled, 'certs', '*.pem'))).map(&:to_s).uniq.sort
    certificates = paths.to_h do |path|
      begin
        pems = File.read(path).scan(%r{-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----}m)
        first = pems.map { |pem| OpenSSL::X509::Certificate.new(pem) }.min_by(&:not_after)
        raise ArgumentError, 'no certificate in it' if first.nil?

        [path, {
          'subject' => first.subject.to_s,
          'not_after' => first.not_after.utc.iso8601,
          'days_left' => ((first.not_after - Time.now) / 86_400).floor,
        }]
      rescue SystemCallError, OpenSSL::X509::CertificateError, ArgumentError => e
        [path, { 'error' => e.message }]
      end
    end

    fact = {}
    fact['version'] = version.split.last if version && version =~ %r{\Aprometheus-streams \S+\z}
    fact['certificates'] = certificates unless certificates.empty?
    fact.empty? ? nil : fact
  end
end
