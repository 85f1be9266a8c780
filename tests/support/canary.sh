#!/usr/bin/env bash
# How many daemons of the tests were looked through for secrets (tests/support/canary.rs), and what was found; `canary.sh begin`
# forgets the run before. Fails where something was found, or nothing was looked through.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Those of both builds: the API's tests run the one whose lines are counted.
logs=(target/release/canary.log target/coverage/release/canary.log)
if [ "${1:-}" = begin ]; then
  rm -f "${logs[@]}"
  exit 0
fi
for log in "${logs[@]}"; do
  [ -e "$log" ] || { mkdir -p "${log%/*}"; touch "$log"; }
done
# Who is not root may not look at the environment of what is not dumpable.
awk -v root="$(id -u)" -F'\t' '
  $1 == "found" { print "canary: " $2 ": " $3 }
  $1 == "scanned" { daemons++; found += $3; secrets += $4; environments += $5 }
  END {
    printf "canary: %d daemons scanned for %d secrets and lines of private keys (standard error, state, arguments; the environment of %d), %d secrets found\n",
      daemons, secrets, environments, found
    exit !(daemons > 0 && (environments > 0 || root != 0) && found == 0)
  }' "${logs[@]}"
