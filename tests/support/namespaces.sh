#!/usr/bin/env bash
# Runs the tests with those that make network namespaces and change users: `namespaces.sh cargo nextest run...`. Who is
# not root, or may not make a namespace, hears their names, and nextest counts them as skipped.
set -euo pipefail

tests='binary_id(ghostllm-tests::network)'
if [ "$(id -u)" != 0 ]; then
  why="they need root"
elif why=$(unshare --net ip link set lo up 2>&1); then
  exec "$@"
fi
echo "SKIPPED the tests that make network namespaces, each named below: $why"
exec "$@" --final-status-level skip -E "not $tests"
