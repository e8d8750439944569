#!/usr/bin/env bash
# Builds the packages and everything that is tested of them, in throw-away roots; needs root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

missing=()
for entry in debootstrap:debootstrap rpm:rpm systemd-container:systemd-nspawn nats-server:nats-server \
  curl:curl procps:pgrep shellcheck:shellcheck systemd:systemd-analyze; do
  PATH=$PATH:/usr/sbin command -v "${entry#*:}" >/dev/null || missing+=("${entry%%:*}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null >&2
fi

shellcheck -x packaging/*.sh packaging/test/*.sh packaging/debian/p* scripts/*.sh

out=target/packages
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
arch=$(uname -m)
deb_arch=$(dpkg --print-architecture)
packaging/build.sh
# The same programs by a later version, for the upgrade.
programs=${PROGRAMS:-$PWD/$out/build/$arch-unknown-linux-gnu/dist}
PACKAGE_FAST=1 PACKAGE_VERSION=99.0.0 PROGRAMS=$programs packaging/build.sh
debs=("$out/prometheus-streams_$version-1_$deb_arch.deb" "$out/prometheus-streams_99.0.0-1_$deb_arch.deb")
rpms=("$out/prometheus-streams-$version-1.$arch.rpm" "$out/prometheus-streams-99.0.0-1.$arch.rpm")
trap 'rm -f "${debs[1]}" "${rpms[1]}"' EXIT

for suite in bookworm bullseye; do
  packaging/test/deb.sh "${debs[@]}" "$suite"
done
packaging/test/rpm.sh "${rpms[@]}"
packaging/test/systemd.sh "${debs[0]}"
packaging/test/container.sh "$programs"
