#!/usr/bin/env bash
# Checks that nothing that is shipped has the hook by which tests make tasks hang and panic (`daemon/edge/src/freeze.rs`): a build that does
# not ask for the feature `freeze` has it nowhere, the word that names the hook's file stands in that one place, which loses it without the
# feature, and in none of the programs that are named here.
set -euo pipefail
cd "$(dirname "$0")/../.."
word=FREEZE_GHOSTLLM
hook=daemon/edge/src/freeze.rs

tree() { cargo tree --offline --prefix none -e features -p ghostllm -i ghostllm-edge "$@"; }
if tree | grep '"freeze"'; then
  echo "a plain build of the daemon has the feature freeze" >&2
  exit 1
fi
# Else the line above would show nothing.
tree --features ghostllm/freeze | grep -q '"freeze"' || { echo "cargo tree shows no feature freeze even where it is asked for" >&2; exit 1; }

places=$(grep -rl "$word" daemon/*/src)
[ "$places" = "$hook" ] || { echo "$word stands in more places than $hook: $places" >&2; exit 1; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
rustc --edition 2024 --crate-type lib --crate-name freeze --emit obj -o "$place/freeze.o" "$hook"

for program in "$place/freeze.o" "$@"; do
  if grep -qF "$word" "$program"; then
    echo "$program has the tests' hook ($word)" >&2
    exit 1
  fi
done
echo "without the feature freeze the daemon has no test hook"
