# @summary Gets a certificate from a Puppet CA, once, and renews it by a timer
#
# Runs `prometheus-streams enroll` as the services' user before the configuration is written, since that may name the
# files. The key never leaves the machine. A CA that does not sign by itself is asked again at each run; until it has
# signed, the services are not started.
#
# @example
#   prometheus_streams::enroll { $facts['networking']['fqdn']:
#     ca             => 'puppet.example.net:8140',
#     ca_fingerprint => 'SHA256:…',
#     extensions     => { 'pp_role' => 'metrics_poller' },
#   }
#   class { 'prometheus_streams':
#     tls => {
#       'scheme'   => 'puppet',
#       'identity' => $facts['networking']['fqdn'],
#       'ssl_dir'  => '/var/lib/prometheus-streams/ssl',
#     },
#   }
#
# @param certname Name to enroll
# @param ssl_dir Folder of the files, in the layout of a Puppet agent's ssldir
# @param ca Address of the CA; by default `puppet:8140`
# @param ca_fingerprint SHA-256 sum that the CA's certificate must have
# @param ca_file File with the CA's certificates, to be trusted from the start
# @param extensions Trusted facts to ask for, by their short names or object identifiers
# @param challenge Password by which the CA may recognize the request
# @param dns_alt_names Further names of a server
# @param wait Seconds to wait for the certificate in one run
# @param renew Whether a timer renews the certificate and fetches the revocation list each day; not needed where the
#   configuration has `enroll`
define prometheus_streams::enroll (
  Prometheus_streams::Certname $certname = $title,
  Stdlib::Absolutepath $ssl_dir = '/var/lib/prometheus-streams/ssl',
  Optional[Prometheus_streams::Ca] $ca = undef,
  Optional[Prometheus_streams::Fingerprint] $ca_fingerprint = undef,
  Optional[Stdlib::Absolutepath] $ca_file = undef,
  Hash[String[1], String[1]] $extensions = {},
  Optional[Prometheus_streams::Secret] $challenge = undef,
  Array[String[1]] $dns_alt_names = [],
  Integer[0, 3600] $wait = 0,
  Boolean $renew = true,
) {
  include prometheus_streams

  $program = "${prometheus_streams::programs_dir}/prometheus-streams"
  $unit = "prometheus-streams-enroll-${certname}"
  $timer = "/etc/systemd/system/${unit}"
  $present = $prometheus_streams::ensure == 'present'
  $challenge_file = "${prometheus_streams::config_dir}/enroll-${certname}.challenge"

  $options = [
    ['--dir', $ssl_dir],
    ['--ca', $ca],
    ['--ca-fingerprint', $ca_fingerprint],
    ['--ca-file', $ca_file],
  ].filter |$option| { $option[1] =~ NotUndef }
  $words = [$program, 'enroll', $certname] + $options.flatten
  $trusted_facts = $extensions.map |$name, $value| { ['--extension', "${name}=${value}"] }
  $names = $dns_alt_names.map |$name| { ['--dns-alt-name', $name] }

  if $present {
    if $challenge =~ NotUndef {
      prometheus_streams::hidden_file { $challenge_file:
        content => $challenge,
        # The folder is the configuration's, most of which comes later.
        require => [Class['prometheus_streams::install'], File[$prometheus_streams::config_dir]],
        before  => Exec["prometheus_streams: enroll ${certname}"],
      }
      $proof = ['--challenge-file', $challenge_file]
    } else {
      $proof = []
    }
    $patience = $wait ? {
      0       => ['--waitforcert', '0'],
      default => ['--waitforcert', '10', '--timeout', String($wait)],
    }

    # Several names may be enrolled in one folder.
    unless defined(File[$ssl_dir]) {
      file { $ssl_dir:
        ensure  => directory,
        owner   => $prometheus_streams::user,
        group   => $prometheus_streams::group,
        mode    => '0750',
        require => Class['prometheus_streams::install'],
      }
    }
    exec { "prometheus_streams: enroll ${certname}":
      command => ($words + $trusted_facts.flatten + $names.flatten + $proof + $patience).shellquote,
      creates => "${ssl_dir}/certs/${certname}.pem",
      user    => $prometheus_streams::user,
      timeout => $wait + 120,
      path    => ['/usr/bin', '/bin'],
      require => File[$ssl_dir],
      before  => [File[$prometheus_streams::config_file], Class['prometheus_streams::service']],
    }
  } else {
    file { $challenge_file:
      ensure => absent,
      backup => false,
    }
  }

  $wanted = $present and $renew
  $ensure = $wanted ? {
    true    => 'file',
    default => 'absent',
  }
  file {
    default:
      ensure => $ensure,
      owner  => 'root',
      group  => 'root',
      mode   => '0644',
      notify => Exec['prometheus_streams: systemctl daemon-reload'],
      ;
    "${timer}.service":
      content => epp('prometheus_streams/enroll.service.epp', {
          'certname' => $certname,
          'command'  => ($words + ['--renew']).shellquote,
          'ssl_dir'  => $ssl_dir,
      }),
      ;
    "${timer}.timer":
      content => epp('prometheus_streams/enroll.timer.epp', { 'certname' => $certname }),
      ;
  }
  if $prometheus_streams::manage_services {
    service { "${unit}.timer":
      ensure => $wanted,
      enable => $wanted,
    }
    if $wanted {
      [File["${timer}.service"], File["${timer}.timer"], Exec['prometheus_streams: systemctl daemon-reload']]
      -> Service["${unit}.timer"]
    } else {
      Service["${unit}.timer"] -> [File["${timer}.service"], File["${timer}.timer"]]
    }
  }
}
