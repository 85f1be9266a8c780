#!/usr/bin/env bash
# Runs the tests with those that make network namespaces and change users: `namespaces.sh cargo nextest run...`. Who is
# not root, or may not do that, hears their names, and nextest counts them as skipped.
set -euo pipefail

if [ "$(id -u)" != 0 ]; then
  why="they need root"
elif why=$(unshare --net sh -c 'ip link set lo up && setpriv --reuid=65534 --clear-groups true' 2>&1); then
  exec "$@"
fi
echo "SKIPPED the tests that make network namespaces, each named below: $why"
# A whole program that is left out is neither named nor counted; its tests, one by one, are.
exec "$@" --status-level skip -E 'not (binary_id(ghostllm-tests::network) and test(/./))'
