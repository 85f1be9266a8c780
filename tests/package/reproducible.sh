#!/usr/bin/env bash
# Builds the packages twice, from nothing, in two directories, with another umask, time zone and language, and compares them byte for byte;
# `just deb-twice`. Twice the minutes of a build.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d "${TMPDIR:-/tmp}/ghostllm-twice.XXXXXX")
trap 'rm -rf "$work"' EXIT
[ -z "${GHOSTLLM_PROGRAMS:-}" ] || { echo "GHOSTLLM_PROGRAMS is set: nothing would be built; unset it" >&2; exit 1; }

# `build DIRECTORY`: in it and into it. The tree is copied there by packaging/build-deb.sh itself.
build() {
  local began
  began=$(date +%s)
  mkdir -p "$1/tmp"
  TMPDIR=$1/tmp CARGO_TARGET_DIR=$1/target packaging/build-deb.sh "$1/deb"
  echo "built in $(($(date +%s) - began)) s"
}
build "$work/one"
# What was compiled is not looked at again, and weighs gigabytes.
rm -rf "$work/one/target"
(umask 077 && TZ=Pacific/Auckland LC_ALL=C build "$work/another/place")

same=0 differ=0
for one in "$work"/one/deb/*.deb; do
  other=$work/another/place/deb/${one##*/}
  if cmp -s "$one" "$other"; then
    same=$((same + 1))
    echo "the same twice: $(sha256sum <"$one" | cut -d' ' -f1)  ${one##*/}"
  else
    differ=$((differ + 1))
    echo "DIFFERS: ${one##*/}" >&2
    dpkg-deb -R "$one" "$work/a" && dpkg-deb -R "$other" "$work/b"
    diff -rq "$work/a" "$work/b" >&2 || true
    rm -r "$work/a" "$work/b"
  fi
done
[ "$differ" = 0 ] && [ "$same" -gt 0 ] || { echo "$differ of $((same + differ)) packages are not the same twice" >&2; exit 1; }
echo "$same packages are the same twice, bit for bit"
