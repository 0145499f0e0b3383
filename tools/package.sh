#!/usr/bin/env bash
# Makes the Debian packages of a release build. Called by ./dev package; the packages, what dpkg
# says of them and lintian's answer are in build/package.
#
#   1. A tree with packaging/debian, and a changelog made from the version and from git.
#   2. dpkg-buildpackage there: debian/rules lays out what `cmake --install` installs.
#   3. lintian: nothing but the overrides, each with its reason.
#
# Usage: package.sh BUILD_DIR [VERSION]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/shell.sh

build="$(realpath "$1")"
out="$PWD/build/package"
log="$out/package.log"

# --- 1. the tree -----------------------------------------------------------------------------------

# The version of CMakeLists.txt where a tag names it. Anywhere else the number of commits follows,
# so that a later build is an upgrade, and the release is an upgrade of all of them.
package_version() {
  local project; project="$(sed -n 's/^project(qudag VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)"
  if [[ "$(git tag --points-at HEAD 2>/dev/null)" == *"v$project"* ]]; then echo "$project"
  else echo "$project~$(git rev-list --count HEAD 2>/dev/null || echo 0)"; fi
}
version="${2:-$(package_version)}"
SOURCE_DATE_EPOCH="$(git log -1 --format=%ct 2>/dev/null || date +%s)"
export SOURCE_DATE_EPOCH QUDAG_BUILD="$build" QUDAG_SOURCE="$PWD"

# The last packages of another version are what the test upgrades from.
if [[ -d $out ]] && ! compgen -G "$out/qudag_${version}_*.deb" >/dev/null; then
  rm -rf "$out.earlier"
  mv "$out" "$out.earlier"
fi
tree="$out/tree"
rm -rf "$out"
mkdir -p "$tree/debian/guide"
: >"$log"
cp -r packaging/debian/. "$tree/debian"
cp -r packaging/prometheus "$tree/debian"
mkdir "$tree/debian/grafana"
cp docs/reference/dashboard.json "$tree/debian/grafana"
cp docs/guide/relay.md "$tree/debian/guide"
maintainer="$(sed -n 's/^Maintainer: //p' packaging/debian/control)"
cat >"$tree/debian/changelog" <<TEXT
qudag ($version) unstable; urgency=medium

  * CHANGELOG.md of the sources says what changed.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
TEXT

# --- 2. the packages -------------------------------------------------------------------------------

pack() { cd "$tree" && dpkg-buildpackage --build=binary --no-sign --jobs=2; }
step "packages of qudag $version" pack || { tail -n 25 "$log" >&2; die "packing failed; log: $log"; }

# --- 3. lintian ------------------------------------------------------------------------------------

check() {
  lintian --allow-root --fail-on error,warning --show-overrides --tag-display-limit 0 \
    "$out"/qudag_*.changes
}
step "lintian" check || { grep -E '^[EW]:' "$log" >&2; die "lintian objects; log: $log"; }

rm -rf "$tree"
ls "$out"/*.deb
