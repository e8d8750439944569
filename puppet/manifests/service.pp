# @summary Runs the services
#
# @api private
class prometheus_streams::service {
  assert_private()

  # Units that have changed are read before anything is started.
  exec { 'prometheus_streams: systemctl daemon-reload':
    command     => 'systemctl daemon-reload',
    onlyif      => 'test -d /run/systemd/system',
    path        => ['/usr/bin', '/bin', '/usr/sbin', '/sbin'],
    refreshonly => true,
  }
  prometheus_streams::unit { 'poller':
    wanted       => $prometheus_streams::poller,
    service_name => $prometheus_streams::poller_service_name,
  }
  prometheus_streams::unit { 'receiver':
    wanted       => $prometheus_streams::receiver,
    service_name => $prometheus_streams::receiver_service_name,
  }
}
