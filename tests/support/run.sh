#!/usr/bin/env bash
# Runs the daemon from the build tree with its state under .run/, and prints a curl line and the way to ghostctl, which work while it
# runs. Ends as the daemon ends, with its exit code.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .run
target="${CARGO_TARGET_DIR:-target}/release"
plain=http://127.0.0.1:11430

"$target/ghostllm" serve --state-dir .run/state "$@" &
daemon=$!
# A terminal's Ctrl-C reaches the daemon by itself, and a second signal would cut what is open.
trap ':' INT
trap 'kill -TERM "$daemon" 2>/dev/null || true' TERM

# The port may be another daemon's: ours gives out the CA that lies in its own state.
ours() {
  curl -fsS "$plain/ca.pem" 2>/dev/null | cmp -s - .run/state/ca/ca.pem
}

running() {
  kill -0 "$daemon" 2>/dev/null
}

# The plain port answers programs on this box without a key. Ready means that a model can answer.
ready=
for _ in $(seq 120); do
  running || break
  if ours && curl -fsS -o /dev/null "$plain/readyz" 2>/dev/null; then
    ready=yes
    break
  fi
  sleep 0.5
done

if [ -n "$ready" ]; then
  # Models that can chat come first in the list.
  model=$(curl -fsS "$plain/v1/models" | python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][0]["id"])')
  cat <<TEXT

Paste this into another terminal:

curl $plain/v1/chat/completions -H 'Content-Type: application/json' -d '{"model":"$model","max_tokens":32,"messages":[{"role":"user","content":"What is the capital of France?"}]}'

TEXT
elif running; then
  echo "No model can answer at $plain yet; the log above says why." >&2
fi

if running; then
  # With these README's commands work as written, and ask this daemon and not one that is installed.
  cat <<TEXT
For ghostctl's commands in that terminal:

export PATH="$(realpath "$target"):\$PATH" GHOSTLLM_SOCKET="$PWD/.run/state/admin.sock"
ghostctl status

Ctrl-C stops it.

TEXT
fi
# A signal ends the wait, not the daemon.
while :; do
  wait "$daemon" && code=0 || code=$?
  running || break
done
if [ "$code" = 130 ]; then wait "$daemon" && code=0 || code=$?; fi
exit "$code"
