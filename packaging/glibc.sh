#!/usr/bin/env bash
# Fails where a program asks for a newer libc than that version: `glibc.sh 2.35 PROGRAM...`. It would install there, and not start.
set -euo pipefail
most=$1
shift
for program in "$@"; do
  asks=$(objdump -T "$program" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1) || true
  [ -n "$asks" ] || { echo "$program: no version of GLIBC is in its symbols" >&2; exit 1; }
  echo "$program asks for $asks, of at most GLIBC_$most"
  [ "$(printf '%s\n' "${asks#GLIBC_}" "$most" | sort -V | tail -1)" = "$most" ] || { echo "$program: $asks is newer than GLIBC_$most; build it on an older Debian" >&2; exit 1; }
done
