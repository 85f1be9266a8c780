#!/usr/bin/env bash
# Builds ghostctl without its feature `journal`, as a plain `cargo build` does, and checks what `ghostctl logs` says then, and that
# neither that ghostctl nor the daemon links libsystemd. The build with the feature takes this one's place afterwards.
set -euo pipefail
cd "$(dirname "$0")/../.."
target="${CARGO_TARGET_DIR:-target}/release"

# The feature is the tests', as in `just test`: without it the daemon would be compiled once more.
# Of this ghostctl nothing is asked but what it links and what it says: it is not worth a minute of optimising.
cargo build --release --config profile.release.package.ghostctl.opt-level=0 --workspace --bins --example render-template --features ghostllm/freeze
for program in ghostctl ghostllm ghostllm-engine; do
  if linked=$(ldd "$target/$program" | grep libsystemd); then
    echo "$program links libsystemd without the feature journal: $linked" >&2
    exit 1
  fi
done

"$target/ghostctl" --help | grep -q '^  logs ' || { echo "ghostctl --help has no logs without the feature journal" >&2; exit 1; }
said=$("$target/ghostctl" logs --follow --level warn 2>&1) && code=0 || code=$?
wanted="ghostctl: this build of ghostctl has no journal reader (cargo's feature \`journal\`)
Next: journalctl -u ghostllm -u ghostllm-engine -n 50 -p warning -f"
if [ "$code" != 1 ] || [ "$said" != "$wanted" ]; then
  echo "ghostctl logs without the feature journal ends with $code and says: $said" >&2
  exit 1
fi
echo "ghostctl without the feature journal links no libsystemd and names journalctl instead"
