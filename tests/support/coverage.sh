#!/usr/bin/env bash
# Runs the unit tests, and the API's tests, and says how many lines of the daemon and ghostctl they come by, by cargo-llvm-cov. Fails
# below 95 % in `core`, and below 90 % in all but what calls the card's driver (gpu, sys) and the engine, which are tested and not counted;
# lines of tests are none (coverage.py). Where LLVM's tools cannot be had it says so, and runs the tests without.
# This workspace's crates are built for it; whatever else is compiled is taken over from target/release, and the API's tests themselves, of
# which nothing is counted. `coverage.sh show` also writes each line's count to target/coverage/html; `coverage.sh build` builds and
# runs nothing, `coverage.sh built` runs what that has built.
set -euo pipefail
cd "$(dirname "$0")/../.."

all=90
core=95
# Rooms that are not counted, what is no room of the daemon's, and what only tests have.
others='/daemon/(engine|gpu|sys)/|/tests/|/tests\.rs$|_tests\.rs$|/(recorded|peer)\.rs$|/examples/|/benches/'

# LLVM's tools have to know the counts' form, which is their own version's: those of rustc's, unless somebody names others.
tools() {
  [ -z "${LLVM_COV:-}${LLVM_PROFDATA:-}" ] || return 0
  # rustup's component llvm-tools, where somebody has it.
  [ ! -x "$(rustc --print target-libdir)/../bin/llvm-cov" ] || return 0
  tests/support/sid.sh || return
  local chroot=$PWD/.tools/sid llvm name
  llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
  mkdir -p .tools/llvm
  for name in llvm-cov llvm-profdata; do
    # By the chroot's own loader, so that they see this machine's files.
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$chroot/usr/lib64/ld-linux-x86-64.so.2" \
      "$chroot/usr/lib/x86_64-linux-gnu" "$chroot/usr/lib/llvm-$llvm/bin/$name" >".tools/llvm/$name"
    chmod +x ".tools/llvm/$name"
  done
  export LLVM_COV=$PWD/.tools/llvm/llvm-cov LLVM_PROFDATA=$PWD/.tools/llvm/llvm-profdata
}

# The whole workspace's selection, whatever is built of it: of some packages, their dependencies would have other features and be compiled
# once more.
features=ghostctl/journal,ghostllm/freeze
# Counted code is built unoptimised, which takes a fifth of the time, on all processors at once; what it calls is as it was.
plainly=(--config profile.release.debug=false)
for crate in ghostllm{,-core,-edge,-gpu,-readings,-sys,-engine,-fake-nvml,-heat-claim,-store-writer} ghostctl; do
  plainly+=(--config "profile.release.package.$crate.opt-level=0" --config "profile.release.package.$crate.codegen-units=16")
done
units=(--release --workspace --exclude ghostllm-fuzz --features "$features" --lib --bins --test cli)

if ! why=$(tools 2>&1); then
  [ "${1:-}" != build ] || exit 0
  cargo nextest run "${units[@]}" --test api
  echo "SKIPPED the coverage: ${why:-the tools of LLVM cannot be had}"
  # There the figure is part of the promise.
  [ "${CI:-}" != true ] || exit 1
  exit 0
fi
tools
cargo llvm-cov --version >/dev/null 2>&1 || cargo install --locked --debug cargo-llvm-cov

plain=$PWD/target/release
export CARGO_TARGET_DIR=$PWD/target/coverage
counted=$CARGO_TARGET_DIR/release

# The API's tests as target/release has them, and what of theirs lies beside them (tests/support/lib.rs, machine.rs).
api=$CARGO_TARGET_DIR/api

# Nothing is copied that can be linked, which are gigabytes: rustc and cargo write a library or a program anew, and never into one that is
# there. What cargo does write into would change the original.
take_over() {
  rm -rf "$api"
  mkdir -p "$counted/deps" "$api/deps"
  # Cargo builds them here where the first round has not.
  CARGO_TARGET_DIR=${plain%/release} cargo nextest list --release --workspace --features "$features" --test api --list-type binaries-only \
    --message-format json >"$api.json"
  local test
  test=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["rust-binaries"]["ghostllm-tests::api"]["binary-path"])' <"$api.json")
  cp -al "$test" "$plain/deps/libghostllm_fake_nvml.so" "$api/deps"
  cp -al "$plain/python-client" "$plain/ollama-double" "$api"

  find "$CARGO_TARGET_DIR" -name '*.profraw' -delete
  # What the canary has seen of the other build's daemons is counted there.
  rm -f "$counted/canary.log"
  # The report reads each program that it finds; one of an earlier build would show its lines, which nothing comes by any more.
  find "$counted/deps" -maxdepth 1 -type f -perm -u+x ! -name '*.so' -delete
  cp -au --reflink=auto "$plain/.fingerprint" "$plain/build" "$counted"
  find "$plain/deps" -maxdepth 1 -type f \( ! -perm -u+x -o -name '*.so' \) ! -name '*.d' ! -name 'libghost*' -exec cp -alf -t "$counted/deps" {} +
}

if [ "${1:-}" != built ]; then take_over; fi
# shellcheck disable=SC1090
. <(cargo llvm-cov show-env --sh)
(
  # cargo compiles only this workspace's crates with it, and the rest once for all.
  export RUSTC_WORKSPACE_WRAPPER=$RUSTC_WRAPPER
  unset RUSTC_WRAPPER
  # With an example, as `just test` does: without one, dependencies have not the features that tests want.
  cargo build "${plainly[@]}" --release --workspace --bins --example render-template --features "$features"
  if [ "${1:-}" = build ]; then
    cargo nextest run "${plainly[@]}" "${units[@]}" --no-run
  else
    cargo nextest run "${plainly[@]}" "${units[@]}"
  fi
)
[ "${1:-}" != build ] || exit 0
# The programs are those that were just built, and their tests the others. Unoptimised, the daemon's main task needs more of a stack than
# the usual 8 MiB: whatever it awaits has a place of its own in it. Optimised, as it is shipped, it does not.
ulimit -Ss 65536
unset RUSTC_WRAPPER
cp -alf "$api/." "$counted"
.tools/venv/bin/python tests/support/forks.py cargo nextest run --binaries-metadata "$api.json" --target-dir-remap "$CARGO_TARGET_DIR" \
  --test-threads "$((2 * $(nproc)))"
[ "${1:-}" != show ] || cargo llvm-cov report --release --html --output-dir "$CARGO_TARGET_DIR" --ignore-filename-regex "$others"
report=$CARGO_TARGET_DIR/lcov.info
cargo llvm-cov report --release --lcov --output-path "$report" --ignore-filename-regex "$others"
python3 tests/support/coverage.py "$report" "all=$all" "core=$core"
