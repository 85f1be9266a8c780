#!/usr/bin/env bash
# Builds the fuzz targets and runs them: `fuzz.sh SECONDS [TARGET...]`, so long each, as many at a time as there are cores;
# 0 only builds them.
# Coverage-guided, by libFuzzer, with the toolchain that builds everything else: the flags are those of cargo-fuzz without a
# sanitizer, which is all that would need a nightly; nothing here is unsafe but libFuzzer's own entry.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:?how many seconds each target runs}
shift
all=(openai_json ollama_json responses_json h3_gate config authority sse ndjson state api_key tool_text)
targets=("${@:-${all[@]}}")
host=$(rustc -vV | sed -n 's/^host: //p')

# Every edge of the program is counted and every comparison is watched. One unit a crate, or LLVM would count an edge twice.
flags="-Cpasses=sancov-module -Ccodegen-units=1 -Cdebug-assertions=on -Coverflow-checks=on --cfg fuzzing"
for flag in -sanitizer-coverage-level=4 -sanitizer-coverage-inline-8bit-counters -sanitizer-coverage-pc-table \
  -sanitizer-coverage-trace-compares -simplifycfg-branch-fold-threshold=0; do
  flags+=" -Cllvm-args=$flag"
done
# With a target named, the flags leave build scripts and macros alone.
RUSTFLAGS=$flags cargo build --locked --profile fuzz --target "$host" -p ghostllm-fuzz --features libfuzzer --bins
# To libFuzzer, no time is no limit.
[ "$seconds" -gt 0 ] || exit 0

work=target/fuzzing
# What a run has found stands in $work/corpus, and the next one begins with it. A failing input goes to $work/failed.
run() {
  local target=$1 corpus=$work/corpus/$1 log=$work/$1.log
  local seeds=("tests/fuzz/corpus/$target") longest
  # What is longer only takes longer, but a body must hold most of the recordings.
  case $target in openai_json | ollama_json | responses_json) longest=4096 ;; h3_gate | config | state) longest=2048 ;; *) longest=512 ;; esac
  case $target in sse | ndjson | openai_json | ollama_json | responses_json | tool_text) seeds+=(daemon/core/tests-data) ;; esac
  case $target in state) seeds+=(daemon/core/tests-data/state) ;; esac
  mkdir -p "$corpus" "$work/failed"
  # 5 s are a thousand times what an input takes.
  "target/$host/fuzz/fuzz-$target" "$corpus" "${seeds[@]}" -dict="tests/fuzz/dictionaries/$target.dict" \
    -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len="$longest" -reload=0 -print_final_stats=1 \
    -artifact_prefix="$work/failed/$target-" >"$log" 2>&1 && fine=true || fine=false
  summary "$target" "$log" "$fine"
  $fine || { failure "$target" "$log" >&2; return 1; }
}

# One line: executions, coverage, pace. libFuzzer's last status line has `cov: EDGES ft: FEATURES`.
summary() {
  local said runs pace
  said=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$2" | tail -1)
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$2")
  pace=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$2")
  printf '%-12s %9s inputs, %6s a second, %s, %s\n' \
    "$1" "${runs:-?}" "${pace:-?}" "${said:-no coverage}" "$($3 && echo 'no failure' || echo FAILED)"
}

failure() {
  local input
  input=$(sed -n 's/.*Test unit written to //p' "$2" | tail -1)
  grep -m1 -A2 -E 'panicked at|ERROR: libFuzzer' "$2" || tail -5 "$2"
  echo "The input: ${input:-none was written}; all of it is in $2"
  echo "Again: target/$host/fuzz/fuzz-$1 ${input:-INPUT}"
  echo "Once it is understood it goes to tests/fuzz/corpus/$1/, named for what it shows, with a test beside the code."
}

mkdir -p "$work"
export -f run summary failure
export host seconds work
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'run {}'
