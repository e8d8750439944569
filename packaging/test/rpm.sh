#!/usr/bin/env bash
# Installs, upgrades and erases the .rpm in a throw-away root:
#   packaging/test/rpm.sh PACKAGE NEWER_PACKAGE [SUITE]
# The root is a Debian with the program rpm, since nothing else can be had everywhere; so what the
# package requires is not looked at there, but read from the package.
set -euo pipefail

[ $# -ge 2 ] || {
  echo "usage: packaging/test/rpm.sh PACKAGE NEWER_PACKAGE [SUITE]" >&2
  exit 2
}
# shellcheck source=packaging/test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
package=$(realpath "$1") newer=$(realpath "$2") suite=${3:-bookworm}

step "what it requires"
requires=$(rpm -qp --requires "$package" 2>/dev/null)
newest=$(grep -o 'GLIBC_[0-9.]*' <<<"$requires" | sort -Vu | tail -n 1)
[ "$(printf '%s\nGLIBC_2.28\n' "$newest" | sort -V | tail -n 1)" = GLIBC_2.28 ] || fail "it needs $newest"
if grep -v -e '^lib\(c\|m\|dl\|pthread\|util\|rt\)\.so' -e '^ld-linux' -e '^rpmlib(' -e '^rtld(' \
  -e '^/usr/s\?bin/' -e '^/bin/sh$' -e '^config(' <<<"$requires"; then
  fail "it requires more than a C library"
fi

open_root "$suite"
within apt-get update -qq
within env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends rpm \
  >"$ROOT/tmp/apt.log" 2>&1 || fail "cannot install rpm: $(tail -n 20 "$ROOT/tmp/apt.log")"
install -D -m 644 "$package" "$ROOT/tmp/old.rpm"
install -D -m 644 "$newer" "$ROOT/tmp/new.rpm"

step "installed"
within rpm -i --nodeps /tmp/old.rpm || fail "cannot install"
check_installed
expect "configuration files are marked" 3 within rpm -qc prometheus-streams '|' grep -c /etc
within rpm -V --nodeps prometheus-streams || fail "a file differs from the package"

step "upgraded, with a configuration that was changed"
write_configuration
before=$(within md5sum "$CONFIG")
echo "a frame" >"$ROOT/var/lib/prometheus-streams/spool/frame"
within rpm -U --nodeps /tmp/new.rpm || fail "cannot upgrade"
expect "the newer version" 1 within rpm -q prometheus-streams '|' grep -c 99
expect "the configuration stays" "$before" within md5sum "$CONFIG"
expect "what is in the spool stays" "a frame" within cat /var/lib/prometheus-streams/spool/frame
check_installed

step "erased"
within rpm -e prometheus-streams 2>/dev/null || fail "cannot erase"
[ ! -e "$ROOT/usr/bin/prometheus-streams" ] || fail "the programs are still there"
expect "a changed configuration is kept beside" "${before%% *}" within md5sum "$CONFIG.rpmsave" '|' cut -d' ' -f1
expect "what is in the spool stays" "a frame" within cat /var/lib/prometheus-streams/spool/frame

echo "rpm.sh: $suite: 4 steps passed"
