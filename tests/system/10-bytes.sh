#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The .img is the original image, byte for byte, however it is read: sequentially, at random, across chunk ends and the end of
# file, by 16 readers at once, O_DIRECT, mapped, through a loop device and by qemu-img; each from a cold cache and from a
# warm one, and after a remount.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_program python3 qemu-img

make_rootfs
make_image "$rootfs" "$work/x.img"
# an end in the middle of a chunk, of a page and of a sector
head -c 1234567 /dev/urandom >> "$work/x.img"
smr -s "$work/store" chunk "$work/x.img"
start_nginx "$work/store"

for mode in sequential random edges readers direct mmap; do
	rm -rf "$work/cache"
	mount_smrfs "$nginx_url" "$work/mnt"
	for cache in cold warm; do
		echo "$mode, $cache"
		"$here/readcheck.py" $mode "$work/mnt/x.img" "$work/x.img" 1
		drop_page_cache "$work/mnt/x.img"
	done
	umount_smrfs "$work/mnt"
	echo "$mode, after a remount"
	mount_smrfs "$nginx_url" "$work/mnt"
	"$here/readcheck.py" $mode "$work/mnt/x.img" "$work/x.img" 2
	umount_smrfs "$work/mnt"
done

rm -rf "$work/cache"
mount_smrfs "$nginx_url" "$work/mnt"
for cache in cold warm; do
	echo "qemu-img compare, $cache"
	qemu-img compare -f raw -F raw "$work/mnt/x.img" "$work/x.img"
done
if [ "$(id -u)" -eq 0 ] && losetup -f > /dev/null 2>&1; then
	echo "a loop device"
	attach_loop "$work/mnt/x.img"
	# a loop device has whole sectors only
	cmp -n $(($(stat -c %s "$work/x.img") / 512 * 512)) "$loop" "$work/x.img"
	losetup -d "$loop"
fi
umount_smrfs "$work/mnt"
