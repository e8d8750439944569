# Everything goes, but for what the programs have kept and their log; `purge_data` takes that, too.
class { 'prometheus_streams':
  ensure => 'absent',
}
