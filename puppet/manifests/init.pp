# @summary Installs, configures and runs prometheus-streams
#
# A poller at each site scrapes targets and publishes what they expose on NATS JetStream; a receiver at the center
# delivers it to Pushgateways and endpoints of remote write. One class makes either, or both.
#
# The parameters up to `version` are those of the module for prometheus-streams 1.0, with their names, types and
# defaults. Hashes and lists that stand in several levels of Hiera are merged deeply.
#
# The configuration is written only when `prometheus-streams check` takes it: a bad one fails the run and leaves the
# file and the services as they are. A changed one is reloaded, not restarted.
#
# Secrets (passwords, tokens, credentials, keys) are moved out of the configuration to files of their own, see
# `secrets`.
#
# @example A site in one class
#   class { 'prometheus_streams':
#     poller        => true,
#     identity      => 'USDC1',
#     poller_stream => { 'urls' => 'nats://nats.usdc1.example.net:4222' },
#     jobs          => {
#       'node' => {
#         'targets' => [{ 'name' => 'db1', 'url' => 'http://db1.usdc1.example.net:9100/metrics' }],
#       },
#     },
#   }
#
# @example The center
#   class { 'prometheus_streams':
#     receiver         => true,
#     nats_credentials => Sensitive(file('/etc/puppetlabs/secrets/receiver.creds')),
#     receiver_stream  => { 'urls' => 'tls://nats.example.net:4222', 'client_id' => 'center' },
#     remote_write     => { 'mimir' => { 'url' => 'https://mimir.example.net/api/v1/push' } },
#   }
#
# @param poller Whether the poller runs here
# @param receiver Whether the receiver runs here
# @param identity Name of this site, which goes with everything that it publishes
# @param config_file Path of the configuration file
# @param log_file File for logs as lines of JSON; `journal` for text in the journal
# @param debug Whether each scrape and message is logged as well
# @param verbose Accepted; what it asked for is always logged
# @param scrape_interval Time from one scrape of a target to the next
# @param max_age What is older than so many seconds, or than this duration, is not delivered; 0: nothing is too old
# @param monitor_port Port of the programs' own metrics and health pages; 0: none
# @param poller_stream Where the poller publishes
# @param receiver_stream Where the receiver reads
# @param push_gateway Pushgateway that the receiver pushes to
# @param management Management over NATS
# @param tls TLS towards NATS, for streams that do not have their own
# @param jobs What the poller scrapes, in short form
# @param poller_service_name Name of the poller's service
# @param receiver_service_name Name of the receiver's service
# @param package_name Name of the package
# @param ensure Whether the software is here, or is removed; see `purge_data`
# @param version Version of the package, or `present` or `latest`
# @param install_method Where the programs come from: a package, an archive (see `archive_source`), or elsewhere
# @param package_source File or address of the package, for providers that have no repository, such as `dpkg`
# @param package_provider Provider of the package, where it is not the system's own
# @param archive_source Archive (tar, maybe compressed) with the three programs: a path, `puppet:` or `http(s):` address
# @param archive_checksum SHA-256 sum of the archive
# @param bin_dir Folder of the programs; by default `/usr/bin`, and `/usr/local/bin` for an archive
# @param manage_user Whether user and group are made; by default not when a package does it
# @param manage_units Whether the services' units are written; by default only for an archive
# @param manage_services Whether the services are started, and stopped
# @param stop_unused_services Whether a service that is not asked for here is stopped and disabled, not left alone
# @param user User that the services run as
# @param group The user's group, which may read the configuration
# @param nologin Shell of the user, when it is made
# @param config_dir Folder for what belongs to the configuration: secrets, scrape jobs
# @param config_owner Owner of the files of the configuration
# @param config_mode Mode of the files of the configuration
# @param secret_mode Mode of the files of secrets
# @param state_dir Folder for what the programs keep: the spool, certificates
# @param scrape_timeout Time that a whole scrape may take
# @param body_size_limit Largest exposition to take, after decompression
# @param site_timeout A site of which nothing arrives for so long is silent
# @param monitor_address Address of the programs' own pages; by default all
# @param external_labels Labels for everything that is written by remote write and does not have them
# @param global What scrape configurations have in common, as in prometheus.yml
# @param scrape_configs What the poller scrapes, as in prometheus.yml: a list, or a hash by the jobs' names, which merges
#   well in Hiera
# @param scrape_config_files Files with more scrape configurations
# @param prometheus_config A whole prometheus.yml whose targets the poller scrapes
# @param remote_write Endpoints that the receiver writes to, as in prometheus.yml: a list, or a hash by their names
# @param exposition A page that a Prometheus scrapes; needs a program that knows the key
# @param spool Where the poller keeps what it cannot publish; by default in `state_dir`; `false`: in memory
# @param wire How the poller encodes what it publishes
# @param web_config TLS and passwords of the programs' own pages, in the form of Prometheus's `--web.config.file`, or the
#   path of such a file; needs a program that knows the key
# @param enroll How running programs get and renew a certificate from a Puppet CA by themselves; see also
#   `prometheus_streams::enroll`
# @param strict Whether secrets that others can read are errors; needs a program that knows the key
# @param nats_credentials JWT and seed for both streams, as `nsc` makes them
# @param nats_nkey Seed of an nkey for both streams
# @param nats_user User for both streams, together with a password
# @param nats_password The user's password
# @param nats_token Token for both streams
# @param secrets Further secrets, each written to a file of this name; see `prometheus_streams::secret_file`
# @param extra_config What is merged into the configuration in the end, whatever its keys
# @param validate_cmd Command that a new configuration must pass, with `%` for the file; `false`: none
# @param show_diff Whether reports show what changes in a configuration without secrets; they show what the old file had
# @param hardening Settings of systemd that confine both services; they come after those of the units
# @param environment Variables for both services, such as `HTTPS_PROXY`
# @param logrotate Whether `log_file` is rotated; by default where the package does not do it
# @param site Name by which exported scrape jobs are collected
# @param collect_scrape_jobs Whether the poller scrapes what nodes export for `site`; needs a PuppetDB
# @param scrape_jobs `prometheus_streams::scrape_job`s to make
# @param purge_data Whether `ensure => absent` also removes what the programs keep, the log and the configuration's folder
class prometheus_streams (
  Boolean $poller = false,
  Boolean $receiver = false,
  String $identity = $facts['networking']['fqdn'],
  Stdlib::Absolutepath $config_file = '/etc/prometheus-streams/prometheus-streams.yaml',
  Variant[Stdlib::Absolutepath, Enum['journal']] $log_file = '/var/log/prometheus-streams.log',
  Boolean $debug = false,
  Boolean $verbose = false,
  Prometheus_streams::Duration $scrape_interval = '30s',
  Variant[Integer[0], Prometheus_streams::Duration] $max_age = 65,
  Integer[0, 65535] $monitor_port = 0,
  Variant[Prometheus_streams::Stream, Hash[0, 0], Sensitive[Prometheus_streams::Stream]] $poller_stream = {},
  Variant[Prometheus_streams::Stream, Hash[0, 0], Sensitive[Prometheus_streams::Stream]] $receiver_stream = {},
  Variant[Prometheus_streams::Push_gateway, Hash[0, 0], Sensitive[Prometheus_streams::Push_gateway]] $push_gateway = {},
  Variant[Prometheus_streams::Management, Hash[0, 0]] $management = {},
  Optional[Prometheus_streams::Tls] $tls = undef,
  Hash[Prometheus_streams::Job_name, Prometheus_streams::Job] $jobs = {},
  String[1] $poller_service_name = 'prometheus-streams-poller',
  String[1] $receiver_service_name = 'prometheus-streams-receiver',
  String[1] $package_name = 'prometheus-streams',
  Enum['present', 'absent'] $ensure = 'present',
  String[1] $version = 'present',
  Enum['package', 'archive', 'none'] $install_method = 'package',
  Optional[String[1]] $package_source = undef,
  Optional[String[1]] $package_provider = undef,
  Optional[String[1]] $archive_source = undef,
  Optional[Pattern[/\A[0-9a-f]{64}\z/]] $archive_checksum = undef,
  Optional[Stdlib::Absolutepath] $bin_dir = undef,
  Optional[Boolean] $manage_user = undef,
  Optional[Boolean] $manage_units = undef,
  Boolean $manage_services = true,
  Boolean $stop_unused_services = false,
  String[1] $user = 'prometheus-streams',
  String[1] $group = 'prometheus-streams',
  Stdlib::Absolutepath $nologin = '/usr/sbin/nologin',
  Stdlib::Absolutepath $config_dir = '/etc/prometheus-streams',
  String[1] $config_owner = 'root',
  Stdlib::Filemode $config_mode = '0640',
  Stdlib::Filemode $secret_mode = '0640',
  Stdlib::Absolutepath $state_dir = '/var/lib/prometheus-streams',
  Optional[Prometheus_streams::Duration] $scrape_timeout = undef,
  Optional[Prometheus_streams::Size] $body_size_limit = undef,
  Optional[Prometheus_streams::Duration] $site_timeout = undef,
  Optional[Stdlib::IP::Address::Nosubnet] $monitor_address = undef,
  Prometheus_streams::Labels $external_labels = {},
  Variant[Prometheus_streams::Global, Hash[0, 0]] $global = {},
  Variant[
    Array[Prometheus_streams::Scrape_config],
    Hash[Prometheus_streams::Job_name, Prometheus_streams::Scrape_config],
    Sensitive[Array[Prometheus_streams::Scrape_config]],
    Sensitive[Hash[Prometheus_streams::Job_name, Prometheus_streams::Scrape_config]]
  ] $scrape_configs = [],
  Array[String[1]] $scrape_config_files = [],
  Optional[Stdlib::Absolutepath] $prometheus_config = undef,
  Variant[
    Array[Prometheus_streams::Remote_write],
    Hash[String[1], Prometheus_streams::Remote_write],
    Sensitive[Array[Prometheus_streams::Remote_write]],
    Sensitive[Hash[String[1], Prometheus_streams::Remote_write]]
  ] $remote_write = [],
  Variant[Prometheus_streams::Block, Array[Prometheus_streams::Block]] $exposition = {},
  Variant[Boolean[false], Prometheus_streams::Spool] $spool = {},
  Variant[Prometheus_streams::Wire, Hash[0, 0]] $wire = {},
  Optional[Variant[Stdlib::Absolutepath, Prometheus_streams::Block, Sensitive[Hash]]] $web_config = undef,
  Variant[Prometheus_streams::Enrollment, Hash[0, 0]] $enroll = {},
  Optional[Boolean] $strict = undef,
  Optional[Prometheus_streams::Secret] $nats_credentials = undef,
  Optional[Prometheus_streams::Secret] $nats_nkey = undef,
  Optional[String[1]] $nats_user = undef,
  Optional[Prometheus_streams::Secret] $nats_password = undef,
  Optional[Prometheus_streams::Secret] $nats_token = undef,
  Hash[Prometheus_streams::Secret_name, Prometheus_streams::Secret] $secrets = {},
  Variant[Prometheus_streams::Block, Sensitive[Hash]] $extra_config = {},
  Optional[Variant[Boolean[false], String[1]]] $validate_cmd = undef,
  Boolean $show_diff = false,
  Hash[Pattern[/\A[A-Z][A-Za-z0-9]*\z/], Prometheus_streams::Setting] $hardening = {},
  Hash[Pattern[/\A[A-Za-z_][A-Za-z0-9_]*\z/], Pattern[/\A[^\n]*\z/]] $environment = {},
  Optional[Boolean] $logrotate = undef,
  String[1] $site = $identity,
  Boolean $collect_scrape_jobs = false,
  Hash[String[1], Prometheus_streams::Declared_job] $scrape_jobs = {},
  Boolean $purge_data = false,
) {
  $programs_dir = $bin_dir ? {
    undef   => $install_method ? {
      'archive' => '/usr/local/bin',
      default   => '/usr/bin',
    },
    default => $bin_dir,
  }
  $secrets_dir = "${config_dir}/secrets"
  $scrape_dir = "${config_dir}/scrape.d"
  $targets_dir = "${config_dir}/targets.d"
  $spool_dir = $spool ? {
    false   => undef,
    default => $spool['dir'] ? {
      undef   => "${state_dir}/spool",
      default => $spool['dir'],
    },
  }
  # Where the programs may write.
  $log = $log_file ? {
    'journal' => undef,
    default   => $log_file,
  }
  $writable = [$state_dir, $spool_dir, $log].filter |$path| { $path =~ NotUndef }

  contain prometheus_streams::install
  contain prometheus_streams::config
  contain prometheus_streams::service

  if $ensure == 'present' {
    # What each change asks of the services, a reload or a restart, is said in `service`.
    Class['prometheus_streams::install']
    -> Class['prometheus_streams::config']
    -> Class['prometheus_streams::service']

    $scrape_jobs.each |$name, $job| {
      prometheus_streams::scrape_job { $name:
        * => $job,
      }
    }
    if $poller and $collect_scrape_jobs {
      Prometheus_streams::Scrape_job <<| site == $site |>>
    }
  } else {
    Class['prometheus_streams::service']
    -> Class['prometheus_streams::config']
    -> Class['prometheus_streams::install']
  }
}
