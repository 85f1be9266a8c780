#!/usr/bin/env bash
# Installs nginx and haproxy, which the figures of `just bench` stand beside, without starting the services of the packages.
set -euo pipefail

missing=()
for program in nginx haproxy; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -gt 0 ] || exit 0
sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "${missing[*]} are missing, and there is no sudo. As root, run: apt-get install ${missing[*]}" >&2
    exit 1
  }
  sudo=(sudo)
fi
# Whether a package may start its service is asked of this file (invoke-rc.d(8)); somebody's own is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod +x "$policy"
fi
"${sudo[@]}" apt-get update -q
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
