# A Debian of a suite, or this machine's (`here`), booted with a systemd of its own: `boot SUITE`, `inside COMMAND...`, `at_its_network COMMAND...`, `end`. What
# tests/support/nspawn.sh is for the units alone, with a package manager in it. To be read by bash's `.`.

# Where this machine has its Debian from.
mirror() {
  local site
  site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -1)
  echo "${site:-http://deb.debian.org/debian}"
}

# Made aside and moved, so that an interrupted run leaves nothing that looks whole. nginx and Caddy are there for the guide that has them, and
# start when it is their turn.
tree() {
  local suite=$1
  case $suite in
    here)
      # That of the tests under a systemd of their own, which is there already where they run.
      base=.tools/systemd
      tests/support/nspawn.sh make || exit 1
      return
      ;;
    autopkgtest)
      base=.tools/package/autopkgtest
      return
      ;;
  esac
  base=.tools/package/$suite-with-proxies
  [ ! -x "$base/usr/lib/systemd/systemd" ] || return 0
  mkdir -p .tools/package
  rm -rf "$base.new"
  if [ -f "$base.tar" ]; then
    mkdir "$base.new" && tar -C "$base.new" --numeric-owner -xf "$base.tar"
  else
    mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,curl,iproute2,nginx,caddy \
      --customize-hook='systemctl --quiet --root="$1" disable nginx caddy' "$suite" "$base.new" "$(mirror)" \
      >".tools/package/$suite.log" 2>&1 || { echo "mmdebstrap cannot make a Debian $suite: $(tail -1 ".tools/package/$suite.log")" >&2; exit 1; }
  fi
  mv "$base.new" "$base"
}

# sslyze, apart from the clients' libraries, which want other versions of what it needs. The stamp is what was installed.
scanner_of_tls() {
  local wanted=tests/package/requirements.txt venv=${scanner%/bin/python}
  cmp -s "$wanted" "$venv/installed.txt" && return
  "$python" -m venv "$venv"
  "$scanner" -m pip install -q --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$venv/installed.txt"
}

# In a mount namespace of its own: everything that is mounted here goes with the last process.
begin() {
  mount --make-rprivate /
  mount -t tmpfs -o mode=755 tmpfs "$work"
  mkdir "$work"/{changed,scratch,root}
  mount -t overlay -o "lowerdir=$PWD/$base,upperdir=$work/changed,workdir=$work/scratch" overlay "$work/root"
  echo box >"$work/root/etc/hostname"
  # Only version 2 of the cgroups is known to its systemd; and a group of its own, since each nspawn makes some with fixed names.
  umount -l /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir "/sys/fs/cgroup/$name"
  echo "$BASHPID" >"/sys/fs/cgroup/$name/cgroup.procs"
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn --quiet --directory="$work/root" --boot --register=no --keep-unit \
    --machine="$name" --private-network --console=read-only --link-journal=no --bind-ro="$debs:/srv/debs" --bind-ro="$work.newer:/srv/newer"
}

inside() {
  nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}

# With this machine's programs and files.
at_its_network() {
  nsenter --target "$leader" --net -- "$@"
}

boot() {
  tree "$1"
  work=$(mktemp -d /tmp/ghostllm-package.XXXXXX)
  mkdir "$work.newer"
  name=${work##*/}
  name=${name//./-}
  export -f begin
  work=$work name=$name base=$base debs=$debs unshare --mount bash -c 'set -e; begin' >"$work.log" 2>&1 </dev/null &
  nspawn=$!
  trap end EXIT
  for _ in $(seq 600); do
    leader=$(pgrep -P "$nspawn" -x systemd | head -1) || true
    if [ -n "$leader" ]; then
      case $(inside systemctl is-system-running 2>/dev/null || true) in running | degraded) return ;; esac
    fi
    kill -0 "$nspawn" 2>/dev/null || break
    sleep 0.1
  done
  echo "it does not boot: $(tail -3 "$work.log" | tr '\n' ' ')" >&2
  exit 1
}

end() {
  trap - EXIT
  if [ -n "${leader:-}" ]; then kill -KILL "$leader" 2>/dev/null || true; fi
  kill "$nspawn" 2>/dev/null || true
  wait "$nspawn" 2>/dev/null || true
  rm -rf "$work" "$work.log" "$work.newer"
  # Groups stay behind, empty.
  for groups in /sys/fs/cgroup/unified /sys/fs/cgroup; do
    if [ -d "$groups/$name" ]; then find "$groups/$name" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
}
