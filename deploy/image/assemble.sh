#!/usr/bin/env bash
# Lays out the root file system of the image in a folder; the Dockerfile runs it after the set-up.
#   bash deploy/image/assemble.sh FOLDER
set -euo pipefail

# Folders of ours that run; the rest builds, tests or documents.
CODE='agent cli correlator detect detectors drills gpu kubernetes log native policy proto stores'
USER_ID=65532 # as in the Dockerfile and in deploy/kubernetes

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:?usage: bash deploy/image/assemble.sh FOLDER}
home=$out/opt/vedette
addon=build/native/vedette.node
node=$(readlink -f node_modules/.bin/node)
rm -rf "$out"
mkdir -p "$home" "$out/usr/bin" "$out/etc" "$out/tmp" "$out/var/lib/vedette"
chmod 1777 "$out/tmp"

# Copies a file, not the link to it, to the same place below the root.
place() { install -D "$1" "$out$1"; }

# The licence of a file's Debian package goes with it. On a merged /usr, dpkg may know the file
# by either path.
place_licence() {
  local package
  package=$(dpkg-query -S "$1" 2> /dev/null || dpkg-query -S "/usr$1" 2> /dev/null ||
    dpkg-query -S "${1#/usr}")
  package=${package%%:*}
  install -D -m 644 "/usr/share/doc/$package/copyright" "$out/usr/share/doc/$package/copyright"
}

# Node without its symbols: 20 MB less, and nothing here reads them.
strip -o "$out/usr/bin/node" "$node"
install -D -m 644 "$(dirname "$node")/../LICENSE" "$out/usr/share/doc/nodejs/LICENSE"

# The shared libraries of both, and the loader itself, where they look for them.
libraries=$(ldd "$node" "$addon" | grep -oE '/[^ :]+' | grep -E '/(lib|ld)[^/]*\.so' | sort -u)
for library in $libraries; do
  case "$library" in "$PWD"/*) continue ;; esac
  place "$library"
  place_licence "$(readlink -f "$library")"
done

cp -a LICENSE package.json package-lock.json "$home"
for folder in $CODE; do cp -a "$folder" "$home"; done
rm -rf "$home"/native/{src,CMakeLists.txt,build.ts,sanitize.ts}
install -D "$addon" "$home/$addon"
strip --strip-unneeded "$home/$addon"
cp bpf/LICENSE.* "$home/build/native/"

# Packages that run; Node is already there, and the fast strings of msgpackr are not needed.
(cd "$home" && npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
  --loglevel=error --prefer-offline)
rm "$home/package-lock.json"
# Types, maps and build files of packages are for those who build on them.
find "$home/node_modules" -type f \( -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' \
  -o -name '*.map' \) -delete

printf 'root:x:0:0:root:/:/none\nvedette:x:%d:%d:Vedette:/var/lib/vedette:/none\n' \
  "$USER_ID" "$USER_ID" > "$out/etc/passwd"
printf 'root:x:0:\nvedette:x:%d:\n' "$USER_ID" > "$out/etc/group"
# Without this file glibc asks DNS before /etc/hosts.
printf 'hosts: files dns\n' > "$out/etc/nsswitch.conf"
# Compiled with the Node of the image, and read by both users that deploy/ runs it as.
PATH=$out/usr/bin:$PATH bash tools/compile-cache.sh "$home" 0 "$USER_ID"
chown -R 0:0 "$out"
# So that a new volume mounted here belongs to the user of the image, too.
chown "$USER_ID:$USER_ID" "$out/var/lib/vedette"
