# @summary Writes the files of the configuration
#
# @api private
class prometheus_streams::config::files {
  assert_private()

  $header = "# Written by Puppet, class prometheus_streams; changes here do not last.\n"
  $owner = $prometheus_streams::config_owner
  $group = $prometheus_streams::group
  $mode = $prometheus_streams::config_mode
  $config_dir = $prometheus_streams::config_dir
  $secrets_dir = $prometheus_streams::secrets_dir
  $scrape_dir = $prometheus_streams::scrape_dir
  $targets_dir = $prometheus_streams::targets_dir
  $log_file = $prometheus_streams::log_file
  $spool_dir = $prometheus_streams::spool_dir
  $check = "${prometheus_streams::programs_dir}/prometheus-streams check %"

  $credentials = {
    'credentials' => $prometheus_streams::nats_credentials,
    'nkey'        => $prometheus_streams::nats_nkey,
    'user'        => $prometheus_streams::nats_user,
    'password'    => $prometheus_streams::nats_password,
    'token'       => $prometheus_streams::nats_token,
  }.filter |$_key, $value| { $value =~ NotUndef }

  $spool = $spool_dir ? {
    undef   => {},
    default => { 'dir' => $spool_dir } + $prometheus_streams::spool,
  }
  $web_config = $prometheus_streams::web_config ? {
    undef                => undef,
    Stdlib::Absolutepath => $prometheus_streams::web_config,
    default              => "${config_dir}/web-config.yaml",
  }

  $ssl_dir = "${prometheus_streams::state_dir}/ssl"
  $tls = prometheus_streams::tls($prometheus_streams::tls, $ssl_dir)
  # What is enrolled is what TLS uses.
  $enrolled_dir = $tls ? {
    Prometheus_streams::PuppetSSL => $tls['ssl_dir'],
    default                       => $ssl_dir,
  }
  $enroll = $prometheus_streams::enroll.empty ? {
    true    => {},
    default => { 'ssl_dir' => $enrolled_dir } + $prometheus_streams::enroll,
  }

  $config = {
    'identity'            => $prometheus_streams::identity,
    'verbose'             => $prometheus_streams::verbose,
    'debug'               => $prometheus_streams::debug,
    'logfile'             => $prometheus_streams::log,
    'strict'              => $prometheus_streams::strict,
    'scrape_interval'     => $prometheus_streams::scrape_interval,
    'scrape_timeout'      => $prometheus_streams::scrape_timeout,
    'body_size_limit'     => $prometheus_streams::body_size_limit,
    'max_age'             => $prometheus_streams::max_age,
    'site_timeout'        => $prometheus_streams::site_timeout,
    'monitor_port'        => $prometheus_streams::monitor_port,
    'monitor_address'     => $prometheus_streams::monitor_address,
    'web_config'          => $web_config,
    'external_labels'     => $prometheus_streams::external_labels,
    'tls'                 => $tls,
    'enroll'              => $enroll,
    'poller_stream'       => prometheus_streams::stream($prometheus_streams::poller_stream, $credentials, $ssl_dir),
    'receiver_stream'     => prometheus_streams::stream($prometheus_streams::receiver_stream, $credentials, $ssl_dir),
    'spool'               => $prometheus_streams::poller ? {
      true    => $spool,
      default => {},
    },
    'wire'                => $prometheus_streams::wire,
    'push_gateway'        => $prometheus_streams::push_gateway,
    'remote_write'        => prometheus_streams::named($prometheus_streams::remote_write, 'name'),
    'exposition'          => $prometheus_streams::exposition,
    'management'          => $prometheus_streams::management,
    'global'              => $prometheus_streams::global,
    'prometheus_config'   => $prometheus_streams::prometheus_config,
    'scrape_config_files' => $prometheus_streams::poller ? {
      true    => ["${scrape_dir}/*.yaml"] + $prometheus_streams::scrape_config_files,
      default => $prometheus_streams::scrape_config_files,
    },
    'scrape_configs'      => prometheus_streams::named($prometheus_streams::scrape_configs, 'job_name'),
    'jobs'                => $prometheus_streams::jobs,
  }
  $rendered = prometheus_streams::render($config, $prometheus_streams::extra_config, $secrets_dir)

  $twice = $rendered['secrets'].keys.filter |$name| { $name in $prometheus_streams::secrets }
  unless $twice.empty {
    fail("prometheus_streams: `secrets` has names that the configuration's own secrets have: ${twice.join(', ')}")
  }
  $secrets = $rendered['secrets'] + $prometheus_streams::secrets

  $roles = {
    'poller'   => $prometheus_streams::poller,
    'receiver' => $prometheus_streams::receiver,
  }.filter |$_role, $wanted| { $wanted }.keys
  $checks = $roles.map |$role| {
    "${prometheus_streams::programs_dir}/prometheus-streams check --for ${role} %"
  }
  $validate_cmd = $prometheus_streams::validate_cmd ? {
    undef   => $checks.empty ? {
      true    => $check,
      default => $checks.join(' && '),
    },
    false   => undef,
    default => $prometheus_streams::validate_cmd,
  }

  file {
    default:
      ensure => directory,
      owner  => $owner,
      group  => $group,
      mode   => '0750',
      ;
    [$config_dir, $secrets_dir]:
      ;
    # What is not declared any more is not scraped any more.
    [$scrape_dir, $targets_dir]:
      recurse => true,
      purge   => true,
      force   => true,
      backup  => false,
      ;
  }

  $secrets.each |$name, $content| {
    prometheus_streams::hidden_file { "${secrets_dir}/${name}":
      content => $content,
      before  => File[$prometheus_streams::config_file],
    }
  }
  # Secrets that nothing names any more go when the configuration that named them is gone: were it refused, the old one
  # would need them still.
  $others = ["find '${secrets_dir}' -type f"] + $secrets.keys.map |$name| { "! -name '${name}'" }
  exec { 'prometheus_streams: remove secrets that are not used any more':
    command => "${others.join(' ')} -delete",
    onlyif  => "${others.join(' ')} | grep -q .",
    path    => ['/usr/bin', '/bin'],
    require => File[$prometheus_streams::config_file],
  }

  if $prometheus_streams::web_config !~ Variant[Undef, Stdlib::Absolutepath] {
    $web = $prometheus_streams::web_config ? {
      Sensitive => $prometheus_streams::web_config,
      default   => Sensitive($prometheus_streams::web_config),
    }
    prometheus_streams::hidden_file { "${config_dir}/web-config.yaml":
      content => prometheus_streams::render({}, $web, $secrets_dir)['content'],
      before  => File[$prometheus_streams::config_file],
    }
  }

  if $prometheus_streams::poller {
    # One scrape configuration for all that `scrape_job` declares: its files are watched.
    file { "${scrape_dir}/scrape-jobs.yaml":
      ensure  => file,
      owner   => $owner,
      group   => $group,
      mode    => $mode,
      content => epp('prometheus_streams/scrape-jobs.yaml.epp', { 'header' => $header, 'targets_dir' => $targets_dir }),
      before  => File[$prometheus_streams::config_file],
    }
    if $spool_dir and $spool_dir != "${prometheus_streams::state_dir}/spool" {
      file { $spool_dir:
        ensure => directory,
        owner  => $prometheus_streams::user,
        group  => $group,
        mode   => '0750',
      }
    }
  }

  $content = $rendered['content'] ? {
    Sensitive => Sensitive("${header}${rendered['content'].unwrap}"),
    default   => "${header}${rendered['content']}",
  }
  $backup = $content ? {
    Sensitive => false,
    default   => undef,
  }
  file { $prometheus_streams::config_file:
    ensure       => file,
    owner        => $owner,
    group        => $group,
    mode         => $mode,
    content      => $content,
    # A secret may be in the text, and in the file that was there before.
    show_diff    => $prometheus_streams::show_diff and $content !~ Sensitive,
    backup       => $backup,
    validate_cmd => $validate_cmd,
  }

  if $log_file != 'journal' {
    file { $log_file:
      ensure => file,
      owner  => $prometheus_streams::user,
      group  => $group,
      mode   => '0640',
    }
    # The package rotates the file that it knows; logrotate takes no file twice.
    $is_packaged = $prometheus_streams::install_method == 'package' and $log_file == '/var/log/prometheus-streams.log'
    $rotation = $prometheus_streams::logrotate.lest || { !$is_packaged } ? {
      true    => 'file',
      default => 'absent',
    }
    file { '/etc/logrotate.d/prometheus-streams-puppet':
      ensure  => $rotation,
      owner   => 'root',
      group   => 'root',
      mode    => '0644',
      content => epp('prometheus_streams/logrotate.epp', { 'header' => $header }),
    }
  }
}
