#!/usr/bin/env bash
# Brings a bare Debian 12 machine to where Vedette can be built and run: Debian packages, npm
# packages with the pinned Node, the native build, the kernel's own file systems.
#   bash tools/setup.sh          what `npm start` needs
#   bash tools/setup.sh --test   and what `npm test` needs
# Does only what is missing, says what it does, and can be run at any time, also twice at once.
set -euo pipefail

# Debian packages: name, then why. apt-get gets no recommended packages with them.
PACKAGES_RUN='
clang            compiles the probes to BPF
libbpf-dev       BPF helper headers for the probes, and the loader that the addon uses
bpftool          links the BPF objects and makes the skeleton from them
libelf-dev       libbpf reads objects with it
zlib1g-dev       libelf needs it
cmake            builds native/
make             runs what cmake writes
g++              compiles the addon
libc6-dev        C headers
pkg-config       finds libbpf
iproute2         network namespaces for the drills
'
PACKAGES_TEST='
prometheus               scrapes the metrics and checks the rules (promtool), for real
prometheus-alertmanager  takes the alerts, for real
netcat-openbsd           makes connections that are not ours
procps                   reads processes from the outside
buildah                  builds the container image
debootstrap              makes the base system to build it on, without a registry
jq                       makes the seccomp profile for it
openssh-server           sshd of the nodes of the cluster rig
openssh-client           and those who use it
redis-server             their database
socat                    a proxy among them
curl                     fetches there, as attackers do
util-linux               enters their namespaces
gcc                      compiles what makes their clocks wrong
'
# The kernel rig boots x86-64 guests on the machine's own root file system.
PACKAGES_TEST_X86='
qemu-system-x86    runs the kernels of the rig
kmod               depmod for them
gcc-12             compiles the stand-in driver, as their headers want it
xz-utils           unpacks their modules for the initrd
rdma-core          soft-RoCE in them
ibverbs-providers  its driver in user space
ibverbs-utils      queue pairs that agree over TCP
rdmacm-utils       queue pairs that agree through the connection manager
nfs-kernel-server  a file system that nodes share
rpcbind            its clients ask it for ports
'
# Services among these must not run: not during the install and not after the next boot. Package,
# and after a colon the unit, when it has another name.
SERVICES='prometheus prometheus-alertmanager redis-server openssh-server:ssh
  nfs-kernel-server:nfs-server rpcbind'
NODE_MAJOR_MIN=20          # to run npm; everything else runs on the pinned Node
NODE_MAJOR_PINNED_MIN=24
RIG_KERNELS='6.1 6.12'     # test/vm/kernel.ts
# The kernel's own file systems that probes and doctor read.
KERNEL_MOUNTS='tracefs:/sys/kernel/tracing bpf:/sys/fs/bpf securityfs:/sys/kernel/security'
# Of the user: in a folder that all may write, the kernel keeps root off another user's file.
PACKAGES_LOCK=/tmp/.vedette-setup-packages.$EUID.lock
POLICY_RC=/usr/sbin/policy-rc.d
POLICY_MARK='written by vedette tools/setup.sh; it removes this file again'

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
LOG=build/setup.log
PATH=$PATH:/usr/sbin:/sbin
FOR_TEST=0
case "${1-}" in
  '') ;;
  --test) FOR_TEST=1 ;;
  *) echo "usage: bash tools/setup.sh [--test]" >&2; exit 2 ;;
esac

say() { printf 'setup: %s\n' "$*" >&2; }

# fail WHAT FIX: the end of the log, then what failed and what to do.
fail() {
  if [ -s "$LOG" ]; then
    printf '\n--- from %s\n' "$ROOT/$LOG" >&2
    # npm ends its errors with a page of usage: what it complains about first comes first.
    grep -n -m 5 -E '^(E:|npm (error|ERR!)|CMake Error)|error:' "$LOG" >&2 || true
    echo ... >&2
    tail -n 20 "$LOG" >&2
    printf -- '---\n' >&2
  fi
  printf 'setup: FAILED: %s\n       what to do: %s\n' "$1" "$2" >&2
  exit 1
}

# quietly COMMAND …: runs it without the lock, its output into the log.
quietly() {
  printf '+ %s\n' "$*" >> "$LOG"
  "$@" >> "$LOG" 2>&1 < /dev/null 8>&- 9>&-
}

# A step says in $outcome what it did.
step() {
  local title=$1 action=$2 start=$EPOCHREALTIME ms
  outcome='in place'
  "$action"
  ms=$(( (${EPOCHREALTIME/[.,]/} - ${start/[.,]/}) / 1000 ))
  printf 'setup: %-20s %5d.%d s  %s\n' "$title" $((ms / 1000)) $((ms % 1000 / 100)) "$outcome" >&2
}

as_root() { if [ "$EUID" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# May a command be run as root, now, without a question that nobody answers?
can_be_root() {
  [ "$EUID" -eq 0 ] && return
  command -v sudo > /dev/null || return 1
  sudo -n true 2> /dev/null || { [ -t 0 ] && [ -t 2 ] && sudo -v; }
}

check_machine() {
  local arch node_version
  arch=$(uname -m)
  case "$(uname -s) $arch" in
    'Linux x86_64' | 'Linux aarch64') ;;
    *) fail "$(uname -s) on $arch is not supported" 'use Linux on x86_64 or aarch64' ;;
  esac
  command -v apt-get > /dev/null ||
    fail 'apt-get is not here: this is not a Debian system' \
      'use Debian 12, or a container or VM of it'
  command -v node > /dev/null ||
    fail 'node is not on PATH' "apt-get install nodejs npm, or Node $NODE_MAJOR_MIN+ from elsewhere"
  command -v npm > /dev/null || fail 'npm is not on PATH' 'apt-get install npm'
  node_version=$(node -v)
  node_version=${node_version#v}
  [ "${node_version%%.*}" -ge "$NODE_MAJOR_MIN" ] ||
    fail "node $node_version ($(command -v node)) is too old" \
      "install Node $NODE_MAJOR_MIN or newer; a pinned $NODE_MAJOR_PINNED_MIN then comes with npm"
  # shellcheck disable=SC1091
  outcome="$(. /etc/os-release && echo "${PRETTY_NAME-unknown}"), $arch, node $node_version"
  case "$outcome" in
    'Debian GNU/Linux 12 '*) ;;
    *) outcome+=' (only Debian 12 was tried)' ;;
  esac
}

package_names() {
  local list=$PACKAGES_RUN
  if [ "$FOR_TEST" = 1 ]; then
    list+=$PACKAGES_TEST
    [ "$(uname -m)" != x86_64 ] || list+=$PACKAGES_TEST_X86
  fi
  awk 'NF { print $1 }' <<< "$list"
}

missing_packages() {
  local names
  mapfile -t names < <(package_names)
  # Unknown packages make dpkg-query end with 1 and are missing all the same.
  { dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${names[@]}" 2> /dev/null || true; } |
    awk '$2 == "installed" { print $1 }' | sort -u |
    comm -13 - <(printf '%s\n' "${names[@]}" | sort -u)
}

apt() {
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 \
    -o Acquire::Retries=3 "$@"
}

allow_service_start() {
  if grep -qs "$POLICY_MARK" "$POLICY_RC"; then as_root rm -f "$POLICY_RC"; fi
}

# Debian starts a service when its package is installed, unless policy-rc.d says 101. A file that
# is not ours stays as it is; one left by a run that was killed is ours.
deny_service_start() {
  if [ ! -e "$POLICY_RC" ] || grep -qs "$POLICY_MARK" "$POLICY_RC"; then
    trap allow_service_start EXIT
    printf '#!/bin/sh\n# %s\nexit 101\n' "$POLICY_MARK" | as_root tee "$POLICY_RC" > /dev/null
    as_root chmod 755 "$POLICY_RC"
  fi
}

# Two checkouts may be set up at once; they share the policy file and dpkg.
lock_packages() {
  exec 8> "$PACKAGES_LOCK"
  flock 8
}

# A marked file with nothing to install: its run was killed, or another checkout's goes on.
clear_stale_policy() {
  if [ "$EUID" -eq 0 ] && grep -qs "$POLICY_MARK" "$POLICY_RC"; then
    lock_packages
    allow_service_start
    exec 8>&-
    outcome="removed a left-over $POLICY_RC"
  fi
}

install_packages() {
  local missing service
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" -eq 0 ]; then clear_stale_policy; return; fi
  say "installing Debian packages: ${missing[*]}"
  can_be_root || fail "Debian packages are missing, and this user may not install them" \
    "as root: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  lock_packages
  deny_service_start
  apt update || say 'apt-get update failed; going on with the package lists that are here'
  apt install -y --no-install-recommends "${missing[@]}" ||
    fail "apt-get could not install: ${missing[*]}" \
      'look at the log above: is the network up, does /etc/apt name Debian 12, is the disk full?'
  for service in $SERVICES; do
    if [[ " ${missing[*]} " == *" ${service%%:*} "* ]] && command -v systemctl > /dev/null; then
      quietly as_root systemctl disable "${service#*:}.service" || true
    fi
  done
  allow_service_start
  exec 8>&-
  outcome="installed ${#missing[@]}"
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -eq 0 ] ||
    fail "apt-get said yes, but these are not installed: ${missing[*]}" 'dpkg --audit tells more'
}

install_npm_packages() {
  local stamp=node_modules/.vedette-lock-hash version
  lock_hash="$(sha256sum < package-lock.json) $(uname -m)"
  if [ "$(cat "$stamp" 2> /dev/null)" != "$lock_hash" ]; then
    say 'installing npm packages'
    # No package of ours needs an install script; settings from outside must leave none out.
    quietly npm ci --loglevel=warn --no-audit --no-fund \
      --ignore-scripts --include=dev --include=optional ||
      fail 'npm ci could not install the npm packages' \
        "is the registry reachable ('npm ping')? does package-lock.json fit package.json?"
    printf '%s\n' "$lock_hash" > "$stamp"
    outcome='installed'
  fi
  # npm links the commands of packages, not ours: with this, npx finds it and asks no registry.
  ln -sfn ../../cli/vedette.js node_modules/.bin/vedette
  PATH=$ROOT/node_modules/.bin:$PATH
  hash -r
  version=$(node -v 2>> "$LOG") ||
    fail "the pinned Node does not run: $(command -v node)" \
      'is the file system mounted noexec, or is this not glibc? remove node_modules, try again'
  version=${version#v}
  [ "${version%%.*}" -ge "$NODE_MAJOR_PINNED_MIN" ] ||
    fail "node in node_modules/.bin is missing and $(command -v node) is $version" \
      "remove node_modules and try again, or install Node $NODE_MAJOR_PINNED_MIN or newer"
  outcome+=", node $version"
}

# Everything that the native build depends on, as one hash.
native_hash() {
  local names
  mapfile -t names < <(awk 'NF { print $1 }' <<< "$PACKAGES_RUN")
  {
    echo "$ROOT $lock_hash"
    dpkg-query -W -f '${Package} ${Version}\n' "${names[@]}"
    find binding.gyp native bpf -type f ! -name '*.test.ts' -print0 | sort -z | xargs -0 sha256sum
    grep '"build":' package.json
  } | sha256sum
}

build_native() {
  local stamp=build/native/.setup-hash hash home
  if [ ! -e native/CMakeLists.txt ] || [ ! -e binding.gyp ]; then
    outcome='SKIPPED: native/CMakeLists.txt or binding.gyp is not there'
    return
  fi
  hash=$(native_hash)
  if [ "$(cat "$stamp" 2> /dev/null)" = "$hash" ] &&
    [ -n "$(find build/native -name '*.node' -print -quit)" ]; then
    return
  fi
  # cmake refuses a build folder that came from another place.
  home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' build/native/CMakeCache.txt 2> /dev/null) ||
    true
  [ -z "$home" ] || [ "$home" = "$ROOT/native" ] || rm -rf build/native
  say 'building the probes and the addon'
  quietly npm run --loglevel=notice build ||
    fail 'the native build failed (npm run build)' \
      "read the first error in $LOG; 'rm -rf build/native' starts the build anew"
  [ -n "$(find build/native -name '*.node' -print -quit)" ] ||
    fail 'the native build said yes, but build/native holds no .node file' "read $LOG"
  printf '%s\n' "$hash" > "$stamp"
  outcome='built'
}

# The first start is to be as fast as the second.
compile_ahead() {
  local stamp=build/.compile-cache-hash hash users=()
  if [ ! -e tools/compile-cache.sh ] || [ ! -e cli/vedette.js ]; then
    outcome='SKIPPED: the sources are not there'
    return
  fi
  # Who the unit of systemd runs as; it may not write here.
  if id vedette > /dev/null 2>&1; then users=(vedette); fi
  hash=$({
    echo "$lock_hash ${users[*]}"
    find . \( -name node_modules -o -name build -o -name .git -o -name test \) -prune \
      -o -name '*.[jt]s' -type f ! -name '*.test.ts' -print0 | sort -z | xargs -0 sha256sum
  } | sha256sum)
  if [ "$(cat "$stamp" 2> /dev/null)" = "$hash" ] && [ -d build/compile-cache ]; then return; fi
  # It is faster with it, and works without.
  if quietly bash tools/compile-cache.sh . "${users[@]}"; then
    printf '%s\n' "$hash" > "$stamp"
    outcome='compiled'
  else
    outcome="FAILED, commands start slower: read $LOG"
  fi
}

mount_kernel_file_systems() {
  local pair type dir done_=() failed=()
  for pair in $KERNEL_MOUNTS; do
    type=${pair%%:*}
    dir=${pair#*:}
    if mountpoint -q "$dir"; then continue; fi
    if [ "$EUID" -eq 0 ] && quietly mount -t "$type" "$type" "$dir"; then
      done_+=("$dir")
    else
      failed+=("$dir")
    fi
  done
  [ "${#done_[@]}" -eq 0 ] || outcome="mounted ${done_[*]}"
  [ "${#failed[@]}" -eq 0 ] || outcome="NOT mounted (needs root): ${failed[*]}"
}

fetch_rig_kernels() {
  local series
  [ "$(uname -m)" = x86_64 ] || { outcome='none: the kernel rig runs on x86_64 only'; return; }
  if [ ! -e test/vm/main.ts ]; then outcome='SKIPPED: test/vm is not there'; return; fi
  for series in $RIG_KERNELS; do
    [ -e "build/vm/kernels/$series/release" ] && [ -e build/vm/busybox/bin/busybox ] && continue
    say "getting the kernels of the rig: $RIG_KERNELS"
    quietly node test/vm/main.ts --fetch ||
      fail 'the kernels of the rig could not be fetched' \
        'is the network up, and does /etc/apt name Debian 12 with its security updates?'
    outcome='fetched'
    return
  done
}

mkdir -p build
exec 9> build/.setup.lock
flock -n 9 || { say 'another set-up runs in this checkout; waiting for it'; flock 9; }
: > "$LOG"
started=$SECONDS
step 'machine' check_machine
step 'Debian packages' install_packages
step 'npm packages' install_npm_packages
step 'kernel file systems' mount_kernel_file_systems
step 'native build' build_native
step 'compiled code' compile_ahead
if [ "$FOR_TEST" = 1 ]; then step 'rig kernels' fetch_rig_kernels; fi
say "ready after $((SECONDS - started)) s"
