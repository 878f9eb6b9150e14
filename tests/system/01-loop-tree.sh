#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A real root file system with everything that a tree can hold arrives unchanged: chunked, served, mounted, read through a
# loop device. The second time from a warm cache, after a remount.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_loop
requires_xattrs_at "$work"
requires_program setcap setfacl

# What Debian's packages have not.
odd_files()
{
	local odd=$1/odd
	mkdir -p "$odd/deep/$(printf 'd%.0s' {1..200})" "$odd/many"
	: > "$odd/empty"
	printf 'x' > "$odd/one byte"
	printf 'bytes' > "$odd/$(printf 'n\xff\xc3\xa9')"
	truncate -s 300M "$odd/hole"
	printf 'middle' | dd of="$odd/sparse" bs=1 seek=5000000 status=none
	truncate -s 9000000 "$odd/sparse"
	head -c 3000001 /dev/urandom > "$odd/random"
	ln "$odd/random" "$odd/deep/hard"
	ln -s random "$odd/fast"
	ln -s "$(printf '/long%.0s' {1..100})" "$odd/slow"
	mknod "$odd/block" b 259 70000
	mknod "$odd/char" c 5 1
	mkfifo "$odd/fifo"
	cp "$1/usr/bin/true" "$odd/setuid"
	chown 70000:4000000000 "$odd/setuid"
	chmod 6755 "$odd/setuid"
	cp "$1/usr/bin/true" "$odd/capable"
	setcap cap_net_raw,cap_net_bind_service+ep "$odd/capable"
	chmod 1777 "$odd/many"
	setfattr -n user.empty -v '' "$odd/empty"
	setfattr -n user.large -v "$(head -c 2000 /dev/zero | tr '\0' v)" "$odd/one byte"
	setfattr -n trusted.on-a-directory -v 1 "$odd/many"
	setfacl -m u:1234:rw,g:70001:r "$odd/random"
	touch -d 1950-01-02 "$odd/empty"
	touch -d 2033-01-02 "$odd/one byte"
	seq -f "$odd/many/file number %g" 3000 | xargs -d '\n' touch
}

make_rootfs
cp -a "$rootfs" "$work/tree"
odd_files "$work/tree"
make_image "$work/tree" "$work/system.img" 900
smr -s "$work/store" chunk "$work/system.img"
start_nginx "$work/store"

for cache in cold warm; do
	echo "$cache cache"
	mount_smrfs "$nginx_url" "$work/mnt"
	mount_ext4 "$work/mnt/system.img" "$work/root"
	same_trees "$work/tree" "$work/root"
	[ "$(chroot "$work/root" python3 -c 'print(6 * 7)')" = 42 ] || die "python3 of the image does not run"
	umount_ext4 "$work/root" "$loop"
	same_bytes "$work/system.img" "$work/mnt/system.img"
	umount_smrfs "$work/mnt"
	[ "$cache" = cold ] && fetched=$(nginx_requests /chunks/)
done
[ "$(nginx_requests /chunks/)" -eq "$fetched" ] || die "the warm run fetched chunks again"
