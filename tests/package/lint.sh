#!/usr/bin/env bash
# Fails on any error or warning of lintian about the packages in target/deb or $GHOSTLLM_DEBS. It is Debian 13's: Debian 12's knows
# nothing of units in the wrong place, and asks for scripts of init. Needs root, for the Debian 13 that it is in, made once in .tools/package;
# `lint.sh make` only makes that.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/package/container.sh

base=.tools/package/tools
[ "$(id -u)" = 0 ] || { echo "it needs root: sudo just package-test" >&2; exit 1; }
mkdir -p .tools/package
# Whoever needs it waits for whoever makes it already (tests/support/ahead.sh), and for whoever has other packages in it.
exec 9>.tools/package/tools.lock
flock 9
if [ ! -x "$base/usr/bin/lintian" ]; then
  rm -rf "$base.new"
  mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' --include=lintian trixie "$base.new" "$(mirror)"
  mv "$base.new" "$base"
fi
[ "${1:-}" != make ] || exit 0
debs=$(realpath "${GHOSTLLM_DEBS:-target/deb}")
rm -rf "$base/srv/debs"
mkdir -p "$base/srv/debs"
cp "$debs"/*.deb "$base/srv/debs/"
chroot "$base" bash -c 'cd /srv/debs && lintian --allow-root --fail-on error,warning --tag-display-limit 0 -EvI *.deb'
