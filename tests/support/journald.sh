#!/usr/bin/env bash
# A journal of its own, for as long as standard input is open: run it as root in a mount namespace and a cgroup namespace of its own
# (`unshare --mount --cgroup`). Says "ready" once a real journald listens there. Each line on standard input rotates the journal.
set -euo pipefail
mount --make-rprivate /
mkdir -p /run/systemd/journal /run/log /var/log/journal
for place in /run/systemd/journal /run/log /var/log/journal; do mount -t tmpfs none "$place"; done
mkdir -m 755 /run/log/journal
daemon=/usr/lib/systemd/systemd-journald
[ -x "$daemon" ] || daemon=/lib/systemd/systemd-journald
"$daemon" 2>/dev/null &
journald=$!
trap 'kill "$journald"; wait "$journald" || true' EXIT
for _ in $(seq 200); do
  [ -S /run/systemd/journal/stdout ] && [ -S /run/systemd/journal/socket ] && break
  sleep 0.05
done
echo ready
while read -r _; do kill -USR2 "$journald"; done
