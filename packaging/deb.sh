#!/usr/bin/env bash
# Makes the .deb of a staged tree: packaging/deb.sh STAGE VERSION ARCHITECTURE
set -euo pipefail

[ $# = 3 ] || {
  echo "usage: packaging/deb.sh STAGE VERSION ARCHITECTURE" >&2
  exit 2
}
stage=$1 version=$2 arch=$3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=packaging/tools-env.sh
. "$root/packaging/tools-env.sh"
name=prometheus-streams
doc=usr/share/doc/$name

tree=$PACKAGING_TARGET/deb
rm -rf "$tree"
mkdir -p "$tree"
umask 022
cp -a "$stage/." "$tree"
# Debian's zsh looks elsewhere.
mkdir -p "$tree/usr/share/zsh/vendor-completions"
mv "$tree"/usr/share/zsh/site-functions/* "$tree/usr/share/zsh/vendor-completions/"
rmdir "$tree/usr/share/zsh/site-functions"
install -m 644 packaging/debian/copyright "$tree/$doc/copyright"
mv "$tree/$doc/changelog.gz" "$tree/$doc/changelog.upstream.gz"
printf '%s (%s) stable; urgency=medium\n\n  * Version %s; changelog.upstream.gz tells what is new.\n\n -- %s  %s\n' \
  "$name" "$version" "${version%-*}" "$(sed -n 's/^Maintainer: //p' packaging/debian/control.in)" \
  "$(date -R -u -d "@$(packaging/time.sh)")" |
  gzip -9nc >"$tree/$doc/changelog.Debian.gz"

mkdir "$tree/DEBIAN"
size=$(du -sk --apparent-size --exclude=DEBIAN "$tree" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/; s/@GLIBC@/$PACKAGING_GLIBC/" \
  packaging/debian/control.in >"$tree/DEBIAN/control"
for script in postinst prerm postrm; do
  install -m 755 "packaging/debian/$script" "$tree/DEBIAN/$script"
done
(cd "$tree" && find etc -type f | sed 's|^|/|' | sort) >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"

# xz: Debian 11 cannot read zstd.
compression=(-Zxz)
[ -z "${PACKAGE_FAST:-}" ] || compression=(-Zgzip -z1)
dpkg-deb --root-owner-group "${compression[@]}" --build "$tree" "$PACKAGING_TARGET/${name}_${version}_$arch.deb"
