#!/usr/bin/env bash
# Installs what building the packages needs, as far as it is missing: a C compiler that links for
# an old glibc (zig, by cargo-zigbuild), rpmbuild, and Debian's dpkg-deb. Prints nothing that a
# caller needs: source packaging/tools-env.sh for the paths.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=packaging/tools-env.sh
. "$root/packaging/tools-env.sh"

# What the wheels hold; the versions that were tried.
wheels=(ziglang==0.17.1 cargo-zigbuild==0.24.0)

say() { printf 'packages: %s\n' "$*" >&2; }
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

# Debian's packages, each with a program by which its presence is seen.
packages=(dpkg:dpkg-deb rpm:rpmbuild gcc:cc binutils:objdump python3:python3 gzip:gzip)
missing=()
for entry in "${packages[@]}"; do
  command -v "${entry#*:}" >/dev/null || missing+=("${entry%%:*}")
done
# What gcc alone does not bring: the C library's headers and start files.
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
python=python3
if ! "$python" -m pip --version >/dev/null 2>&1; then
  python=/usr/bin/python3
  "$python" -m pip --version >/dev/null 2>&1 || missing+=(python3 python3-pip ca-certificates)
fi
if [ "${#missing[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null ||
    die "cannot install ${missing[*]}: no apt-get here; install them by hand"
  say "installing ${missing[*]}"
  as_root apt-get update -q >&2 || say "apt-get update fails; trying with the lists that are here"
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null >&2 ||
    die "apt-get cannot install ${missing[*]}"
fi
command -v cargo >/dev/null || die "cargo is missing; https://rustup.rs installs it"

if [ "$(cat "$PACKAGING_PYTHON/wheels" 2>/dev/null)" != "${wheels[*]}" ]; then
  say "fetching ${wheels[*]} into $PACKAGING_PYTHON"
  rm -rf "$PACKAGING_PYTHON"
  mkdir -p "$PACKAGING_PYTHON"
  # They go into a folder of their own: the system's Python stays as it is.
  "$python" -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps \
    --only-binary :all: --target "$PACKAGING_PYTHON" "${wheels[@]}" >&2 ||
    die "cannot install ${wheels[*]} from PyPI"
  printf '%s\n' "${wheels[*]}" >"$PACKAGING_PYTHON/wheels"
fi
