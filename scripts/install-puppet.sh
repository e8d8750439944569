#!/usr/bin/env bash
# Installs what the tests of the Puppet module need: an agent, the tools that judge a module, and a
# systemd in a container. Does only what is missing; may be run as often as one likes.
set -euo pipefail

# Debian's packages.
packages=(
  puppet-agent
  puppet-lint
  puppet-strings
  ruby-rspec-puppet
  metadata-json-lint
  puppet-module-puppetlabs-stdlib
  systemd-sysv
  systemd-container
)

say() { printf 'install-puppet: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

command -v dpkg-query >/dev/null ||
  die "no Debian here; install by hand what these are: ${packages[*]}"
is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "cannot install ${missing[*]}: neither root nor sudo"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q >&2 ||
    say "apt-get update fails; trying with the lists that are here"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
    install -q -y --no-install-recommends "${missing[@]}" </dev/null >&2 ||
    die "apt-get cannot install ${missing[*]}; look above, repair, start again"
fi
say "all there: Puppet $(puppet --version), puppet-lint $(puppet-lint --version | sed 's/.* //')"
