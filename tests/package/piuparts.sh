#!/usr/bin/env bash
# Has piuparts install, remove, reinstall and purge the packages in target/deb or $GHOSTLLM_DEBS in a Debian 12 and a Debian 13 that are not
# booted, and look for what they leave: `piuparts.sh [bookworm|trixie]...`. Needs root. What each begins with is made once, in .tools/package.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/package/container.sh

debs=$(realpath "${GHOSTLLM_DEBS:-target/deb}")
[ "$(id -u)" = 0 ] || { echo "it needs root: sudo just package-test" >&2; exit 1; }
command -v piuparts >/dev/null || { echo "piuparts is not installed; \`tests/support/setup.sh package\` does it" >&2; exit 1; }

for suite in "${@:-bookworm trixie}"; do
  for one in $suite; do
    # systemd, which the packages want, leaves directories of its own when it goes (/root/.ssh, /var/lib/private): it is there before.
    base=$PWD/.tools/package/piuparts-systemd-$one.tgz
    if [ ! -f "$base" ]; then
      mkdir -p .tools/package
      mmdebstrap --quiet --variant=minbase --include=apt-utils,systemd "$one" "$base.new.tgz" "$(mirror)"
      mv "$base.new.tgz" "$base"
    fi
    log=$(mktemp)
    # debsums trips over piuparts' own wrapper of sync, and apt-utils leaves a file of debconf's; neither is ours.
    piuparts --distribution "$one" --mirror "$(mirror) main" --basetgz "$base" --warn-on-debsums-errors --ignore-regex '^/var/cache/debconf/.*' \
      "$debs"/ghostllm_*.deb "$debs"/ghostllm-engine_*.deb >"$log" 2>&1 || { tail -40 "$log" >&2; rm "$log"; exit 1; }
    echo "piuparts in Debian $one: $(tail -1 "$log")"
    rm "$log"
  done
done
