#!/usr/bin/env bash
# Runs the tests beside llama.cpp's real server, which it starts from Debian's moving distribution in a chroot
# (sid.sh): `llama-server.sh cargo nextest run...`. The tests find its URL in LLAMA_SERVER_URL. Where the
# server cannot be had, it says so by name and runs the tests without that leg, whose tests nextest then names and counts.
set -euo pipefail
cd "$(dirname "$0")/../.."

chroot=.tools/sid
model=daemon/engine/demo/ghostllm-demo.gguf
log=.tools/llama-server.log

# A port that nobody holds now.
port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Starts the server and waits until its model is loaded; one thread, which a small model is fastest with.
start() {
  cp "$model" "$chroot/tiny.gguf"
  at=127.0.0.1:$(port)
  chroot "$chroot" llama-server -m /tiny.gguf --host "${at%:*}" --port "${at#*:}" \
    --jinja -t 1 --no-webui -c 2048 --alias tiny >"$log" 2>&1 &
  server=$!
  trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
  for _ in $(seq 120); do
    curl -fsS -o /dev/null "http://$at/health" 2>/dev/null && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.25
  done
  why="it does not start: $(tail -1 "$log"); all of it is in $log"
  return 1
}

mkdir -p .tools
if why=$(tests/support/sid.sh) && start; then
  echo "llama.cpp's real server answers at http://$at"
  # The leg's tests, and curl's over HTTP/3 out of the same chroot, are ignored where there is no such server; no others are.
  LLAMA_SERVER_URL="http://$at" "$@" --run-ignored all
else
  skipped="SKIPPED the leg of llama.cpp's real server, and HTTP/3 by curl, which its chroot has: $why"
  echo "$skipped"
  # nextest names each of these tests and counts them; why they are not there is said once more where it is seen.
  NEXTEST_STATUS_LEVEL=skip "$@" && code=0 || code=$?
  echo "$skipped"
  exit "$code"
fi
