#!/usr/bin/env bash
# shellcheck disable=SC2016
# Installs, upgrades, removes and purges the .deb in a throw-away Debian:
#   packaging/test/deb.sh PACKAGE NEWER_PACKAGE [SUITE]
set -euo pipefail

[ $# -ge 2 ] || {
  echo "usage: packaging/test/deb.sh PACKAGE NEWER_PACKAGE [SUITE]" >&2
  exit 2
}
# shellcheck source=packaging/test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
package=$(realpath "$1") newer=$(realpath "$2") suite=${3:-bookworm}

open_root "$suite"
install -D -m 644 "$package" "$ROOT/tmp/old.deb"
install -D -m 644 "$newer" "$ROOT/tmp/new.deb"
within apt-get update -qq
within env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends /tmp/old.deb \
  >"$ROOT/tmp/apt.log" 2>&1 || fail "cannot install: $(tail -n 20 "$ROOT/tmp/apt.log")"

step "installed"
check_installed
expect "conffiles are marked" 3 within dpkg-query -W -f '${Conffiles}\n' prometheus-streams '|' grep -c /etc
within dpkg --verify prometheus-streams || fail "a file differs from the package"

step "upgraded, with a configuration that was changed"
write_configuration
before=$(within md5sum "$CONFIG")
echo "a frame" >"$ROOT/var/lib/prometheus-streams/spool/frame"
chgrp 0 "$ROOT/etc/default/prometheus-streams"
within dpkg -i /tmp/new.deb >"$ROOT/tmp/dpkg.log" 2>&1 || fail "cannot upgrade: $(cat "$ROOT/tmp/dpkg.log")"
expect "the newer version" 1 within dpkg-query -W -f '${Version}\n' prometheus-streams '|' grep -c 99
expect "the configuration stays" "$before" within md5sum "$CONFIG"
expect "what is in the spool stays" "a frame" within cat /var/lib/prometheus-streams/spool/frame
check_installed

step "removed"
within dpkg -r prometheus-streams >/dev/null
[ ! -e "$ROOT/usr/bin/prometheus-streams" ] || fail "the programs are still there"
expect "the configuration stays" "$before" within md5sum "$CONFIG"
expect "what is in the spool stays" "a frame" within cat /var/lib/prometheus-streams/spool/frame

step "installed again"
within dpkg -i /tmp/new.deb >/dev/null 2>&1 || fail "cannot install again"
expect "the configuration stays" "$before" within md5sum "$CONFIG"

step "purged"
echo "a password" >"$ROOT/etc/prometheus-streams/nats.password"
within dpkg -P prometheus-streams >/dev/null 2>&1 || fail "cannot purge"
for path in usr/bin/prometheus-streams "${CONFIG#/}" var/lib/prometheus-streams \
  var/log/prometheus-streams var/log/prometheus-streams.log etc/default/prometheus-streams; do
  [ ! -e "$ROOT/$path" ] || fail "/$path is still there"
done
expect "an administrator's file stays" "a password" within cat /etc/prometheus-streams/nats.password
within getent passwd prometheus-streams >/dev/null || fail "the user is gone"
left=$(within sh -c 'find / -xdev -path /proc -prune -o -path /tmp -prune -o -name "*prometheus-streams*" -print' | grep -v '^/var/lib/dpkg' || true)
expect "nothing else is left" /etc/prometheus-streams echo "$left"

echo "deb.sh: $suite: 5 steps passed"
