# @summary Has targets scraped by the poller of a site
#
# Declared on the poller's own node, or exported by any node (`@@prometheus_streams::scrape_job`) and collected by the
# poller whose `site` is the same.
#
# Targets go to a file that the poller watches, so that they come and go without a reload. Many declarations may have one
# `job_name`. With `scrape_config` the job is a scrape configuration of its own, which may say everything that
# prometheus.yml may; then no other may have its name.
#
# @example On the poller's own node
#   prometheus_streams::scrape_job { 'mysql':
#     targets         => ['db1.example.net:9104', 'db2.example.net:9104'],
#     scrape_interval => '15s',
#   }
#
# @example Exported by each node of a site
#   @@prometheus_streams::scrape_job { "${facts['networking']['fqdn']} node":
#     job_name => 'node',
#     site     => 'USDC1',
#     targets  => ["${facts['networking']['fqdn']}:9100"],
#     labels   => { 'role' => 'database' },
#   }
#
# @example A scrape configuration of its own
#   prometheus_streams::scrape_job { 'vault':
#     targets       => ['vault.example.net:8200'],
#     scrape_config => {
#       'scheme'       => 'https',
#       'metrics_path' => '/v1/sys/metrics',
#       'bearer_token' => Sensitive('…'),
#     },
#   }
#
# @param targets Addresses of the targets
# @param ensure Whether they are scraped
# @param job_name The label `job`
# @param labels Labels of the targets
# @param site The site whose poller collects the job when it is exported
# @param metrics_path Path of the request
# @param scheme Scheme of the request
# @param params Parameters of the request
# @param scrape_interval Time from one scrape to the next
# @param scrape_timeout Time that a scrape may take
# @param scrape_config Further keys of a scrape configuration
define prometheus_streams::scrape_job (
  Array[Prometheus_streams::Address, 1] $targets,
  Enum['present', 'absent'] $ensure = 'present',
  Prometheus_streams::Job_name $job_name = $title,
  Prometheus_streams::Labels $labels = {},
  Optional[String[1]] $site = undef,
  Optional[String[1]] $metrics_path = undef,
  Optional[Enum['http', 'https']] $scheme = undef,
  Hash[String[1], String] $params = {},
  Optional[Prometheus_streams::Duration] $scrape_interval = undef,
  Optional[Prometheus_streams::Duration] $scrape_timeout = undef,
  Variant[Prometheus_streams::Scrape_config, Hash[0, 0]] $scrape_config = {},
) {
  include prometheus_streams

  $file = regsubst($title, '[^A-Za-z0-9_.-]', '_', 'G')
  $header = "# Written by Puppet, prometheus_streams::scrape_job; changes here do not last.\n"
  $own = {
    'scrape_interval' => $scrape_interval,
    'scrape_timeout'  => $scrape_timeout,
    'metrics_path'    => $metrics_path,
    'scheme'          => $scheme,
  }.filter |$_key, $value| { $value =~ NotUndef }

  # A service that is to go has no jobs any more: their folders are removed as a whole.
  if $prometheus_streams::ensure == 'present' and $ensure == 'present' {
    if $scrape_config.empty {
      $hidden = $own.reduce({}) |$all, $pair| { $all + { "__${pair[0]}__" => $pair[1] } }
      $with_params = $params.reduce($hidden) |$all, $pair| { $all + { "__param_${pair[0]}" => $pair[1] } }
      $group = {
        'targets' => $targets,
        'labels'  => { 'job' => $job_name } + $with_params + $labels,
      }
      file { "${prometheus_streams::targets_dir}/${file}.yaml":
        ensure  => file,
        owner   => $prometheus_streams::config_owner,
        group   => $prometheus_streams::group,
        mode    => $prometheus_streams::config_mode,
        content => "${header}${prometheus_streams::to_yaml([$group])}",
        require => Class['prometheus_streams::config'],
      }
    } else {
      $lists = $params.reduce({}) |$all, $pair| { $all + { $pair[0] => [$pair[1]] } }
      $with_params = $lists.empty ? {
        true    => {},
        default => { 'params' => $lists },
      }
      $others = $scrape_config['static_configs'].lest || { [] }
      $block = { 'job_name' => $job_name } + $own + $with_params + $scrape_config + {
        'static_configs' => $others + [{ 'targets' => $targets, 'labels' => $labels }],
      }
      # Secrets stay in the file: one that is refused must not take away those of the old one.
      $rendered = prometheus_streams::render({ 'scrape_configs' => [$block] }, {}, undef)
      $content = $rendered['content'] ? {
        Sensitive => Sensitive("${header}${rendered['content'].unwrap}"),
        default   => "${header}${rendered['content']}",
      }
      file { "${prometheus_streams::scrape_dir}/${file}.yaml":
        ensure       => file,
        owner        => $prometheus_streams::config_owner,
        group        => $prometheus_streams::group,
        mode         => $prometheus_streams::config_mode,
        content      => $content,
        # The file that was there before may have secrets, even if this one has none.
        show_diff    => false,
        backup       => false,
        validate_cmd => "${prometheus_streams::programs_dir}/prometheus-streams check %",
        require      => Class['prometheus_streams::config'],
      }
      if $prometheus_streams::poller and $prometheus_streams::manage_services {
        # Not by way of the service itself, which would wait for this file and be skipped when it is refused.
        exec { "prometheus_streams: take up scrape job ${title}":
          command     => "systemctl reload-or-restart ${prometheus_streams::poller_service_name}",
          onlyif      => "systemctl is-active --quiet ${prometheus_streams::poller_service_name}",
          path        => ['/usr/bin', '/bin'],
          refreshonly => true,
          subscribe   => File["${prometheus_streams::scrape_dir}/${file}.yaml"],
          require     => Class['prometheus_streams::service'],
        }
      }
    }
  }
}
