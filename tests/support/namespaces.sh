#!/usr/bin/env bash
# Runs the tests with those that make network namespaces and change users, and those under a systemd of their own (nspawn.sh):
# `namespaces.sh cargo nextest run...`. Who is not root, or may not do that, hears their names, and nextest counts them as skipped.
set -euo pipefail

if [ "$(id -u)" != 0 ]; then
  why="they need root"
elif why=$(unshare --net sh -c 'ip link set lo up && setpriv --reuid=65534 --clear-groups true' 2>&1); then
  if why=$("${0%/*}/nspawn.sh" try 2>&1); then exec "$@"; fi
  echo "SKIPPED the tests under a systemd of their own, each named below: $why"
  exec "$@" --status-level skip -E 'not (binary_id(ghostllm-tests::service) and test(/./))'
fi
echo "SKIPPED the tests that make network namespaces, and those under a systemd of their own, each named below: $why"
# A whole program that is left out is neither named nor counted; its tests, one by one, are.
exec "$@" --status-level skip -E 'not ((binary_id(ghostllm-tests::network) + binary_id(ghostllm-tests::service)) and test(/./))'
