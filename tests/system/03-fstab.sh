#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A line of fstab is enough: mount(8) mounts the store with the options that such lines carry, umount(8) takes it down,
# and at once mount(8) may mount it again.
. "$(dirname "$0")/functions.sh"
own_mounts
requires_fuse
requires_program mount.fuse3 findmnt

# mount(8) looks for programs where they are installed, not in this PATH.
mkdir "$work/bin"
cp "$(command -v smrfs)" "$work/bin"
mount --bind "$work/bin" /usr/local/bin

head -c 3000000 /dev/urandom > "$work/x.img"
smr -q -s "$work/store" chunk "$work/x.img"
start_nginx "$work/store"
mkdir "$work/mnt"
printf '%s\n' "$nginx_url $work/mnt fuse.smrfs \
ro,noauto,nofail,_netdev,x-systemd.automount,x-systemd.mount-timeout=60,noatime,nosuid,nodev,\
cache=$work/cache,cache_size=1G,timeout=20 0 0" > "$work/fstab"
cleanup_fn umount_if_mounted "$work/mnt"

for _ in 1 2; do
	mount -T "$work/fstab" "$work/mnt"
	is_mounted "$work/mnt" || die "mount(8) succeeded, and nothing is mounted"
	same_bytes "$work/x.img" "$work/mnt/x.img"
	findmnt -n -o FSTYPE,SOURCE "$work/mnt" | grep -q "^fuse.smrfs *$nginx_url\$" ||
		die "findmnt shows $(findmnt -n -o FSTYPE,SOURCE "$work/mnt")"
	umount "$work/mnt"
done

# What cannot work is said, and mount(8) fails.
sed -i 's/noauto/nonsense/' "$work/fstab"
must_fail nonsense mount -T "$work/fstab" "$work/mnt"
