#!/usr/bin/env bash
# Installs, uses, upgrades, removes and purges the packages in a Debian 12 and a Debian 13, each booted with a systemd of its own, and says
# every check with its figure: `test.sh [bookworm|trixie]...`. Needs root, and the packages in target/deb (`just deb`) or $GHOSTLLM_DEBS.
#
# Each has the loopback network alone. Its files lie in memory; what they lie over is made once, in .tools/package.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/package/container.sh
. tests/package/checks.sh
. tests/package/trouble.sh
. tests/package/guides.sh

debs=$(realpath "${GHOSTLLM_DEBS:-target/deb}")
python=${GHOSTLLM_PYTHON:-.tools/venv/bin/python}
scanner=.tools/scanner/bin/python
failed=0

[ "$(id -u)" = 0 ] || { echo "the packages' tests need root: sudo just package-test" >&2; exit 1; }
for tool in systemd-nspawn mmdebstrap unshare nsenter curl "$python"; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed; \`just setup\` does it" >&2; exit 1; }
done
scanner_of_tls
for package in ghostllm ghostllm-engine; do
  ls "$debs/${package}"_*.deb >/dev/null || { echo "no package $package in $debs; \`just deb\` builds it" >&2; exit 1; }
done

lifecycle() {
  size
  newer
  install_alone
  install_engine
  units
  first_key
  chats
  starts
  restart
  tls
  hangs ghostllm.service
  hangs ghostllm-engine.service
  crashes
  faulty_configuration
  guides
  upgrade
  upgrade_with_a_fault
  upgrade_by_its_drop_ins
  upgrade_over_a_newer_state
  downgrade
  remove
  port_of_another
  purge
}

for suite in "${@:-bookworm trixie}"; do
  for one in $suite; do
    echo "== Debian $one"
    boot "$one"
    lifecycle
    end
  done
done
[ "$failed" = 0 ] || { echo "$failed checks have failed" >&2; exit 1; }
echo "every check has passed"
