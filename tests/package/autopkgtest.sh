#!/usr/bin/env bash
# Runs packaging/debian/tests by autopkgtest on the packages in target/deb or $GHOSTLLM_DEBS, in a booted Debian 13, whose systemd they need.
# Needs root. The Debian is made once, in .tools/package.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/package/container.sh

debs=$(realpath "${GHOSTLLM_DEBS:-target/deb}")
[ "$(id -u)" = 0 ] || { echo "it needs root: sudo just package-test" >&2; exit 1; }
base=.tools/package/autopkgtest
if [ ! -x "$base/usr/bin/autopkgtest" ]; then
  mkdir -p .tools/package
  rm -rf "$base.new"
  mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,curl,iproute2,autopkgtest trixie "$base.new" "$(mirror)"
  mv "$base.new" "$base"
fi

boot autopkgtest
# It has the loopback network alone: what the tests need is in it, and asking the archive would only take its time.
inside sh -c 'rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* && mkdir -p /srv/source'
tar -C packaging -cf - debian | inside tar -xf - -C /srv/source
# By this file autopkgtest knows a tree that was built, for which it needs no compiler.
inside touch /srv/source/debian/files
inside sh -c 'autopkgtest --no-built-binaries /srv/debs/ghostllm_*.deb /srv/debs/ghostllm-engine_*.deb /srv/source -- null' && code=0 || code=$?
# 2 and 8 are tests that were skipped, and none at all.
[ "$code" = 0 ] || { echo "autopkgtest ends with $code" >&2; exit 1; }
end
