#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The whole way without privileges: publish, mount with the cache in ~/.cache, fuse2fs in place of a loop device, and back.
. "$(dirname "$0")/functions.sh"
own_mounts # and root, to become somebody else
requires_fuse
requires_program setpriv fuse2fs

user=65534
# everybody may open /dev/fuse on a machine as it should be
mknod -m 666 "$work/fuse" c 10 229
mount --bind "$work/fuse" /dev/fuse
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not setuid here"

# Programs where that user may reach them, whatever the build directory's parents allow.
install -d -m 755 "$work/bin" "$work/tree"
install -m 755 "$(command -v smr)" "$(command -v smrfs)" "$work/bin"
chmod 755 "$work"
install -d -o "$user" "$work/home" "$work/home/mnt" "$work/home/root"
seq 200000 > "$work/tree/numbers"
make_image "$work/tree" "$work/home/disk.img" 16
chown -R "$user" "$work/home"

cat > "$work/as-user" <<'END'
set -eu
cd "$HOME"
smr -q -s store chunk disk.img
smrfs store mnt
cmp disk.img mnt/disk.img
[ -d .cache/smr/pool ] || { echo "the cache is not in ~/.cache/smr"; exit 1; }
fuse2fs -o ro mnt/disk.img root > fuse2fs.log 2>&1 || { cat fuse2fs.log; exit 1; }
cmp root/numbers tree/numbers
fusermount3 -u root
# fuse2fs holds its image open for a moment after its own mount is gone
until fusermount3 -u mnt 2> /dev/null; do sleep 0.1; done
END
ln -s "$work/tree" "$work/home/tree"
cleanup_fn umount_if_mounted "$work/home/mnt"
cleanup_fn umount_if_mounted "$work/home/root"
env -i HOME="$work/home" PATH="$work/bin:$PATH" LC_ALL=C SMR_CONF= \
	setpriv --reuid="$user" --regid="$user" --clear-groups sh "$work/as-user"
