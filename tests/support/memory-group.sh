#!/usr/bin/env bash
# Whether a control group with a limit of memory can be made, where `tests/support/cgroup.rs` makes its own; says why not.
set -euo pipefail

memory=$(awk '{ for (at = 1; at <= NF; at++) if ($at == "-") break
  if ($(at + 1) == "cgroup" && ("," $NF ",") ~ /,memory,/) { print $5; exit } }' /proc/self/mountinfo)
if [ -n "$memory" ]; then
  own=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
  parent="$memory/${own#/}" file=memory.limit_in_bytes
else
  parent=$(awk '{ for (at = 1; at <= NF; at++) if ($at == "-") break
    if ($(at + 1) == "cgroup2") { print $5; exit } }' /proc/self/mountinfo)
  file=memory.max
fi
[ -n "$parent" ] || { echo "no control groups are mounted"; exit 1; }
group="$parent/ghostllm-try-$$"
mkdir "$group"
trap 'rmdir "$group"' EXIT
echo $((128 << 20)) >"$group/$file"
