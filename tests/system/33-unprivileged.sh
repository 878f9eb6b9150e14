#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A user without privileges mounts through fusermount3, with a cache of its own below XDG_CACHE_HOME. Root tries it as
# user 65534, in a mount namespace where everything needed is readable and /dev/fuse is as udev makes it.
if [ "$(id -u)" -eq 0 ] && [ -z "${SMR_TEST_NAMESPACE-}" ] && unshare -m true 2> /dev/null; then
	SMR_TEST_NAMESPACE=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_program setpriv findmnt
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not set-uid"

open=$work
as_user=()
if [ "$(id -u)" -eq 0 ]; then
	[ -n "${SMR_TEST_NAMESPACE-}" ] || skip "mount namespaces cannot be made here"
	as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	open=/mnt
	mount -t tmpfs -o mode=755 none /mnt
	cp "$(command -v smrfs)" /mnt/
	PATH=/mnt:$PATH
	mknod -m 666 /mnt/fuse c 10 229
	mount --bind /mnt/fuse /dev/fuse
fi
head -c 3000000 /dev/urandom > "$open/a.img"
smr -s "$open/store" chunk -q "$open/a.img"
mkdir "$open/mnt" "$open/xdg"
[ ${#as_user[@]} -eq 0 ] || chown 65534:65534 "$open/mnt" "$open/xdg"
export XDG_CACHE_HOME=$open/xdg HOME=/nonexistent
user_id=$("${as_user[@]}" id -u)

"${as_user[@]}" smrfs "$open/store" "$open/mnt"
cleanup_fn umount_if_mounted "$open/mnt"
"${as_user[@]}" cmp "$open/mnt/a.img" "$open/a.img"
[ -d "$open/xdg/smr/pool" ] || die "the cache is not where it should be"
[ "$("${as_user[@]}" stat -c %u "$open/mnt/a.img")" -eq "$user_id" ] || die "the image belongs to somebody else"
[ "$(findmnt -n -o FSTYPE,SOURCE --mountpoint "$open/mnt" | tr -s ' ')" = "fuse.smrfs $open/store" ]
if [ "$(id -u)" -eq 0 ]; then
	! ls "$open/mnt" > /dev/null 2>&1 || die "others can look in without allow_other"
fi
pid=$(head -n 1 "$open/xdg/smr/lock")
"${as_user[@]}" fusermount3 -u "$open/mnt"
gone()
{
	! kill -0 "$pid" 2> /dev/null
}
wait_for 5 gone

# ended by a signal: fusermount3 unmounts
"${as_user[@]}" smrfs -f "$open/store" "$open/mnt" 2> "$work/smrfs.log" &
pid=$!
wait_for 10 is_mounted "$open/mnt"
"${as_user[@]}" head -c 1 "$open/mnt/a.img" > /dev/null
kill "$pid"
wait "$pid" || die "$(cat "$work/smrfs.log")"
! is_mounted "$open/mnt" || die "it is still mounted"

# what is missing is said
if [ "$(id -u)" -eq 0 ]; then
	chmod 600 /mnt/fuse
	must_fail '/dev/fuse cannot be opened' "${as_user[@]}" smrfs "$open/store" "$open/mnt"
	chmod 666 /mnt/fuse
	mount --bind /dev/null "$(command -v fusermount3)"
	must_fail 'install the package fuse3' "${as_user[@]}" env PATH=/mnt smrfs "$open/store" "$open/mnt"
fi
