#!/usr/bin/env bash
# Applies the module for real: a systemd of its own boots on a throw-away copy of this machine's root,
# with no network but a loopback, and `puppet apply` installs, changes, breaks and removes a site in it.
#
# Needs root, and what scripts/install-deps.sh and scripts/install-puppet.sh install.
#
#   PACKAGE=FILE.deb   package to install; by default the one in target/packages, or else one made here
#   PROGRAMS=DIR       programs for the archive, and for a package that is made here: target/debug
#   PACKAGING=DIR      units and scripts for a package that is made here: packaging
#   ENROLLER=FILE      program that enrolls, when the one among the programs does not know how
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
programs=${PROGRAMS:-$root/target/debug}
packaging=${PACKAGING:-$root/packaging}
enroller=${ENROLLER:-$programs/prometheus-streams}
here=$root/target/puppet-acceptance
names=(prometheus-streams prometheus-streams-poller prometheus-streams-receiver)
token=acceptance-token-5f1c

say() { printf 'acceptance: %s\n' "$*" >&2; }
die() {
  say "FAILED: $*"
  exit 1
}

[ "$(id -u)" = 0 ] || die "needs root, for a mount namespace and a container"
for program in systemd-nspawn puppet nats-server prometheus-node-exporter prometheus-pushgateway; do
  command -v "$program" >/dev/null || die "no \`$program\`: run scripts/install-deps.sh and scripts/install-puppet.sh"
done
"$enroller" enroll --help >/dev/null 2>&1 || die "\`$enroller\` knows no \`enroll\`"
for name in "${names[@]}"; do
  [ -x "$programs/$name" ] || die "no \`$programs/$name\`: run cargo build"
done

# --- what is installed ----------------------------------------------------------------------------

# A package as `make packages` makes it, but for documents: from programs that are there.
make_package() { # VERSION
  local tree=$here/deb package=$here/prometheus-streams_$1_test.deb role
  rm -rf "$tree"
  for name in "${names[@]}"; do
    install -D -s -m 755 "$programs/$name" "$tree/usr/bin/$name"
  done
  for role in poller receiver; do
    install -D -m 644 "$packaging/systemd/prometheus-streams-$role.service" \
      "$tree/usr/lib/systemd/system/prometheus-streams-$role.service"
  done
  install -D -m 640 "$root/config/prometheus-streams.yaml" \
    "$tree/etc/prometheus-streams/prometheus-streams.yaml"
  install -D -m 644 "$packaging/systemd/default" "$tree/etc/default/prometheus-streams"
  install -D -m 644 "$packaging/systemd/logrotate" "$tree/etc/logrotate.d/prometheus-streams"
  mkdir "$tree/DEBIAN"
  install -m 755 "$packaging"/debian/{postinst,prerm,postrm} "$tree/DEBIAN"
  (cd "$tree" && find etc -type f | sed 's|^|/|') >"$tree/DEBIAN/conffiles"
  cat >"$tree/DEBIAN/control" <<END
Package: prometheus-streams
Version: $1
Architecture: $(dpkg --print-architecture)
Maintainer: Nobody <nobody@example.net>
Depends: adduser
Description: prometheus-streams, made for a test
END
  dpkg-deb --root-owner-group -Zgzip --build "$tree" "$package" >/dev/null
  printf '%s\n' "$package"
}

make_archive() {
  local tree=$here/archive/prometheus-streams-2.0.0
  rm -rf "$here/archive"
  for name in "${names[@]}"; do
    install -D -s -m 755 "$programs/$name" "$tree/$name"
  done
  tar -czf "$here/archive.tar.gz" -C "$here/archive" prometheus-streams-2.0.0
}

rm -rf "$here"
mkdir -p "$here/modules" "$here/root" "$here/manifests"
# A copy, so that nothing changes while this runs.
cp -r "$root/puppet" "$here/modules/prometheus_streams"
package=${PACKAGE:-$(find "$root/target/packages" -maxdepth 1 -name '*.deb' 2>/dev/null | sort | tail -n 1 || true)}
[ -n "$package" ] || package=$(make_package 2.0.0-0)
make_archive
install -D -s -m 755 "$enroller" "$here/enroll/prometheus-streams"
checksum=$(sha256sum "$here/archive.tar.gz" | cut -d ' ' -f 1)
say "package: $package"

# --- the machine ----------------------------------------------------------------------------------

boot() {
  # Mounts are private to this process, and the copy is in memory: nothing is left behind.
  # shellcheck disable=SC2016
  unshare --mount sh -c '
    mount --make-rprivate / && mount --bind / "$1" &&
      exec systemd-nspawn --quiet -D "$1" --volatile=overlay --private-network --register=no \
        --keep-unit --boot --machine=puppet-acceptance-$$
  ' sh "$here/root" >"$here/boot.log" 2>&1 </dev/null &
  nspawn=$!
}

inside() {
  nsenter -t "$leader" -m -u -i -n -p -C -r --wdns=/ env -i \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}

wait_for() { # WORDS COMMAND…
  local words=$1 end=$((SECONDS + 120))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || die "waited in vain until $words"
    sleep 0.1
  done
}

finish() {
  local status=$?
  if [ -n "${leader:-}" ]; then
    if [ "$status" != 0 ] && [ -d "/proc/$leader" ]; then
      inside journalctl --no-pager -n 60 -u 'prometheus-streams*' >&2 || true
      inside tail -n 40 /var/log/prometheus-streams.log >&2 || true
      inside sh -c 'curl -s http://127.0.0.1:9091/metrics | grep push_time' >&2 || true
    fi
    kill -s SIGRTMIN+4 "$leader" 2>/dev/null || true
    for _ in $(seq 100); do
      kill -0 "$nspawn" 2>/dev/null || break
      sleep 0.1
    done
  fi
  if [ -n "${nspawn:-}" ]; then
    kill "$nspawn" 2>/dev/null || true
  fi
}
trap finish EXIT

find_leader() {
  leader=$(ps -o pid= --ppid "$nspawn" | tr -d ' ' | head -n 1)
  [ -n "$leader" ]
}
# The first child is not the last one: systemd-nspawn forks twice.
is_up() {
  find_leader || return 1
  case $(inside systemctl is-system-running) in running | degraded) ;; *) return 1 ;; esac
}

say "booting a systemd"
boot
wait_for "systemd is up" is_up

inside systemctl stop nats-server 2>/dev/null || true
inside sh -c "mkdir -p /run/acceptance && cat >/run/acceptance/nats.conf" <<END
listen: 127.0.0.1:4222
jetstream { store_dir: /run/acceptance/jetstream }
authorization { token: "$token" }
END
inside systemd-run --quiet --unit=acceptance-nats nats-server -c /run/acceptance/nats.conf
inside systemctl start prometheus-node-exporter prometheus-pushgateway
wait_for "the Pushgateway is ready" inside curl -sf http://127.0.0.1:9091/-/ready

# --- steps ----------------------------------------------------------------------------------------

# Applies a manifest and compares the exit code: 0 no change, 1 no catalog, 2 changes, 4 and 6 failures.
apply() { # EXPECTED MANIFEST
  local code=0
  inside puppet apply --detailed-exitcodes --show_diff --color=false \
    --modulepath "$here/modules:/usr/share/puppet/modules" "$2" >"$here/apply.log" 2>&1 || code=$?
  grep -v 'rb_sysopen - /proc' "$here/apply.log" >"$here/apply.txt" || true
  if [ "$code" != "$1" ]; then
    cat "$here/apply.txt" >&2
    die "$(basename "$2"): exit code $code, expected $1"
  fi
  if grep -q "$token" "$here/apply.log"; then
    die "$(basename "$2"): a secret is shown"
  fi
}

manifest() { # NAME, text on standard input
  cat >"$here/manifests/$1.pp"
  printf '%s\n' "$here/manifests/$1.pp"
}

same() { # WORDS EXPECTED COMMAND…
  local words=$1 expected=$2 got
  shift 2
  got=$("$@") || true
  [ "$got" = "$expected" ] || die "$words: got \`$got\`, expected \`$expected\`"
}

pid_of() { inside systemctl show -P MainPID "prometheus-streams-$1"; }
is_delivered() { inside sh -c "curl -s http://127.0.0.1:9091/metrics | grep -q '^push_time_seconds{.*job=\"$1\"'"; }
config=/etc/prometheus-streams/prometheus-streams.yaml

# Shared by the sites below: $1 is put among the class's parameters, $2 behind it.
site() {
  cat <<END
class { 'prometheus_streams':
  package_source   => '$package',
  package_provider => 'dpkg',
  poller           => true,
  receiver         => true,
  identity         => 'ACC1',
  show_diff        => true,
  scrape_interval  => '2s',
  monitor_port     => 0,
  poller_stream    => { 'urls' => 'nats://127.0.0.1:4222', 'cluster_id' => 'acceptance', 'topic' => 'prometheus' },
  receiver_stream  => {
    'client_id'  => 'acceptance',
    'cluster_id' => 'acceptance',
    'urls'       => 'nats://127.0.0.1:4222',
    'topic'      => 'prometheus',
  },
  push_gateway     => { 'url' => 'http://127.0.0.1:9091', 'publisher_label' => true },
  nats_token       => Sensitive('$token'),
$1
}
$2
END
}
jobs="  jobs => {
    'node'        => { 'targets' => [{ 'name' => 'node1', 'url' => 'http://127.0.0.1:9100/metrics?collect[]=loadavg' }] },
    'uname'       => { 'targets' => [{ 'url' => 'http://127.0.0.1:9100/metrics?collect[]=uname' }] },
    'gone'        => { 'targets' => [{ 'name' => 'nobody', 'url' => 'http://127.0.0.1:9/metrics' }] },
  },"

say "1. a site with three jobs"
first=$(site "$jobs" "" | manifest first)
apply 2 "$first"
# shellcheck disable=SC2016
same "the package" "install ok installed" inside dpkg-query -W -f '${Status}' prometheus-streams
same "the configuration" "640 root prometheus-streams" inside stat -c '%a %U %G' "$config"
same "a secret" "640 root prometheus-streams" inside stat -c '%a %U %G' /etc/prometheus-streams/secrets/poller_stream.token
same "a secret's text" "$token" inside cat /etc/prometheus-streams/secrets/poller_stream.token
same "secrets in the configuration" 0 inside grep -c "$token" "$config"
for role in poller receiver; do
  same "the $role" active inside systemctl is-active "prometheus-streams-$role"
  same "the $role at boot" enabled inside systemctl is-enabled "prometheus-streams-$role"
  same "the $role's drop-in" 1 \
    sh -c "'$(command -v nsenter)' -t $leader -m -p -r systemctl show -P DropInPaths prometheus-streams-$role | grep -c 50-puppet.conf"
  same "the $role's user" prometheus-streams inside ps -o user:32= -p "$(pid_of "$role")"
done
wait_for "job node is delivered" is_delivered node
wait_for "job uname is delivered" is_delivered uname

say "2. the same again changes nothing"
apply 0 "$first"

say "3. another job is a reload, not a restart"
poller=$(pid_of poller) receiver=$(pid_of receiver)
more=$(site "${jobs/\'node\'  /\'more\' => \{ \'targets\' => [\{ \'name\' => \'node2\', \'url\' => \'http:\/\/127.0.0.1:9100\/metrics\' \}] \},
    \'node\'  }" "" | manifest more)
apply 2 "$more"
wait_for "job more is delivered" is_delivered more
same "the poller's process" "$poller" pid_of poller
same "the receiver's process" "$receiver" pid_of receiver
apply 0 "$more"

say "4. a bad job is refused, and the old file stays"
sum=$(inside sha256sum "$config")
bad=$(site "${jobs/http:\/\/127.0.0.1:9100/htp:\/\/127.0.0.1:9100}" "" | manifest bad)
apply 4 "$bad"
grep -q 'htp' "$here/apply.txt" || die "the refusal does not say what is wrong"
same "the configuration" "$sum" inside sha256sum "$config"
same "the poller's process" "$poller" pid_of poller
same "the poller" active inside systemctl is-active prometheus-streams-poller
say "   $(grep -m 1 -o 'yaml[0-9a-z-]*:[0-9]*:[0-9]*: .*' "$here/apply.txt")"

say "5. a wrong type is refused before anything is done"
wrong=$(site "$jobs scrape_timeout => 5," "" | manifest wrong)
apply 1 "$wrong"
grep -q "parameter 'scrape_timeout' expects" "$here/apply.txt" || die "the parameter is not named"
say "   $(grep -o "parameter 'scrape_timeout' expects.*" "$here/apply.txt" | cut -c -100)"

say "6. another place for the log asks for a restart"
journal=$(site "$jobs log_file => 'journal'," "" | manifest journal)
apply 2 "$journal"
[ "$(pid_of poller)" != "$poller" ] || die "the poller was not restarted"
same "the poller" active inside systemctl is-active prometheus-streams-poller
apply 0 "$journal"

say "7. scrape jobs come and go without a reload"
poller=$(pid_of poller)
declared=$(site "$jobs log_file => 'journal'," "
prometheus_streams::scrape_job { 'web1 node':
  job_name => 'declared',
  targets  => ['127.0.0.1:9100'],
  params   => { 'collect[]' => 'stat' },
  labels   => { 'instance' => 'web1' },
}
prometheus_streams::scrape_job { 'own':
  targets       => ['127.0.0.1:9100'],
  params        => { 'collect[]' => 'vmstat' },
  scrape_config => { 'honor_labels' => true, 'bearer_token' => Sensitive('$token') },
}" | manifest declared)
apply 2 "$declared"
wait_for "job declared is delivered" is_delivered declared
wait_for "job own is delivered" is_delivered own
same "the poller's process" "$poller" pid_of poller
apply 0 "$declared"
broken=$(site "$jobs log_file => 'journal'," "
prometheus_streams::scrape_job { 'web1 node':
  job_name => 'declared',
  targets  => ['127.0.0.1:9100'],
  params   => { 'collect[]' => 'stat' },
  labels   => { 'instance' => 'web1' },
}
prometheus_streams::scrape_job { 'own':
  targets       => ['127.0.0.1:9100'],
  params        => { 'collect[]' => 'vmstat' },
  scrape_config => { 'honor_labels' => true, 'relabel_configs' => [{ 'action' => 'hashmod' }] },
}" | manifest broken)
sum=$(inside sha256sum /etc/prometheus-streams/scrape.d/own.yaml)
apply 4 "$broken"
same "the scrape job" "$sum" inside sha256sum /etc/prometheus-streams/scrape.d/own.yaml
same "the poller" active inside systemctl is-active prometheus-streams-poller
apply 2 "$journal"
same "scrape jobs" "" inside find /etc/prometheus-streams/targets.d -type f
same "scrape configurations" /etc/prometheus-streams/scrape.d/scrape-jobs.yaml \
  inside find /etc/prometheus-streams/scrape.d -type f

say "8. absent cleans up"
absent=$(site "ensure => 'absent'," "" | manifest absent)
apply 2 "$absent"
same "the package" "" inside sh -c "dpkg-query -W -f '\${Status}' prometheus-streams | grep ' installed'"
for path in "$config" /etc/prometheus-streams/secrets /usr/bin/prometheus-streams \
  /etc/systemd/system/prometheus-streams-poller.service.d; do
  if inside test -e "$path"; then die "$path is still there"; fi
done
inside test -d /var/lib/prometheus-streams/spool || die "the spool was removed without purge_data"
apply 0 "$absent"
purged=$(site "ensure => 'absent', purge_data => true," "" | manifest purged)
apply 2 "$purged"
for path in /etc/prometheus-streams /var/lib/prometheus-streams /var/log/prometheus-streams.log; do
  if inside test -e "$path"; then die "$path is still there"; fi
done
apply 0 "$purged"

say "9. the same site from an archive, with the module's own units"
from_archive="install_method => 'archive', archive_source => '$here/archive.tar.gz', archive_checksum => '$checksum',"
archive=$(site "$jobs $from_archive" "" | manifest archive)
apply 2 "$archive"
for role in poller receiver; do
  same "the $role" active inside systemctl is-active "prometheus-streams-$role"
  same "the $role's program" "/opt/prometheus-streams/${checksum:0:16}/prometheus-streams-$role" \
    inside readlink "/proc/$(pid_of "$role")/exe"
done
apply 0 "$archive"
other=$(site "$jobs ${from_archive/${checksum:0:8}/00000000}" "" | manifest other)
apply 4 "$other"
grep -qi 'checksum' "$here/apply.txt" || die "the refusal of the archive does not speak of its checksum"
same "the poller" active inside systemctl is-active prometheus-streams-poller
gone=$(site "$from_archive ensure => 'absent'," "" | manifest gone)
apply 2 "$gone"
for path in "$config" /opt/prometheus-streams /usr/local/bin/prometheus-streams \
  /etc/systemd/system/prometheus-streams-poller.service; do
  if inside test -e "$path"; then die "$path is still there"; fi
done
apply 0 "$gone"

say "10. enrollment with a CA, which here is a fake"
certname=acc1.example.net
inside systemd-run --quiet --unit=acceptance-ca python3 "$root/puppet/test/fake-ca.py" /run/acceptance/ca 8140
wait_for "the CA answers" inside curl -sfk https://localhost:8140/puppet-ca/v1/certificate/ca
enrolled() { # FURTHER PARAMETERS OF THE CLASS
  cat <<END
class { 'prometheus_streams':
  install_method => 'none',
  bin_dir        => '$here/enroll',
  log_file       => 'journal',
  tls            => { 'scheme' => 'puppet', 'identity' => '$certname' },
  $1
}
prometheus_streams::enroll { '$certname':
  ca         => 'localhost:8140',
  extensions => { 'pp_role' => 'metrics_poller' },
  challenge  => Sensitive('$token'),
}
END
}
enroll=$(enrolled "" | manifest enroll)
apply 6 "$enroll"
grep -q 'is not signed yet' "$here/apply.txt" || die "it is not said that the CA has to sign"
if inside test -e "$config"; then die "the configuration was written without its certificate"; fi
inside touch /run/acceptance/ca/sign
apply 2 "$enroll"
ssl=/var/lib/prometheus-streams/ssl
same "the key" "600 prometheus-streams" inside stat -c '%a %U' "$ssl/private_keys/$certname.pem"
same "the certificate's subject" "subject=CN = $certname" inside openssl x509 -noout -subject -in "$ssl/certs/$certname.pem"
same "the timer" active inside systemctl is-active "prometheus-streams-enroll-$certname.timer"
apply 0 "$enroll"
fact=$(inside facter --custom-dir "$here/modules/prometheus_streams/lib/facter" --json prometheus_streams 2>/dev/null)
case $fact in *"/CN=$certname"*) ;; *) die "the fact does not know the certificate: $fact" ;; esac
serial=$(inside openssl x509 -noout -serial -in "$ssl/certs/$certname.pem")
inside systemctl start "prometheus-streams-enroll-$certname.service"
[ "$(inside openssl x509 -noout -serial -in "$ssl/certs/$certname.pem")" != "$serial" ] ||
  die "the certificate was not renewed, although it ends within 30 days"
unenroll=$(enrolled "ensure => 'absent', purge_data => true," | manifest unenroll)
apply 2 "$unenroll"
if inside test -e "$ssl"; then die "$ssl is still there"; fi
apply 0 "$unenroll"

say "all good: $(puppet --version), $(inside systemctl --version | head -n 1)"
