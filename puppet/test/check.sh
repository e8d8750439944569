#!/usr/bin/env bash
# Everything about the module that needs no machine of its own: syntax, style, metadata, the reference,
# and the specs. Arguments go to rspec.
#
#   UPDATE=1   writes REFERENCE.md anew instead of comparing it
set -euo pipefail

module=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Tools judge names by the folder, and the module's folder is not called like the module.
ln -s "$module" "$work/prometheus_streams"
cd "$work/prometheus_streams"

say() { printf 'puppet: %s\n' "$*" >&2; }
die() {
  say "FAILED: $*"
  exit 1
}

say "syntax"
mapfile -t manifests < <(find manifests types functions examples -name '*.pp' | sort)
puppet parser validate "${manifests[@]}"
puppet epp validate templates/*.epp
find lib spec -name '*.rb' -print0 | xargs -0 -n 1 ruby -wc >/dev/null
find . -name '*.yaml' -not -path './spec/fixtures/*' -print0 |
  xargs -0 ruby -ryaml -e 'ARGV.each { |file| YAML.safe_load(File.read(file)) }'

say "style"
puppet-lint --fail-on-warnings --relative manifests types functions examples
metadata-json-lint --no-fail-on-warnings metadata.json

say "reference"
# Only the tracked kinds of files, in a copy: puppet-strings leaves its cache behind.
mkdir "$work/copy"
cp -r manifests types functions lib metadata.json "$work/copy"
(cd "$work/copy" && puppet strings generate --format markdown --out REFERENCE.md >"$work/strings.log" 2>&1) ||
  { cat "$work/strings.log" >&2; die "puppet-strings fails"; }
if grep -E '^\[warn\]' "$work/strings.log" >&2; then
  die "puppet-strings warns: every class, type and parameter has a description"
fi
if [ -n "${UPDATE:-}" ]; then
  cp "$work/copy/REFERENCE.md" "$module/REFERENCE.md"
else
  diff -u "$module/REFERENCE.md" "$work/copy/REFERENCE.md" >&2 ||
    die "REFERENCE.md is old; write it anew: UPDATE=1 puppet/test/check.sh"
fi

say "specs"
rspec "$@"
say "all good"
