#!/usr/bin/env bash
# Builds the programs for an old glibc, and from them the .deb and the .rpm, in target/packages.
#
#   PACKAGE_VERSION=…     another version than Cargo.toml's, for trying upgrades
#   PACKAGE_RELEASE=2     a further package of the same version
#   PACKAGE_FAST=1        compresses little, for trying
#   PROGRAMS=DIR          takes the programs from there and builds none
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=packaging/tools-env.sh
. "$root/packaging/tools-env.sh"
cd "$root"

say() { printf 'packages: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

packaging/tools.sh

arch=$(uname -m)
case $arch in
  x86_64) deb_arch=amd64 ;;
  aarch64) deb_arch=arm64 ;;
  *) die "no package is made for $arch" ;;
esac
version=${PACKAGE_VERSION:-$(packaging_version)}
release=${PACKAGE_RELEASE:-1}

if [ -z "${PROGRAMS:-}" ]; then
  target=$arch-unknown-linux-gnu
  say "building for $target with glibc $PACKAGING_GLIBC"
  CARGO_TARGET_DIR=$PACKAGING_TARGET/build \
    cargo zigbuild --profile dist --locked --bins --target "$target.$PACKAGING_GLIBC"
  PROGRAMS=$PACKAGING_TARGET/build/$target/dist
fi

stage=$PACKAGING_TARGET/stage
packaging/stage.sh "$PROGRAMS" "$stage" "$version"

needs=$(objdump -T "$stage"/usr/bin/* | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
[ "$(printf '%s\n' "$needs" "$PACKAGING_GLIBC" | sort -V | tail -n 1)" = "$PACKAGING_GLIBC" ] ||
  die "the programs need glibc $needs, which is newer than $PACKAGING_GLIBC"
say "the programs need glibc $needs"

packaging/deb.sh "$stage" "$version-$release" "$deb_arch"
packaging/rpm.sh "$stage" "$version" "$release" "$arch"
