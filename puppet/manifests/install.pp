# @summary Gets the programs, the user that they run as, and the folder for what they keep
#
# @api private
class prometheus_streams::install {
  assert_private()

  $present = $prometheus_streams::ensure == 'present'
  $from_package = $prometheus_streams::install_method == 'package'
  $manage_user = $prometheus_streams::manage_user ? {
    undef   => !$from_package,
    default => $prometheus_streams::manage_user,
  }

  case $prometheus_streams::install_method {
    'package': {
      $package_ensure = $present ? {
        true    => $prometheus_streams::version,
        default => $prometheus_streams::purge_data ? {
          true    => 'purged',
          default => 'absent',
        },
      }
      package { $prometheus_streams::package_name:
        ensure   => $package_ensure,
        source   => $prometheus_streams::package_source,
        provider => $prometheus_streams::package_provider,
      }
    }
    'archive': { contain prometheus_streams::archive }
    default: {}
  }

  if $present and $manage_user {
    group { $prometheus_streams::group:
      ensure => present,
      system => true,
    }
    user { $prometheus_streams::user:
      ensure     => present,
      comment    => 'prometheus-streams',
      gid        => $prometheus_streams::group,
      home       => $prometheus_streams::state_dir,
      shell      => $prometheus_streams::nologin,
      system     => true,
      managehome => false,
    }
  }

  # The package's units make the folder that they know, with a mode of their own.
  if !$from_package or $prometheus_streams::state_dir != '/var/lib/prometheus-streams' {
    if $present {
      file { $prometheus_streams::state_dir:
        ensure => directory,
        owner  => $prometheus_streams::user,
        group  => $prometheus_streams::group,
        mode   => '0750',
      }
    }
  }
  if !$present and $prometheus_streams::purge_data {
    file { $prometheus_streams::state_dir:
      ensure  => absent,
      recurse => true,
      force   => true,
      backup  => false,
    }
  }
}
