#!/usr/bin/env bash
# Makes the .rpm of a staged tree: packaging/rpm.sh STAGE VERSION RELEASE ARCHITECTURE
set -euo pipefail

[ $# = 4 ] || {
  echo "usage: packaging/rpm.sh STAGE VERSION RELEASE ARCHITECTURE" >&2
  exit 2
}
stage=$1 version=$2 release=$3 arch=$4
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=packaging/tools-env.sh
. "$root/packaging/tools-env.sh"

top=$PACKAGING_TARGET/rpm
rm -rf "$top"
mkdir -p "$top"
payload=w6.xzdio
[ -z "${PACKAGE_FAST:-}" ] || payload=w1.gzdio
# The folders are those of Enterprise Linux, whatever distribution builds; what is staged is taken
# as it is; and xz, which every rpm reads.
rpmbuild -bb --quiet --target "$arch-linux" \
  --define "_topdir $top" --define "_rpmdir $PACKAGING_TARGET" \
  --define "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
  --define "_prefix /usr" --define "_sysconfdir /etc" --define "_docdir /usr/share/doc" \
  --define "_unitdir /usr/lib/systemd/system" --define "_build_id_links none" \
  --define "_binary_payload $payload" --define "debug_package %{nil}" \
  --define "__os_install_post %{nil}" \
  --define "package_version $version" --define "package_release $release" \
  --define "stage $stage" --define "source_dir $root" packaging/rpm/prometheus-streams.spec
ls "$PACKAGING_TARGET/prometheus-streams-$version-$release.$arch.rpm" >&2
