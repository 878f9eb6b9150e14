#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# mount(8) and fstab lines of type fuse.smrfs, with all that they carry for mount(8) and systemd.
if [ -z "${SMR_TEST_NAMESPACE-}" ] && unshare -m true 2> /dev/null; then
	SMR_TEST_NAMESPACE=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_root
requires_program mount.fuse3 jq findmnt
[ -n "${SMR_TEST_NAMESPACE-}" ] || skip "mount namespaces cannot be made here"

# mount(8) has a PATH of its own; in this namespace one of its folders holds the smrfs under test.
smrfs=$(command -v smrfs)
mount -t tmpfs none /usr/local/sbin
ln -s "$smrfs" /usr/local/sbin/smrfs

store="$work/a store, with \\ signs"
mnt="$work/mount point"
mkdir "$mnt"
head -c 3000000 /dev/urandom > "$work/a.img"
smr -s "$store" chunk -q "$work/a.img"

cleanup_fn umount_if_mounted "$mnt"

shown()
{
	findmnt -n -o "$1" --mountpoint "$mnt"
}

# check_and_umount: it is what it should be, and its process ends.
check_and_umount()
{
	local pid
	same_bytes "$mnt/a.img" "$work/a.img"
	[ "$(shown FSTYPE)" = fuse.smrfs ] || die "its type is $(shown FSTYPE)"
	[ "$(shown SOURCE)" = "$store" ] || die "its source is $(shown SOURCE)"
	for option in ro nosuid nodev noatime allow_other; do
		[[ ",$(shown OPTIONS)," == *,$option,* ]] || die "$option is not among $(shown OPTIONS)"
	done
	pid=$(head -n 1 "$work/cache/lock")
	umount "$mnt"
	wait_for 10 gone "$pid"
}

gone()
{
	! kill -0 "$1" 2> /dev/null
}

mount -t fuse.smrfs "$store" "$mnt" -o "cache=$work/cache"
check_and_umount

mount -t fuse.smrfs "$store" "$mnt" -o \
	"ro,noauto,user,nofail,_netdev,nosuid,nodev,x-systemd.automount,x-systemd.idle-timeout=1min,comment=x,cache=$work/cache,cache_size=100M,timeout=5"
check_and_umount

# as in fstab, which writes blanks and backslashes in octal
octal()
{
	sed 's/\\/\\134/g; s/ /\\040/g' <<< "$1"
}
cat > "$work/fstab" << END
$(octal "$store")  $(octal "$mnt")  fuse.smrfs  defaults,nofail,_netdev,x-systemd.requires=network-online.target,cache=$work/cache  0 0
END
mount --fstab "$work/fstab" "$mnt"
check_and_umount

# the option's own errors arrive
must_fail 'unknown option "cache_siez"' mount -t fuse.smrfs "$store" "$mnt" -o cache_siez=1G
must_fail 'unmount it and mount it again' mount -t fuse.smrfs "$store" "$mnt" -o remount
must_fail "$work/nowhere" mount -t fuse.smrfs "$work/nowhere" "$mnt" -o "cache=$work/cache"
! is_mounted "$mnt" || die "something was left mounted"
