#!/usr/bin/env bash
# Runs the unit tests, and the API's tests, and says how many lines of the daemon and ghostctl they come by, by cargo-llvm-cov. Fails
# below 95 % in `core`, and below 90 % in all but what calls the card's driver (gpu, sys) and the engine, which are tested and not counted;
# lines of tests are none (coverage.py). Where LLVM's tools cannot be had it says so, and runs the tests without.
# This workspace's crates are built for it; whatever else is compiled is taken over from target/release. `coverage.sh show` also writes
# each line's count to target/coverage/html.
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
# Counted code is built unoptimised, which takes a fifth of the time; what it calls is as it was.
plainly=()
for crate in core edge gpu sys engine fake-nvml; do
  plainly+=(--config "profile.release.package.ghostllm-$crate.opt-level=0")
done
plainly+=(--config "profile.release.package.ghostllm.opt-level=0" --config "profile.release.package.ghostctl.opt-level=0")
units=(--release --workspace --exclude ghostllm-fuzz --features "$features" --lib --bins --test cli)

if ! why=$(tools 2>&1); then
  cargo nextest run "${units[@]}" --test api
  echo "SKIPPED the coverage: ${why:-the tools of LLVM cannot be had}"
  # There the figure is part of the promise.
  [ "${CI:-}" != true ] || exit 1
  exit 0
fi
tools
cargo llvm-cov --version >/dev/null 2>&1 || cargo install --locked --debug cargo-llvm-cov

export CARGO_TARGET_DIR=$PWD/target/coverage
# Copies, since cargo writes into some files where they are: links to them would change the original.
mkdir -p "$CARGO_TARGET_DIR/release"
cp -au --reflink=auto target/release/. "$CARGO_TARGET_DIR/release"
find "$CARGO_TARGET_DIR" -name '*.profraw' -delete
# What the canary has seen of the other build's daemons is counted there.
rm -f "$CARGO_TARGET_DIR/release/canary.log"
# The report reads each program that it finds; one of an earlier build would show its lines, which nothing comes by any more.
find "$CARGO_TARGET_DIR/release/deps" -maxdepth 1 -type f -perm -u+x ! -name '*.so' -delete 2>/dev/null || true

# shellcheck disable=SC1090
. <(cargo llvm-cov show-env --sh)
(
  # cargo compiles only this workspace's crates with it, and the rest once for all.
  export RUSTC_WORKSPACE_WRAPPER=$RUSTC_WRAPPER
  unset RUSTC_WRAPPER
  # With an example, as `just test` does: without one, dependencies have not the features that tests want.
  cargo build "${plainly[@]}" --release --workspace --bins --example render-template --features "$features"
  cargo nextest run "${plainly[@]}" "${units[@]}"
)
# The programs are those that were just built, and their tests the others. Unoptimised, the daemon's main task needs more of a stack than
# the usual 8 MiB: whatever it awaits has a place of its own in it. Optimised, as it is shipped, it does not.
ulimit -Ss 65536
unset RUSTC_WRAPPER
.tools/venv/bin/python tests/support/forks.py cargo nextest run --release --workspace --features "$features" --test api --test-threads "$((2 * $(nproc)))"
[ "${1:-}" != show ] || cargo llvm-cov report --release --html --output-dir "$CARGO_TARGET_DIR" --ignore-filename-regex "$others"
report=$CARGO_TARGET_DIR/lcov.info
cargo llvm-cov report --release --lcov --output-path "$report" --ignore-filename-regex "$others"
python3 tests/support/coverage.py "$report" "all=$all" "core=$core"
