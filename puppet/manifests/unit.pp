# @summary Runs one of the two services
#
# @param wanted Whether it is to run here
# @param service_name Its name
#
# @api private
define prometheus_streams::unit (
  Boolean $wanted,
  String[1] $service_name,
) {
  assert_private()

  $present = $prometheus_streams::ensure == 'present' and $wanted
  $units = $prometheus_streams::manage_units ? {
    undef   => $prometheus_streams::install_method == 'archive',
    default => $prometheus_streams::manage_units,
  }
  $unit_dir = '/etc/systemd/system'

  if $prometheus_streams::manage_services and ($present or $prometheus_streams::ensure == 'absent'
  or $prometheus_streams::stop_unused_services) {
    service { $service_name:
      ensure  => $present,
      enable  => $present,
      # The program reads its configuration anew, and starts anew only what has changed.
      restart => "systemctl reload-or-restart ${service_name}",
    }
    $services = [Service[$service_name]]
  } else {
    $services = []
  }

  if $present {
    $files_ensure = 'file'
    $folder_ensure = 'directory'
    $before = $services
    $require = []
    if $prometheus_streams::manage_services {
      File[$prometheus_streams::config_file] ~> Service[$service_name]
      File[$prometheus_streams::scrape_dir] ~> Service[$service_name]
      Prometheus_streams::Hidden_file <| |> ~> Service[$service_name]
      # Programs and units that are others now ask for more than a reload.
      exec { "prometheus_streams: restart ${service_name}":
        command     => "systemctl try-restart ${service_name}",
        onlyif      => 'test -d /run/systemd/system',
        path        => ['/usr/bin', '/bin', '/usr/sbin', '/sbin'],
        refreshonly => true,
        require     => Exec['prometheus_streams: systemctl daemon-reload'],
        subscribe   => [Class['prometheus_streams::install'], File["${unit_dir}/${service_name}.service.d/50-puppet.conf"]],
        before      => Service[$service_name],
      }
      if $units {
        File["${unit_dir}/${service_name}.service"] ~> Exec["prometheus_streams: restart ${service_name}"]
      }
    }
  } else {
    $files_ensure = 'absent'
    $folder_ensure = 'absent'
    $before = []
    # Stopped by the unit that it was started by.
    $require = $services
  }

  if $present or $prometheus_streams::ensure == 'absent' or $prometheus_streams::stop_unused_services {
    if $units {
      file { "${unit_dir}/${service_name}.service":
        ensure  => $files_ensure,
        owner   => 'root',
        group   => 'root',
        mode    => '0644',
        content => epp('prometheus_streams/service.epp', { 'role' => $title }),
        notify  => Exec['prometheus_streams: systemctl daemon-reload'],
        before  => $before,
        require => $require,
      }
    }
    file { "${unit_dir}/${service_name}.service.d":
      ensure  => $folder_ensure,
      owner   => 'root',
      group   => 'root',
      mode    => '0755',
      force   => true,
      require => $require,
    }
    file { "${unit_dir}/${service_name}.service.d/50-puppet.conf":
      ensure  => $files_ensure,
      owner   => 'root',
      group   => 'root',
      mode    => '0644',
      content => epp('prometheus_streams/drop-in.conf.epp', { 'role' => $title, 'is_foreign' => !$units }),
      notify  => Exec['prometheus_streams: systemctl daemon-reload'],
      before  => $before,
      require => $require,
    }
  }
}
