#!/usr/bin/env bash
# A Debian with a systemd of its own, booted beside this one, with the units and the programs of this tree: `nspawn.sh try` says on
# standard output what keeps it from booting here, if anything does; `nspawn.sh make` makes its files alone; `nspawn.sh run COMMAND...` boots
# it, runs that in it and ends it; `nspawn.sh boot` says `booted PID` once it runs, PID being its first process, and ends it when standard
# input does.
#
# It has the loopback network alone. Its files lie in memory and are gone afterwards; what they lie over is made once, in .tools/systemd.
set -euo pipefail
cd "$(dirname "$0")/../.."

base=.tools/systemd
log=.tools/systemd.log
programs=${GHOSTLLM_PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}

# Made aside and moved, so that an interrupted run leaves nothing that looks whole. It is this machine's own Debian, whose libc the
# programs were built for.
make() {
  mkdir -p .tools
  # Tests run beside one another, and each of them may be the first.
  exec 9>.tools/systemd.lock
  flock 9
  [ -x "$base/usr/lib/systemd/systemd" ] && { exec 9>&-; return; }
  local site suite
  read -r site suite < <(apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' | grep -v -e security -e updates) || true
  [ -n "${suite:-}" ] || { echo "apt names no mirror; run apt-get update"; return 1; }
  rm -rf "$base.new"
  mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
    --include=systemd,systemd-sysv,dbus "$suite" "$base.new" "$site" >"$log" 2>&1 ||
    { echo "mmdebstrap could not make its files: $(tail -1 "$log"); all of it is in $log"; return 1; }
  mv "$base.new" "$base"
  exec 9>&-
}

# What is missing, in words.
possible() {
  [ "$(id -u)" = 0 ] || { echo "it needs root"; return 1; }
  for tool in systemd-nspawn mmdebstrap unshare nsenter; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed; \`just setup\` does it"; return 1; }
  done
  make
}

# In a mount namespace of its own: everything that is mounted here goes with the last process. Where the cgroups of this machine are not
# those of version 2 alone, its systemd would be shown what it cannot use.
container() {
  mount --make-rprivate /
  mount -t tmpfs -o mode=755 tmpfs "$work"
  mkdir "$work"/{changed,scratch,root}
  mount -t overlay -o "lowerdir=$PWD/$base,upperdir=$work/changed,workdir=$work/scratch" overlay "$work/root"
  for program in ghostllm ghostctl ghostllm-engine; do
    touch "$work/root/usr/bin/$program"
    binds+=("--bind-ro=$(realpath "$programs/$program"):/usr/bin/$program")
  done
  # Where the engine's own unit looks for it.
  mkdir -p "$work/root/usr/libexec/ghostllm-engine"
  touch "$work/root/usr/libexec/ghostllm-engine/ghostllm-engine"
  binds+=("--bind-ro=$(realpath "$programs/ghostllm-engine"):/usr/libexec/ghostllm-engine/ghostllm-engine")
  cp systemd/*.service systemd/*.socket "$work/root/usr/lib/systemd/system/"
  mkdir -p "$work/root/usr/lib/sysusers.d"
  cp systemd/ghostllm.sysusers "$work/root/usr/lib/sysusers.d/ghostllm.conf"
  umount -l /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  # A group of its own, since each nspawn makes some with fixed names in the one that it is in.
  mkdir "/sys/fs/cgroup/$name"
  echo "$BASHPID" >"/sys/fs/cgroup/$name/cgroup.procs"
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn --quiet --directory="$work/root" --boot --register=no --keep-unit \
    --machine="$name" --private-network --console=read-only --link-journal=no "${binds[@]}"
}

inside() {
  nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
}

start() {
  work=$(mktemp -d /tmp/ghostllm-nspawn.XXXXXX)
  name=${work##*/}
  name=${name//./-}
  unshare --mount "$0" container "$work" "$name" >"$work.log" 2>&1 </dev/null &
  nspawn=$!
  trap end EXIT
  for _ in $(seq 300); do
    leader=$(pgrep -P "$nspawn" -x systemd | head -1) || true
    # "degraded" too: what a bare Debian starts and cannot have here is of no interest.
    if [ -n "$leader" ]; then
      case $(inside systemctl is-system-running 2>/dev/null || true) in running | degraded) return ;; esac
    fi
    kill -0 "$nspawn" 2>/dev/null || break
    sleep 0.1
  done
  echo "it does not boot: $(tail -3 "$work.log" | tr '\n' ' ')"
  return 1
}

end() {
  if [ -n "${leader:-}" ]; then kill -KILL "$leader" 2>/dev/null || true; fi
  kill "$nspawn" 2>/dev/null || true
  wait "$nspawn" 2>/dev/null || true
  rm -rf "$work" "$work.log"
  # Groups stay behind, empty; of those of a namespace that is gone only the machine's own view is left.
  for tree in /sys/fs/cgroup/unified /sys/fs/cgroup; do
    if [ -d "$tree/$name" ]; then find "$tree/$name" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
}

case "${1:-}" in
  try) possible && start ;;
  make) possible ;;
  boot)
    possible && start || exit 1
    echo "booted $leader"
    cat >/dev/null
    ;;
  run)
    possible && start || exit 1
    shift
    inside "$@"
    ;;
  container)
    work=$2 name=$3 binds=()
    container
    ;;
  *)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
