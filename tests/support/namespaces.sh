#!/usr/bin/env bash
# Runs the tests with those that make network namespaces and change users, those under a systemd of their own (nspawn.sh), and those in
# a control group with a limit of memory: `namespaces.sh cargo nextest run...`. Who is not root, or may not do that, hears their names,
# and nextest counts them as skipped.
set -euo pipefail

here="${0%/*}"
out=()
if [ "$(id -u)" != 0 ]; then
  why="they need root"
elif why=$(unshare --net sh -c 'ip link set lo up && setpriv --reuid=65534 --clear-groups true' 2>&1); then
  why=""
else
  why=${why:-they may not be made here}
fi
if [ -n "$why" ]; then
  echo "SKIPPED the tests that make network namespaces, and those under a systemd of their own, each named below: $why"
  out+=("binary_id(ghostllm-tests::network)" "binary_id(ghostllm-tests::service)")
elif ! why=$("$here/nspawn.sh" try 2>&1); then
  echo "SKIPPED the tests under a systemd of their own, each named below: $why"
  out+=("binary_id(ghostllm-tests::service)")
fi
if ! why=$("$here/memory-group.sh" 2>&1); then
  echo "SKIPPED the tests in a control group with a limit of memory, each named below: $why"
  out+=("(binary_id(ghostllm-tests::attacks) and test(/in_128_mib_/))")
fi
if [ "${#out[@]}" = 0 ]; then exec "$@"; fi
# A whole program that is left out is neither named nor counted; its tests, one by one, are.
all=$(printf ' + %s' "${out[@]}")
exec "$@" --status-level skip -E "not ((${all# + }) and test(/./))"
