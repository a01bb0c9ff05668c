#!/bin/busybox sh
# shellcheck shell=dash disable=SC1091
# First program of the guest, in the initrd: puts the machine's root, read-only over 9p, under a
# layer in memory, adds the writable share for results, and hands over to guest.sh.
# /job gives CHECKOUT and OUT_DIR, both paths as they are on the host.
set -eu
export PATH=/bin
/bin/busybox --install -s /bin
# Without this a failed line would end init, and the panic would not say which line.
trap 'echo "vedette-rig: init failed, exit $?"; sync; reboot -f' EXIT
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done < /modules/order
. /job

share='trans=virtio,version=9p2000.L,msize=262144'
# The host's tree does not change below a running guest in a way that tests depend on: cache it.
mount -t 9p -o "ro,$share,cache=loose" root /lower
mount -t tmpfs -o size=60% layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work overlay /root
mkdir -p "/root$OUT_DIR"
mount -t 9p -o "rw,$share,cache=none" out "/root$OUT_DIR"
for dir in proc sys dev; do
  mkdir -p "/root/$dir"
  mount -o move "/$dir" "/root/$dir"
done
trap - EXIT
exec switch_root /root /bin/bash "$CHECKOUT/test/vm/guest.sh" "$CHECKOUT" "$OUT_DIR"
