#!/usr/bin/env bash
# Builds the packages: `build-deb.sh [DIRECTORY]`, by itself target/deb. Prints each one's size and sha256. The same tree is to give the
# same bytes, wherever it lies.
#
# It needs no network once cargo has fetched what Cargo.lock names, which it does first unless CARGO_NET_OFFLINE=true.
# GHOSTLLM_PROGRAMS=DIR takes built programs instead of building any, for tests of the package alone.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(realpath -m "${1:-target/deb}")
stage=$(mktemp -d "${TMPDIR:-/tmp}/ghostllm-deb.XXXXXX")
trap 'rm -rf "$stage"' EXIT
[ -z "${GHOSTLLM_PROGRAMS:-}" ] || GHOSTLLM_PROGRAMS=$(realpath "$GHOSTLLM_PROGRAMS")
export GHOSTLLM_PROGRAMS=${GHOSTLLM_PROGRAMS:-}
if [ -z "$GHOSTLLM_PROGRAMS" ]; then
  cargo auditable --version >/dev/null 2>&1 || { echo "cargo-auditable is not installed; \`tests/support/setup.sh deb\` does it" >&2; exit 1; }
fi
# What the build takes minutes for is kept; nothing of it tells where it lies (debian/rules).
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/deb-build}
[ "${CARGO_NET_OFFLINE:-}" = true ] || cargo fetch --quiet --locked

# dh wants debian/ at the top, and sysusers' files in it. What git ignores is none of the source.
mkdir "$stage/ghostllm"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  if [ -e "$file" ]; then printf '%s\0' "$file"; fi
done | tar --null --files-from=- -cf - | tar -xf - -C "$stage/ghostllm"
cp -r "$stage/ghostllm/packaging/debian" "$stage/ghostllm/debian"
cp systemd/*.sysusers "$stage/ghostllm/debian/"
# dh gives files the modes that they are to have, and folders those of the umask.
umask 022
(cd "$stage/ghostllm" && chmod -R u=rwX,go=rX . && dpkg-buildpackage --build=binary --unsigned-source --unsigned-changes --no-pre-clean >"$stage/log" 2>&1) || {
  tail -40 "$stage/log" >&2
  exit 1
}
grep -E 'asks for GLIBC|kinds of processor' "$stage/log" || true
mkdir -p "$out"
rm -f "$out"/*.deb "$out"/*.changes "$out"/*.buildinfo
mv "$stage"/*.deb "$stage"/*.changes "$stage"/*.buildinfo "$out/"
cd "$out"
for file in *.deb; do printf '%s  %9d bytes  %s\n' "$(sha256sum "$file" | cut -d' ' -f1)" "$(stat -c %s "$file")" "$file"; done
