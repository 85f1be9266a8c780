#!/usr/bin/env bash
# Begins what takes long to fetch and to unpack, beside what is compiled meanwhile: the chroot of sid.sh and the Debian of nspawn.sh. Whoever
# needs them later waits for them, or makes them himself, and says what is in the way; here nothing is said.
set -euo pipefail
here="${0%/*}"
(
  "$here/sid.sh" || true
  "$here/nspawn.sh" try || true
) </dev/null >/dev/null 2>&1 &
