#!/usr/bin/env bash
# Makes a chroot of Debian's moving distribution under .tools/sid, for what the release that this machine has is too old for:
# llama.cpp's server, a curl that speaks HTTP/3, and LLVM's tools of the very version that rustc has. Says what is in the way where
# that cannot be.
set -euo pipefail
cd "$(dirname "$0")/../.."

chroot=.tools/sid
log=.tools/sid.log
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
packages=ca-certificates,curl,llama.cpp,llvm-$llvm

# The stamp is what was installed; another rustc wants another LLVM.
made() { [ "$packages" = "$(cat "$chroot/packages" 2>/dev/null)" ]; }
if made; then exit 0; fi
[ "$(id -u)" = 0 ] || { echo "making its chroot needs root"; exit 1; }
command -v mmdebstrap >/dev/null || { echo "mmdebstrap is not installed; \`just setup\` does it"; exit 1; }
mkdir -p .tools
# Whoever needs it waits for whoever makes it already (ahead.sh).
exec 9>.tools/sid.lock
flock 9
if made; then exit 0; fi
# The mirror is this machine's own; the distribution moves, so that the date until which its index holds may lie in the past where
# the mirror is a snapshot.
mirror=$(apt-get indextargets --format '$(SITE) $(SUITE)' 'Created-By: Packages' | grep -v security | head -1)
mirror=${mirror%% *}
[ -n "$mirror" ] || { echo "apt names no mirror; run apt-get update"; exit 1; }
# Made aside and moved, so that an interrupted run leaves nothing that looks whole.
rm -rf "$chroot.new"
mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
  --include="$packages" sid "$chroot.new" "$mirror" >"$log" 2>&1 ||
  { echo "mmdebstrap could not make its chroot: $(tail -1 "$log"); all of it is in $log"; exit 1; }
echo "$packages" >"$chroot.new/packages"
rm -rf "$chroot"
mv "$chroot.new" "$chroot"
