#!/usr/bin/env bash
# Which of its code the packaged engine takes on which processor, and that it takes nobody else's: `baseline.sh`. On emulated processors
# from the first x86-64 on (qemu-user), and on this one. With GHOSTLLM_NATIVE=PROGRAM, an engine built for this processor (`just engine-speed`),
# it also says how fast the packaged one is beside it. Needs root, and the packages in target/deb (`just deb`) or $GHOSTLLM_DEBS.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "it needs root: sudo just package-test" >&2; exit 1; }
for tool in qemu-x86_64 cc curl python3; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed; \`tests/support/setup.sh package\` does it" >&2; exit 1; }
done
debs=$(realpath "${GHOSTLLM_DEBS:-target/deb}")
home=/usr/libexec/ghostllm-engine

# In a mount namespace of its own, in which the package lies where it would be installed.
if [ -z "${GHOSTLLM_UNPACKED:-}" ]; then
  work=$(mktemp -d /tmp/ghostllm-baseline.XXXXXX)
  trap 'rm -rf "$work"' EXIT
  dpkg-deb -x "$debs"/ghostllm-engine_*.deb "$work/package"
  GHOSTLLM_UNPACKED=$work unshare --mount "$0"
  exit
fi
work=$GHOSTLLM_UNPACKED
mount --make-rprivate /
mount -t overlay -o "lowerdir=$work/package/usr/libexec:/usr/libexec" overlay /usr/libexec
ls "$home"/libggml-cpu-*.so >/dev/null || { echo "$debs has an engine without libggml-cpu-*.so; \`just deb\` builds it with them" >&2; exit 1; }

failed=0
# `verdict WHAT EXPECTED SEEN`
verdict() {
  if [ "$2" = "$3" ]; then echo "ok      $1: $3"; else
    failed=$((failed + 1))
    echo "FAILED  $1: $3, not $2"
    tail -5 "$work/log" | sed 's/^/        | /'
  fi
}

# `asked COMMAND...`: the engine, started so in $here, is asked for a chat. Sets `status`, with the answer in $work/answer, and `code`, what is
# mapped into it.
here=/
asked() {
  rm -f "$work/socket" "$work/answer"
  (cd "$here" && exec "$@" --socket "$work/socket" >"$work/log" 2>&1) &
  local engine=$!
  for _ in $(seq 300); do
    [ ! -S "$work/socket" ] && kill -0 "$engine" 2>/dev/null || break
    sleep 0.1
  done
  status=$(curl -s -m 300 --unix-socket "$work/socket" -o "$work/answer" -w '%{http_code}' -H 'Content-Type: application/json' \
    -d '{"model":"ghostllm-demo","max_tokens":8,"temperature":0,"messages":[{"role":"user","content":"What is the capital of France?"}]}' \
    http://engine/v1/chat/completions) || true
  code=$(grep -o '[^ ]*/libggml-cpu-[a-z0-9]*\.so$' "/proc/$engine/maps" 2>/dev/null | sort -u | tr '\n' ' ') || true
  kill "$engine" 2>/dev/null || true
  wait "$engine" 2>/dev/null || true
  code=${code% }
}

# The first x86-64 has neither SSE 4.2 nor AVX.
while read -r processor kind; do
  asked qemu-x86_64 -cpu "$processor" "$home/ghostllm-engine"
  verdict "a chat on an emulated $processor" 200 "$status"
  verdict "its code" "$home/libggml-cpu-$kind.so" "$code"
done <<'P'
qemu64 x64
Nehalem sse42
SandyBridge sandybridge
Haswell haswell
P

# Whichever is the best here, it has the widest registers that there are.
asked "$home/ghostllm-engine"
flags=$(grep -m1 '^flags' /proc/cpuinfo)
case " $flags " in
  *" avx512f "*) wide='skylakex|cannonlake|cascadelake|icelake|cooperlake|zen4|sapphirerapids' ;;
  *" avx2 "*) wide='haswell|alderlake' ;;
  *) wide='x64|sse42|sandybridge|ivybridge|piledriver' ;;
esac
verdict "a chat on this processor" 200 "$status"
[[ $code =~ ^$home/libggml-cpu-($wide)\.so$ ]] && ours=yes || ours="no: $code"
verdict "its code is one of $wide" yes "$ours"
echo "        on this processor: $code"

# Somebody else's code says that it ran, and that it is the best there is.
mkdir -p "$work/evil"
cat >"$work/evil.c" <<E2
#include <fcntl.h>
__attribute__((constructor)) static void ran(void) { open("$work/ran", O_CREAT | O_WRONLY, 0600); }
int ggml_backend_score(void) { return 1 << 30; }
E2
cc -shared -fPIC -o "$work/evil/libggml-cpu-evil.so" "$work/evil.c"
cp "$work/evil/libggml-cpu-evil.so" "$work/evil/libggml-cpu.so"
cp "$work/evil/libggml-cpu-evil.so" "$work/evil/libllama.so.0"
told() { grep -qs -- "$1" "$work/answer" "$work/log" && echo ", and it says why"; }
stranger() { [ -e "$work/ran" ] && echo "somebody else's code ran" || echo "nobody else's code ran"; rm -f "$work/ran"; }
python3 -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$work/evil/libggml-cpu-evil.so"
verdict "the trap works" "somebody else's code ran" "$(stranger)"

here=$work/evil
asked "$home/ghostllm-engine"
verdict "in a directory with other code" "200, nobody else's code ran" "$status, $(stranger)"
asked env LD_LIBRARY_PATH="$work/evil" "$home/ghostllm-engine"
verdict "with LD_LIBRARY_PATH at other code" "200, nobody else's code ran" "$status, $(stranger)"
asked env GGML_BACKEND_PATH="$work/evil/libggml-cpu-evil.so" "$home/ghostllm-engine"
verdict "with GGML_BACKEND_PATH at other code" "nobody else's code ran, and it says why" \
  "$(stranger)$(told GGML_BACKEND_PATH)"
mkdir -p "$work/bare/ghostllm-engine"
cp "$home"/ghostllm-engine "$home"/*.so.0 "$work/bare/ghostllm-engine/"
mount --bind "$work/bare" /usr/libexec
asked "$home/ghostllm-engine"
verdict "without code of its own" "nobody else's code ran, and it says why" \
  "$(stranger)$(told 'reinstall the package ghostllm-engine')"
umount /usr/libexec

[ -z "${GHOSTLLM_NATIVE:-}" ] || python3 tests/package/speed.py "$home/ghostllm-engine" "$GHOSTLLM_NATIVE" || failed=$((failed + 1))
[ "$failed" = 0 ] || { echo "$failed checks of the engine have failed" >&2; exit 1; }
