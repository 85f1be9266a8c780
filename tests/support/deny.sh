#!/usr/bin/env bash
# cargo-deny's checks. "install" fetches and compiles the tool first (unoptimised: it runs for seconds); "if-there" passes over by name
# where it is not installed and this is not CI.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! cargo deny --version >/dev/null 2>&1; then
  if [ "${1:-if-there}" = install ] || [ -n "${CI:-}" ]; then
    cargo install --locked --debug cargo-deny
  else
    echo "SKIPPED deny: cargo-deny is not installed; \`just deny\` installs it and runs the check"
    exit 0
  fi
fi
cargo deny --all-features check --hide-inclusion-graph bans licenses sources

# The advisories lie in a git repository, which not every machine can reach. Unreachable is a skip; a finding is a failure.
if ! said=$(cargo deny --all-features check --hide-inclusion-graph advisories 2>&1); then
  if grep -q 'failed to fetch advisory database' <<<"$said"; then
    echo "SKIPPED deny advisories: the advisory database cannot be reached from here"
  else
    echo "$said" >&2
    exit 1
  fi
fi
