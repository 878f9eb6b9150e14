#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A tree becomes the same image however it is filled and wherever that happens; e2fsck finds nothing to say, and the kernel
# shows every path as it was meant.
. "$(dirname "$0")/functions.sh"
requires_program e2fsck
ext4tree=$BUILD_DIR/tests/system/ext4tree

check()
{
	local image=$1 description=$2
	e2fsck -fn "$image" > "$work/e2fsck" 2>&1 || { cat "$work/e2fsck" >&2; die "e2fsck complains"; }
	[ "$(id -u)" -eq 0 ] || return 0
	mount_ext4 "$image" "$work/mnt"
	"$ext4tree" describe "$work/mnt" holes > "$work/mounted"
	umount_ext4 "$work/mnt" "$loop"
	diff "$description" "$work/mounted" | head -n 20 > "$work/diff" || true
	[ ! -s "$work/diff" ] || { cat "$work/diff" >&2; die "$image does not hold what it should"; }
}

# Everything rare: dates, devices, ids, names, holes, links, xattrs, sizes of directories.
"$ext4tree" cases 1 "$work/a.img" > "$work/a"
check "$work/a.img" "$work/a"
(
	mkdir "$work/elsewhere"
	cd "$work/elsewhere"
	umask 077
	TZ=Asia/Kathmandu LC_ALL=C.UTF-8 TMPDIR=/tmp "$ext4tree" cases 2 ../b.img > ../b
)
same_bytes "$work/a.img" "$work/b.img"
same_bytes "$work/a" "$work/b"
rm "$work"/*.img

# And what nobody thought of.
for seed in 1 2 3; do
	"$ext4tree" random $seed 10000 4 "$work/a.img" > "$work/a"
	check "$work/a.img" "$work/a"
	"$ext4tree" random $seed 10000 5 "$work/b.img" > "$work/b"
	same_bytes "$work/a.img" "$work/b.img"
	rm "$work"/*.img
done
for chunk in 65536 1048576 4194304; do
	"$ext4tree" random 4 3000 0 "$work/a.img" $chunk > "$work/a"
	check "$work/a.img" "$work/a"
	rm "$work"/*.img
done
