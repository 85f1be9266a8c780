#!/usr/bin/env bash
# Installs what the build and the tests need, on Debian 12 or 13; does nothing where it is there already.
set -euo pipefail

packages=(cmake clang libclang-dev pkg-config python3-venv openssl libnss3-tools ngtcp2-client)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -q
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qy --no-install-recommends "${missing[@]}"
fi
cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
