#!/usr/bin/env bash
# What takes long and is wanted later, done beside what waits: `meanwhile.sh begin NAME [--after NAME] COMMAND...` runs COMMAND on what
# everything else leaves of the processors; `meanwhile.sh end NAME` waits for it, says what it has said, and ends as it has ended.
#
# Under Linux's idle policy whoever else wants a processor has it at once, a test that measures among them. What a run that was broken off
# has begun goes on, and the next one's `begin` of that name waits for it.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  sed -n '2,3s/^# //p' "$0" >&2
  exit 2
}

[ $# -ge 2 ] || usage
what=$1
mkdir -p target/meanwhile
job=target/meanwhile/$2
shift 2

begin() {
  local before="" idly=(nice -n 19)
  if [ "${1:-}" = --after ]; then
    before=target/meanwhile/${2:-}.lock
    [ -e "$before" ] || { echo "${2:-} was never begun, and nothing comes after it" >&2; exit 1; }
    shift 2
  fi
  [ $# -gt 0 ] || usage
  if chrt --idle 0 true 2>/dev/null; then idly=(chrt --idle 0); fi
  # Whoever holds the lock is at work; it is taken before this returns, so that `end` finds it.
  exec 9>"$job.lock"
  flock --nonblock 9 || {
    echo "${job##*/} is still at work from an earlier run, and is waited for"
    flock 9
  }
  rm -f "$job.code"
  (
    # What comes first is begun first, and has its lock.
    [ -z "$before" ] || flock "$before" true
    "${idly[@]}" "$@" 9>&- && code=0 || code=$?
    echo "$code" >"$job.code"
  ) </dev/null >"$job.log" 2>&1 &
}

end() {
  [ -e "$job.lock" ] || { echo "$job was never begun: tests/support/meanwhile.sh begin ${job##*/} COMMAND..." >&2; exit 1; }
  flock "$job.lock" true
  echo "meanwhile, ${job##*/}:"
  cat "$job.log"
  [ -e "$job.code" ] || { echo "$job was killed before it had ended; what it had said is above" >&2; exit 1; }
  exit "$(cat "$job.code")"
}

case "$what" in
  begin) begin "$@" ;;
  end) end ;;
  *) usage ;;
esac
