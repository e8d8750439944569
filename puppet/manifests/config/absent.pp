# @summary Removes the configuration
#
# @api private
class prometheus_streams::config::absent {
  assert_private()

  file { $prometheus_streams::config_file:
    ensure => absent,
  }
  # Nothing of a secret is to end in a file bucket.
  [$prometheus_streams::secrets_dir, $prometheus_streams::scrape_dir, $prometheus_streams::targets_dir].each |$dir| {
    file { $dir:
      ensure  => absent,
      recurse => true,
      force   => true,
      backup  => false,
    }
  }
  file { ["${prometheus_streams::config_dir}/web-config.yaml", '/etc/logrotate.d/prometheus-streams-puppet']:
    ensure => absent,
    backup => false,
  }
  if $prometheus_streams::purge_data {
    file { $prometheus_streams::config_dir:
      ensure  => absent,
      recurse => true,
      force   => true,
      backup  => false,
      require => File[$prometheus_streams::config_file],
    }
    if $prometheus_streams::log_file != 'journal' {
      file { $prometheus_streams::log_file:
        ensure => absent,
        backup => false,
      }
    }
  }
}
