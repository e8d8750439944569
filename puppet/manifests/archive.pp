# @summary Gets the programs out of an archive
#
# Each archive has a folder of its own under `/opt/prometheus-streams`, and links in the folder of programs lead
# there: an older one stays, so that going back takes no download.
#
# @api private
class prometheus_streams::archive {
  assert_private()

  $root = '/opt/prometheus-streams'
  $programs = ['prometheus-streams', 'prometheus-streams-poller', 'prometheus-streams-receiver']

  if $prometheus_streams::ensure == 'present' {
    $source = $prometheus_streams::archive_source
    $checksum = $prometheus_streams::archive_checksum
    unless $source and $checksum {
      fail('prometheus_streams: install_method `archive` needs `archive_source` and `archive_checksum`')
    }
    $short = $checksum[0, 16]
    $folder = "${root}/${short}"
    $archive = "${root}/${short}.tar"

    file { $root:
      ensure => directory,
      owner  => 'root',
      group  => 'root',
      mode   => '0755',
    }
    # Puppet throws a file with another sum away.
    file { $archive:
      ensure         => file,
      source         => $source,
      checksum       => 'sha256',
      checksum_value => $checksum,
      owner          => 'root',
      group          => 'root',
      mode           => '0644',
      backup         => false,
    }
    # The folder appears when all is in it: the move is the last step.
    $steps = [
      "rm -rf '${folder}.new' '${folder}.raw'",
      "mkdir '${folder}.new' '${folder}.raw'",
      "tar -xf '${archive}' -C '${folder}.raw' --no-same-owner",
    ] + $programs.map |$program| {
      "install -m 0755 \"\$(find '${folder}.raw' -type f -name '${program}' | head -n 1)\" '${folder}.new/${program}'"
    } + [
      "rm -rf '${folder}.raw'",
      "mv '${folder}.new' '${folder}'",
    ]
    exec { 'prometheus_streams: unpack the archive':
      command  => $steps.join(' && '),
      provider => shell,
      path     => ['/usr/bin', '/bin', '/usr/sbin', '/sbin'],
      creates  => $folder,
      require  => File[$archive],
    }
    $programs.each |$program| {
      file { "${prometheus_streams::programs_dir}/${program}":
        ensure  => link,
        target  => "${folder}/${program}",
        require => Exec['prometheus_streams: unpack the archive'],
      }
    }
  } else {
    $programs.each |$program| {
      file { "${prometheus_streams::programs_dir}/${program}":
        ensure => absent,
      }
    }
    file { $root:
      ensure  => absent,
      recurse => true,
      force   => true,
      backup  => false,
    }
  }
}
