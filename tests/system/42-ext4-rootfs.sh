#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A real root file system as an image of layout 1: nothing is lost, and programs run from it.
. "$(dirname "$0")/functions.sh"
requires_loop
requires_program e2fsck
ext4tree=$BUILD_DIR/tests/system/ext4tree
make_rootfs

"$ext4tree" from "$rootfs" "$work/root.img"
e2fsck -fn "$work/root.img" > "$work/e2fsck" 2>&1 || { cat "$work/e2fsck" >&2; die "e2fsck complains"; }
mount_ext4 "$work/root.img" "$work/mnt"
"$ext4tree" describe "$rootfs" > "$work/want"
"$ext4tree" describe "$work/mnt" > "$work/got"
same_bytes "$work/want" "$work/got"
[ "$(chroot "$work/mnt" python3 -c 'print(6 * 7)')" = 42 ] || die "python3 does not run"

# Read back, it is the same image: nothing but what the tree holds takes part.
"$ext4tree" from "$work/mnt" "$work/again.img"
same_bytes "$work/root.img" "$work/again.img"
