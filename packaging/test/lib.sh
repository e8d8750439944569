# Sourced by the tests beside it: a throw-away root, and what must hold in it.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CONFIG=/etc/prometheus-streams/prometheus-streams.yaml
# Unpacked once, then used as the lower layer of each test's root.
BASES=${PACKAGING_ROOTS:-$root/target/packages/roots}
WORK=
ROOT=

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

step() { printf -- '- %s\n' "$*" >&2; }

# Makes the base of a suite, unless it is there: a minimal Debian with these packages more.
make_base() { # SUITE [PACKAGES]
  local base=$BASES/$1
  [ -e "$base/.done" ] && return
  command -v debootstrap >/dev/null || fail "debootstrap is missing; apt-get install debootstrap"
  printf 'making a root with Debian %s in %s\n' "$1" "$base" >&2
  rm -rf "$base"
  mkdir -p "$base"
  debootstrap --variant=minbase ${2:+--include="$2"} "${1%%-*}" "$base" http://deb.debian.org/debian \
    >"$base.log" 2>&1 || fail "debootstrap fails: $(tail -n 5 "$base.log")"
  # Certificates of this machine, in case that its way to the packages needs them.
  cp /etc/resolv.conf "$base/etc/resolv.conf"
  : >"$base/.done"
}

# Mounts a root above the base of a suite, for as long as this script runs.
open_root() { # SUITE
  [ "$(id -u)" = 0 ] || fail "a root of its own needs root"
  make_base "$1"
  WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/prometheus-streams-test.XXXXXX")
  trap close_root EXIT
  # A memory file system: an overlay's layers cannot lie on one.
  mount -t tmpfs tmpfs "$WORK"
  mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
  ROOT=$WORK/root
  mount -t overlay overlay -o "lowerdir=$BASES/$1,upperdir=$WORK/upper,workdir=$WORK/work" "$ROOT"
  mount -t proc proc "$ROOT/proc"
  printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
  chmod 755 "$ROOT/usr/sbin/policy-rc.d"
}

close_root() {
  local mounted
  for mounted in "$ROOT/proc" "$ROOT" "$WORK"; do
    ! mountpoint -q "$mounted" || umount "$mounted" 2>/dev/null || umount -l "$mounted"
  done
  rmdir "$WORK"
}

# Runs a command in the root; a quoted '|' pipes what it prints.
within() {
  local command=()
  while [ $# -gt 0 ] && [ "$1" != '|' ]; do
    command+=("$1")
    shift
  done
  if [ $# -gt 0 ]; then
    shift
    chroot "$ROOT" "${command[@]}" | "$@"
  else
    chroot "$ROOT" "${command[@]}"
  fi
}

expect() { # WHAT EXPECTED COMMAND…
  local what=$1 expected=$2 found
  shift 2
  found=$("$@") || true
  [ "$found" = "$expected" ] || fail "$what: expected \`$expected\`, found \`$found\`"
}

owner() { # PATH EXPECTED
  expect "owner and mode of $1" "$2" within stat -c '%U:%G %a' "$1"
}

# A configuration as an administrator writes it.
write_configuration() {
  cat >"$ROOT$CONFIG" <<'YAML'
identity: USDC1
poller_stream:
  urls: nats://127.0.0.1:4222
jobs:
  node:
    targets:
      - url: http://127.0.0.1:9100/metrics
YAML
}

# What holds after each installation.
check_installed() {
  local name=prometheus-streams program path
  for program in $name $name-poller $name-receiver; do
    within "/usr/bin/$program" --version >/dev/null || fail "$program does not run"
    within test -s "/usr/share/man/man1/$program.1.gz" ||
      fail "$program has no man page"
    within test -s "/usr/share/bash-completion/completions/$program" || fail "$program has no completion"
  done
  within getent passwd $name >/dev/null || fail "there is no user"
  expect "the user may not log in" 1 within getent passwd $name '|' grep -c nologin
  owner /etc/$name "root:$name 750"
  owner $CONFIG "root:$name 640"
  for path in /var/lib/$name /var/lib/$name/spool /var/lib/$name/ssl /var/log/$name; do
    owner "$path" "$name:$name 750"
  done
  owner /var/log/$name.log "$name:$name 640"
  owner /usr/bin/$name "root:root 755"
  within /usr/bin/$name check $CONFIG >/dev/null || fail "the configuration is not good"
  for path in /usr/lib/systemd/system/$name-poller.service /usr/lib/systemd/system/$name-receiver.service \
    /usr/lib/sysusers.d/$name.conf /usr/lib/tmpfiles.d/$name.conf; do
    within test -s "$path" || fail "$path is missing"
  done
  if within test -e "/etc/systemd/system/multi-user.target.wants/$name-poller.service"; then
    fail "a service is enabled"
  fi
}
