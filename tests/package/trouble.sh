# What goes wrong on a box, and what becomes of it: hangs, crashes, memory that runs out, configurations that nobody can use. To be read by
# bash's `.`, after checks.sh.

# `within SECONDS COMMAND...`: waits until it succeeds.
within() {
  local last=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$last" ] || { echo "not in time: $*"; return 1; }
    sleep 0.1
  done
}

# Lines for a unit, until the next boot; and what it was before.
for_now() {
  inside bash -c "mkdir -p /run/systemd/system/$1.d && cat >/run/systemd/system/$1.d/for-now.conf && systemctl daemon-reload && systemctl restart $1" <<<"$2"
}
no_longer() { inside bash -c "rm -r /run/systemd/system/$1.d && systemctl daemon-reload && systemctl restart $1"; }

is_anew() { [ "$(property NRestarts "$1")" -ge 1 ] && active "$1"; }
signal() { inside systemctl kill --signal="$2" --kill-who=main "$1"; }
told() { grep -qF -- "$2" <(inside journalctl -q -b -o cat -u "$1"); }

# A program whose every thread stands still feeds no watchdog. The limit is cut short, so that nobody waits for a minute.
hangs() {
  local unit=$1 began
  for_now "$unit" "[Service]"$'\n'"WatchdogSec=2s"
  # Nothing hangs yet, and nothing is started anew.
  sleep 5
  check "$unit goes on under its watchdog" is "$(property NRestarts "$unit")" 0
  began=$(now)
  signal "$unit" STOP
  check "$unit that hangs is started anew" within 20 is_anew "$unit"
  echo "        hang to active again: $(took "$began"), 2 s of it the watchdog's"
  check "by its watchdog" told "$unit" "Watchdog timeout"
  check "and answers" within 20 chatted 2
  no_longer "$unit"
}

# `engine_dies WHAT COMMAND...`: the command ends the engine, and says the status of the chat that did, if one did. The daemon goes on, says
# 502 of a chat that had begun and 503 of others, and answers again.
engine_dies() {
  local what=$1 daemon engine statuses
  shift
  daemon=$(property MainPID) engine=$(property MainPID ghostllm-engine.service)
  statuses=$("$@" && asked_until_answered "$engine") || true
  echo "        $what: statuses $(tr '\n' ' ' <<<"$statuses"), answered again after $(cat "$work.newer/answered")"
  check "$what: answered again" is "$(tail -1 <<<"$statuses")" 200
  check "$what: 502 or 503 meanwhile, and nothing worse" fails grep -vE '^(200|502|503)$' <<<"$statuses"
  check "$what: the engine is started anew" fails is "$(property MainPID ghostllm-engine.service)" "$engine"
  check "$what: the daemon is the same" is "$(property MainPID)" "$daemon"
}

# The statuses of chats, one after the other, until one is answered by another engine than this.
asked_until_answered() {
  local status last=$((SECONDS + 30)) began
  began=$(now)
  while [ "$SECONDS" -lt "$last" ]; do
    status=$(status_of_chat)
    echo "$status"
    if [ "$status" = 200 ] && [ "$(property MainPID ghostllm-engine.service)" != "$1" ]; then break; fi
    sleep 0.05
  done
  took "$began" >"$work.newer/answered"
}

status_of_chat() { answered 2 | tail -1 | cut -d' ' -f2; }

# The limit is the unit's own where its systemd has the memory's groups, else a group of this machine's that the process is put into. Its
# model is not loaded yet, for which there is no room then.
out_of_memory() {
  local engine group=/sys/fs/cgroup/memory/$name
  inside systemctl restart ghostllm-engine.service
  engine=$(at_this_machine "$(property MainPID ghostllm-engine.service)")
  if inside grep -qw memory /sys/fs/cgroup/cgroup.controllers; then
    inside systemctl set-property --runtime ghostllm-engine.service MemoryMax=4M MemorySwapMax=0
  else
    mkdir -p "$group"
    echo $((1 << 20)) >"$group/memory.limit_in_bytes"
    echo "$engine" >"$group/cgroup.procs"
  fi
  status_of_chat
  # Its successor has what it needs.
  inside systemctl set-property --runtime ghostllm-engine.service MemoryMax=infinity
}
killed_for_memory() {
  local group=/sys/fs/cgroup/memory/$name
  if [ -d "$group" ]; then grep -q '^oom_kill [1-9]' "$group/memory.oom_control"; else told ghostllm-engine.service oom-kill; fi
}
# A process by its number there.
at_this_machine() {
  local process
  for process in /proc/[0-9]*; do
    if [ "$(readlink "$process/ns/pid")" = "$(readlink "/proc/$leader/ns/pid")" ] && grep -qE "^NSpid:.*\s$1$" "$process/status" 2>/dev/null; then
      echo "${process#/proc/}"
      return
    fi
  done
}

# Twice: Rust's handler returns from the first, which a fault of the program's own would repeat.
segfault() { signal "$1" SEGV && signal "$1" SEGV; }

crashes() {
  engine_dies "engine crash" segfault ghostllm-engine.service
  engine_dies "out of memory" out_of_memory
  check "out of memory: the kernel has killed it" killed_for_memory
  rmdir "/sys/fs/cgroup/memory/$name" 2>/dev/null || true
  local before
  before=$(property NRestarts)
  signal ghostllm.service KILL
  check "the daemon dies, and answers again" within 20 chatted 2
  check "for systemd has started it anew" is "$(property NRestarts)" "$((before + 1))"
}

connects() { at_its_network bash -c "exec 3<>/dev/tcp/127.0.0.1/$1"; }

# A reload and a restart with a configuration that it refuses, and then one that is mended.
faulty_configuration() {
  local before
  before=$(property MainPID)
  inside bash -c 'echo "no_such_key = 1" >/etc/ghostllm/conf.d/fault.toml'
  check "a faulty configuration is not reloaded" fails inside systemctl reload ghostllm.service
  check "the daemon is the same" is "$(property MainPID)" "$before"
  check "it still answers" chatted 1.1
  check "nor does it start with it" fails inside systemctl restart ghostllm.service
  check "the journal names the fault" told ghostllm.service no_such_key
  check "its ports are still open" connects 11443
  inside rm /etc/ghostllm/conf.d/fault.toml
  # By itself (RestartSec=).
  check "mended, it comes back by itself" within 20 active ghostllm.service
  check "and answers" within 20 chatted 2
}
