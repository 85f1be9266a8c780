#!/usr/bin/env bash
# Begins what takes long to fetch and to unpack, beside what is compiled meanwhile: the clients of setup.sh, the chroot of sid.sh, the
# Debian of nspawn.sh and that of lint.sh. Whoever needs them later waits for them, or makes them himself, and says what is in the way; here nothing is said.
set -euo pipefail
here="${0%/*}"
"$here/setup.sh" </dev/null >/dev/null 2>&1 &
(
  "$here/sid.sh" || true
  "$here/nspawn.sh" try || true
  "$here/../package/lint.sh" make || true
) </dev/null >/dev/null 2>&1 &
