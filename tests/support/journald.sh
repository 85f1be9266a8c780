#!/usr/bin/env bash
# A journal of its own, for as long as standard input is open: run it as root in a mount namespace and a cgroup namespace of its own
# (`unshare --mount --cgroup`). Says "ready" once a real journald listens there. Each line on standard input is an order, and "done" says
# that it was carried out: rotate, stop, continue, kill, start.
set -euo pipefail
mount --make-rprivate /
mkdir -p /run/systemd/journal /run/log /var/log/journal
for place in /run/systemd/journal /run/log /var/log/journal; do mount -t tmpfs none "$place"; done
mkdir -m 755 /run/log/journal
# A flood is what some tests are about.
mkdir -p /run/systemd/journald.conf.d
mount -t tmpfs none /run/systemd/journald.conf.d
printf '[Journal]\nRateLimitIntervalSec=0\n' > /run/systemd/journald.conf.d/test.conf
daemon=/usr/lib/systemd/systemd-journald
[ -x "$daemon" ] || daemon=/lib/systemd/systemd-journald

start() {
  rm -f /run/systemd/journal/stdout /run/systemd/journal/socket
  "$daemon" 2>/dev/null &
  journald=$!
  for _ in $(seq 200); do
    [ -S /run/systemd/journal/stdout ] && [ -S /run/systemd/journal/socket ] && break
    sleep 0.05
  done
}

trap 'kill -CONT "$journald"; kill "$journald"; wait "$journald" || true' EXIT
start
echo ready
while read -r order; do
  case $order in
    rotate) kill -USR2 "$journald" ;;
    stop) kill -STOP "$journald" ;;
    continue) kill -CONT "$journald" ;;
    kill) kill -KILL "$journald"; wait "$journald" 2>/dev/null || true ;;
    start) start ;;
  esac
  echo "done"
done
