#!/bin/bash
# Second program of the guest (pid 1), on the machine's own root file system: mounts what a real
# node has, runs the job that the host left in OUT_DIR/job.sh, writes its exit status to
# OUT_DIR/exit_code and resets the machine, which ends QEMU (-no-reboot).
# Arguments: CHECKOUT OUT_DIR. Output of the job goes to ttyS1, of the kernel to ttyS0.
set -u
checkout=$1
out_dir=$2
export PATH=$checkout/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 LC_ALL=C.UTF-8

finish() {
  echo "$1" > "$out_dir/exit_code"
  # stty waits until the serial line has sent everything.
  stty -F /dev/ttyS1 raw
  sync
  echo b > /proc/sysrq-trigger
  sleep 60
}

mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
# A checkout below /tmp must stay in sight; its /tmp is then the layer in memory.
case "$checkout/" in
  /tmp/*) ;;
  *) mount -t tmpfs -o mode=1777 tmpfs /tmp ;;
esac
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t securityfs securityfs /sys/kernel/security
mount -t debugfs debugfs /sys/kernel/debug
ln -sf /proc/self/fd /dev/fd
ip link set lo up
hostname "vedette-$(uname -r | cut -d. -f1,2 | tr . -)"

# The modules and the configuration of the kernel that runs, for modprobe and bpftool.
release=$(uname -r)
for dir in "$checkout"/build/vm/kernels/*/; do
  [ -d "$dir/lib/modules/$release" ] || continue
  mkdir -p "/lib/modules/$release"
  mount --bind "$dir/lib/modules/$release" "/lib/modules/$release"
  ln -sf "$dir/boot/config-$release" "/boot/config-$release"
done

stty -F /dev/ttyS1 raw -echo
# What the host checks before it believes a result: uptime, release, BTF, LSM list.
btf=absent
[ -r /sys/kernel/btf/vmlinux ] && btf=present
echo "vedette-guest-ready $(cut -d' ' -f1 /proc/uptime) $release $btf" \
  "$(cat /sys/kernel/security/lsm)" > /dev/ttyS1

cd "$checkout" || finish 125
# Through a pipe, so that the job does not take the line for a terminal. A process that the job
# left behind may hold the pipe open for ever: wait for the end of the output, but not long.
mkfifo /run/job-output
cat /run/job-output > /dev/ttyS1 &
cat_pid=$!
bash "$out_dir/job.sh" > /run/job-output 2>&1 < /dev/null
code=$?
timeout 5 tail --pid="$cat_pid" -f /dev/null
finish "$code"
