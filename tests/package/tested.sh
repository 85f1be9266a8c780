#!/usr/bin/env bash
# The packages of the programs that the tests have built, in target/deb-tested: `tested.sh build` makes them, and `tested.sh` says what is
# in them, what lintian says of them, and how they fare in a booted Debian of this machine's own kind: installed, used, upgraded with a
# fault and without, downgraded, removed, purged. What needs root, or a container that cannot be had, it leaves out by name.
#
# What only the real build can give, and what takes longer, `just package-test` looks at.
set -euo pipefail
cd "$(dirname "$0")/../.."

debs=$PWD/target/deb-tested
export GHOSTLLM_DEBS=$debs GHOSTLLM_PROGRAMS=${GHOSTLLM_PROGRAMS:-$PWD/target/release}
if [ "${1:-}" = build ]; then exec packaging/build-deb.sh "$debs"; fi

tests/package/contents.py "$debs"
if [ "$(id -u)" != 0 ]; then
  echo "SKIPPED lintian, and the packages in a booted Debian: they need root"
  exit
fi
if why=$(tests/package/lint.sh make 2>&1); then
  tests/package/lint.sh
else
  echo "SKIPPED lintian, whose Debian cannot be made here: $why"
fi
if ! why=$(tests/support/nspawn.sh try 2>&1); then
  echo "SKIPPED the packages in a booted Debian: $why"
  exit
fi
. tests/package/container.sh
. tests/package/checks.sh
. tests/package/trouble.sh
. tests/package/guides.sh
python=.tools/venv/bin/python
failed=0
# How long it takes is judged by `just package-test`, on a machine that does nothing else; here it is said.
in_time() { :; }
boot here
newer
install_alone
install_engine
units
first_key
chats
check "an upgrade goes through" dpkg_says "$work.newer/upgrade.log" -i /srv/newer/ghostllm.deb /srv/newer/ghostllm-engine.deb
check "and is answered" within 20 chatted 2
upgrade_with_a_fault
downgrade
remove
purge
end
[ "$failed" = 0 ] || { echo "$failed checks of the packages have failed" >&2; exit 1; }
