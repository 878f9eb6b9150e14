#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What cannot work is refused with a line that says why, a status other than 0, and nothing left mounted.
. "$(dirname "$0")/functions.sh"
requires_fuse

mkdir "$work/mnt"
mnt=$work/mnt
head -c 1000000 /dev/urandom > "$work/a.img"
smr -s "$work/store" chunk -q "$work/a.img"
export SMR_CACHE=$work/cache

# refused STATUS TEXT ARG...: smrfs ends with that status and says that.
refused()
{
	local want=$1 text=$2 status=0
	shift 2
	timeout 60 smrfs "$@" > "$work/out" 2>&1 || status=$?
	[ "$status" -eq "$want" ] || die "smrfs $*: status $status: $(cat "$work/out")"
	grep -qF -- "$text" "$work/out" || die "smrfs $* does not say '$text': $(cat "$work/out")"
	! is_mounted "$mnt" || die "smrfs $* left something mounted"
}

# usage
refused 2 'STORE'
refused 2 'MOUNTPOINT' "$work/store"
refused 2 '"more"' "$work/store" "$mnt" more
refused 2 '"-z"' -z
refused 2 'unknown option "cash"' "$work/store" "$mnt" -o ro,cash=/tmp
refused 0 'usage: smrfs' --help
refused 0 "$work/cache" --help
refused 0 'smrfs 0' --version
SMR_CONF=$work/conf
export SMR_CONF
echo 'timeout = soon' > "$SMR_CONF"
refused 1 'timeout' "$work/store" "$mnt"
SMR_CONF=''

# the mount point
refused 1 "mkdir -p $work/absent" "$work/store" "$work/absent"
refused 1 'not a directory' "$work/store" "$work/a.img"
refused 1 'would hide it' "$mnt/store" "$mnt"
refused 1 'would hide it' "$work/store" "$work" -o "cache=$work/other/not/there/yet"
ln -s "$mnt" "$work/link"
refused 1 'would hide it' "$work/store" "$mnt" -o "cache=$work/link/cache"

# the store
refused 1 "$work/no-store" "$work/no-store" "$mnt"
refused 1 'insecure' http://192.0.2.1/smr "$mnt"
free_port
refused 1 "127.0.0.1:$port" "http://127.0.0.1:$port" "$mnt"
refused 1 "ftp" "ftp://127.0.0.1/smr" "$mnt"

# in the background, too, the terminal sees what is wrong, and -f makes no difference
refused 1 "$work/no-store" "$work/no-store" "$mnt" -f

# the cache
: > "$work/file"
refused 1 "$work/file" "$work/store" "$mnt" -o "cache=$work/file"
mount_smrfs "$work/store" "$work/first"
refused 1 "in use by process ${smrfs_pids[$work/first]}" "$work/store" "$mnt" -o "socket=$work/elsewhere"
same_bytes "$work/first/a.img" "$work/a.img"
umount_smrfs "$work/first"

# a dead mount in the way
mount_smrfs "$work/store" "$mnt"
pid=${smrfs_pids[$mnt]}
kill -KILL "$pid"
wait "$pid" || true
status=0
smrfs "$work/store" "$mnt" > "$work/out" 2>&1 || status=$?
[ "$status" -eq 1 ]
grep -q "a dead mount is on $mnt" "$work/out" || die "$(cat "$work/out")"
unmount "$mnt"
