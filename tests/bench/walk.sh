#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The first look at an image from far away: losetup, mount and ls -lR with an empty cache, over 1 Gbit/s and with 30 ms before each
# response; then the same with what is in the cache.
. "$(dirname "$0")/lib.sh"
requires_fuse
requires_loop
requires_netns
requires_program tc

layout=$("$top/tests/demo-image.sh") || die "no image"
smr -q -s "$work/store" add --name walk "oci:$layout:hello" > /dev/null
make_link
serve "$work/store" 10.99.0.1 0.030 "${server_run[@]}"
mkdir -p "$work/mnt" "$work/root"
cleanup_fn umount_if_mounted "$work/mnt"
cleanup_fn umount_if_mounted "$work/root"

# look: all that is between a mounted store and the list of all files, the recipe's download too. A shell, as one would.
look()
{
	benchtool run sh -ec 'loop=$(losetup -r -f --show --direct-io=on "$0/mnt/walk.img")
		mount -t ext4 -o ro,noload "$loop" "$0/root"
		ls -lR "$0/root" > "$0/list"
		echo "$loop" > "$0/loop"' "$work"
	umount "$work/root"
	losetup -d "$(cat "$work/loop")"
}

mount_store()
{
	"${client_run[@]}" smrfs "$url" "$work/mnt" -o "cache=$work/cache,insecure"
}

# A loop device may be held for a moment longer.
umount_store()
{
	wait_for 20 umount "$work/mnt" 2> /dev/null
	wait_for 60 flock -n "$work/cache/lock" true
}

cold()
{
	rm -rf "$work/cache"
	mkdir -m 0700 "$work/cache"
	mount_store
	sample cold look
	umount_store
}

warm()
{
	mount_store
	sample warm look
	umount_store
}

interleave cold warm
keep walk

files=$(grep -c '^[-dl]' "$work/list")
[ "$files" -ge 4000 ] || die "only $files files were listed"
table "walk: an image of $files files and folders, 1 Gbit/s, 30 ms a response"
row "losetup + mount + ls -lR, empty cache" "$(figure cold s %.3f)" "0.5 s" "$(calc "$(median cold) / 0.5")" '<=' 1
row "    the same, everything in the cache" "$(figure warm s %.3f)" "-" "$(calc "$(median warm) / 0.5")" - ''
