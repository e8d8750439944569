#!/usr/bin/env bash
# Prints when the sources were last changed, in seconds since the Unix epoch: what a build asks for,
# else the time of the commit, else, as in an unpacked archive or where git is missing, that of the
# file that every change of the version changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
  printf '%s\n' "$SOURCE_DATE_EPOCH"
else
  git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.lock
fi
