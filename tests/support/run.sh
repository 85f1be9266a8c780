#!/usr/bin/env bash
# Runs the daemon from the build tree with its state under .run/, and prints a curl line that works while it runs.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .run
target="${CARGO_TARGET_DIR:-target}/release"

"$target/ghostllm" serve --state-dir .run/state "$@" &
daemon=$!
trap 'kill -TERM "$daemon" 2>/dev/null || true; wait "$daemon"' INT TERM

# The plain port answers programs on this box without a key. Ready means that a model can answer.
for _ in $(seq 120); do
  curl -fsS -o .run/ready http://127.0.0.1:11430/readyz 2>.run/curl-said && break
  kill -0 "$daemon" 2>/dev/null || break
  sleep 0.5
done
if [ -e .run/ready ]; then
  rm -f .run/ready
  model=$(curl -fsS http://127.0.0.1:11430/v1/models | python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][0]["id"])')
  cat <<TEXT

Paste this into another terminal:

curl http://127.0.0.1:11430/v1/chat/completions -H 'Content-Type: application/json' -d '{"model":"$model","max_tokens":32,"messages":[{"role":"user","content":"What is the capital of France?"}]}'

TEXT
else
  echo "No model can answer yet; the log above says why. https://localhost:11443/ and http://127.0.0.1:11430/ are served." >&2
fi
wait "$daemon"
