#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# How a mount ends: by umount from outside, by a signal, busy or not, while it waits for the origin, before it was ready. Each
# time at once, with status 0 unless it never was ready, and with a cache that the next one can use.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_program python3

head -c 4000000 /dev/urandom > "$work/a.img"
smr -s "$work/store" chunk -q "$work/a.img"
start_origin "$work/store"
mnt=$work/mnt

# ended STATUS: the process of the mount has ended so within five seconds, and nothing is mounted.
ended()
{
	local pid=${smrfs_pids[$mnt]} status=0 watchdog
	(sleep 5 && kill -ABRT "$pid") 2> /dev/null &
	watchdog=$!
	wait "$pid" || status=$?
	kill "$watchdog" 2> /dev/null || true
	[ "$status" -eq "$1" ] || die "smrfs ended with $status: $(cat "$work/smrfs.log")"
	! is_mounted "$mnt" || die "it is still mounted"
}

for signal in TERM INT HUP; do
	mount_smrfs "$work/store" "$mnt"
	same_bytes "$mnt/a.img" "$work/a.img"
	kill -$signal "${smrfs_pids[$mnt]}"
	ended 0
done

# busy: who has a file open gets errors from then on
mount_smrfs "$work/store" "$mnt"
exec 7< "$mnt/a.img"
kill "${smrfs_pids[$mnt]}"
ended 0
! head -c 1 <&7 > /dev/null 2>&1 || die "a file of an ended mount can be read"
exec 7<&-

# a lazy umount keeps serving who has a file open
mount_smrfs "$work/store" "$mnt"
exec 7< "$mnt/a.img"
umount -l "$mnt" 2> /dev/null || fusermount3 -u -z "$mnt"
cmp - "$work/a.img" <&7
exec 7<&-
ended 0

# aborted from outside: nothing dead stays mounted
if [ "$(id -u)" -eq 0 ]; then
	mount_smrfs "$work/store" "$mnt"
	exec 7< "$mnt/a.img"
	minor=$(awk -v mnt="$mnt" '$5 == mnt { sub(".*:", "", $3); print $3 }' /proc/self/mountinfo)
	connections=$work/connections
	mkdir "$connections"
	mount -t fusectl none "$connections"
	cleanup_fn umount_if_mounted "$connections"
	echo 1 > "$connections/$minor/abort"
	ended 0
	exec 7<&-
fi

# while a read and a lookup wait for an origin that does not answer
mount_smrfs "$origin_url" "$mnt" -o "cache=$work/cold,timeout=0"
stat "$mnt/a.img" > /dev/null
sleep 1.1
origin_fault stall .
head -c 1 "$mnt/a.img" > /dev/null 2>&1 &
reader=$!
stat "$mnt/b.img" > /dev/null 2>&1 &
looker=$!
sleep 0.3
kill "${smrfs_pids[$mnt]}"
ended 0
! wait "$reader" || die "a read was answered from nowhere"
! wait "$looker" || die "a lookup was answered from nowhere"

# before it is ready, in the foreground
smrfs -f "$origin_url" "$mnt" -o "cache=$work/cold" 2> "$work/smrfs.log" &
smrfs_pids[$mnt]=$!
wait_for 5 is_mounted "$mnt"
kill "${smrfs_pids[$mnt]}"
ended 1
grep -q 'before it was ready' "$work/smrfs.log"

# and in the background, where the waiting parent is killed: nothing stays behind
smrfs "$origin_url" "$mnt" -o "cache=$work/cold" 2> "$work/smrfs.log" &
smrfs_pids[$mnt]=$!
wait_for 5 is_mounted "$mnt"
kill -KILL "${smrfs_pids[$mnt]}"
wait "${smrfs_pids[$mnt]}" || true
not_mounted()
{
	! is_mounted "$mnt"
}
wait_for 5 not_mounted
origin_do clear

# the background: ready when the command returns, gone when it is unmounted
smrfs "$origin_url" "$mnt" -o "cache=$work/cold"
cleanup_fn umount_if_mounted "$mnt"
is_mounted "$mnt"
same_bytes "$mnt/a.img" "$work/a.img"
pid=$(head -n 1 "$work/cold/lock")
[ "$(ps -o ppid= -p "$pid" | tr -d ' ')" -ne $$ ] || die "it is still a child of the shell"
[ "$(readlink "/proc/$pid/cwd")" = / ] || die "it holds on to $(readlink "/proc/$pid/cwd")"
[ "$(readlink "/proc/$pid/fd/2")" = /dev/null ] || die "it holds on to the terminal"
unmount "$mnt"
gone()
{
	! kill -0 "$pid" 2> /dev/null
}
wait_for 5 gone
