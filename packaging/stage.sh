#!/usr/bin/env bash
# Lays out what both packages install: packaging/stage.sh PROGRAMS DEST VERSION
# PROGRAMS is a folder with the three programs; one of them writes the man pages and completions, or
# GENERATOR does where they are for another machine.
set -euo pipefail

[ $# = 3 ] || {
  echo "usage: packaging/stage.sh PROGRAMS DEST VERSION" >&2
  exit 2
}
programs=$1 dest=$2 version=$3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=packaging/tools-env.sh
. "$root/packaging/tools-env.sh"
doc=usr/share/doc/prometheus-streams
umask 022

put() { # MODE SOURCE PATH
  install -D -m "$1" "$2" "$dest/$3"
}

rm -rf "$dest"
mkdir -p "$dest"
# The oldest bash-completion and zsh look in these folders, too.
for program in prometheus-streams prometheus-streams-poller prometheus-streams-receiver; do
  put 755 "$programs/$program" "usr/bin/$program"
  # Names of functions stay, for a panic's backtrace; lines of code are in the .debug file.
  objcopy --only-keep-debug "$programs/$program" "$dest/../$program.debug"
  objcopy --strip-debug --add-gnu-debuglink="$dest/../$program.debug" "$dest/usr/bin/$program"
done

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"${GENERATOR:-$programs/prometheus-streams}" generate --dir "$made"
for page in "$made"/man/*; do
  gzip -9n "$page"
  section=${page##*.}
  put 644 "$page.gz" "usr/share/man/man$section/$(basename "$page").gz"
done
for completion in "$made"/bash/*; do
  put 644 "$completion" "usr/share/bash-completion/completions/$(basename "$completion")"
done
for completion in "$made"/zsh/*; do
  put 644 "$completion" "usr/share/zsh/site-functions/$(basename "$completion")"
done
for completion in "$made"/fish/*; do
  put 644 "$completion" "usr/share/fish/vendor_completions.d/$(basename "$completion")"
done

for role in poller receiver; do
  unit=prometheus-streams-$role.service
  put 644 "packaging/systemd/$unit" "usr/lib/systemd/system/$unit"
done
put 644 packaging/systemd/sysusers.conf usr/lib/sysusers.d/prometheus-streams.conf
put 644 packaging/systemd/tmpfiles.conf usr/lib/tmpfiles.d/prometheus-streams.conf
put 644 packaging/systemd/default etc/default/prometheus-streams
put 644 packaging/systemd/logrotate etc/logrotate.d/prometheus-streams
put 640 config/prometheus-streams.yaml etc/prometheus-streams/prometheus-streams.yaml
chmod 750 "$dest/etc/prometheus-streams"

(cd config && find . -type f | sort) | while read -r sample; do
  put 644 "config/$sample" "$doc/examples/${sample#./}"
done
for page in docs/*.md; do
  put 644 "$page" "$doc/$(basename "$page")"
done
put 644 README.md "$doc/README.md"
gzip -9nc CHANGELOG.md >"$made/changelog.gz"
put 644 "$made/changelog.gz" "$doc/changelog.gz"
packaging/sbom.py --version "$version" >"$made/sbom.cdx.json"
put 644 "$made/sbom.cdx.json" "$doc/sbom.cdx.json"
