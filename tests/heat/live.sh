#!/usr/bin/env bash
# One trial of the claim at the speed of a clock, behind two real daemons beside each other, the one with its governor and the other with
# governor = "off": the same card, the same arrivals. `live.sh TRIAL SECONDS [SPEED]`; an hour of the card takes an hour (SPEED=1). Prints a
# line for each. What it needs is built: `just heat-live` does that.
set -euo pipefail
cd "$(dirname "$0")/../.."
trial="${1:-0}" seconds="${2:-3600}" speed="${3:-1}"
target="$(realpath "${CARGO_TARGET_DIR:-target}")/release"
work="$(mktemp -d)"
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT

fake="$target/libghostllm_fake_nvml.so"
[ -e "$fake" ] || fake="$target/deps/libghostllm_fake_nvml.so"

# A free port of loopback's.
port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

daemon() {
  local governor="$1" plain="$2" engine="$3" at="$work/$1"
  mkdir "$at"
  cp "$fake" "$at/libnvidia-ml.so.1"
  # Until the card says something it has none. The queue is as the simulation has it: 64 places for each of two callers.
  echo 'count=0' > "$at/libnvidia-ml.so.1.state"
  cat > "$at/ghostllm.toml" <<TOML
[listen]
plain = ["127.0.0.1:$plain"]
tls = "127.0.0.1:$(port)"

[limits]
# The engine comes with heat-live, behind the daemon.
find_interval = "1s"

[gpu]
governor = "$governor"
nvml_library = "$at/libnvidia-ml.so.1"
sysfs_root = "$at"
interactive = 16
background = 8
queue = 128

[[backends]]
name = "simulated"
kind = "openai"
url = "http://127.0.0.1:$engine"
TOML
  exec "$target/ghostllm" serve --config "$at/ghostllm.toml" --state-dir "$at/state" > "$at/log" 2>&1
}

hour() {
  local governor="$1" plain="$2" engine="$3" at="$work/$1" key
  for _ in $(seq 100); do
    key="$("$target/ghostctl" --socket "$at/state/admin.sock" --json keys create background 2>/dev/null)" && break
    sleep 0.2
  done
  key="$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["key"])' "$key")"
  "$target/heat-live" --trial="$trial" --seconds="$seconds" --speed="$speed" --engine="127.0.0.1:$engine" \
    --daemon="127.0.0.1:$plain" --background-key="$key" --nvml="$at/libnvidia-ml.so.1.state" > "$at/figures" ||
    tail -5 "$at/log" >&2
}

runs=()
for governor in off on; do
  plain="$(port)" engine="$(port)"
  daemon "$governor" "$plain" "$engine" &
  hour "$governor" "$plain" "$engine" &
  runs+=($!)
done
wait "${runs[@]}"
for governor in off on; do
  echo "governor $governor: $(tail -1 "$work/$governor/figures")"
done
