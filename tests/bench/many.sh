#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A store with a thousand recipes.
. "$(dirname "$0")/lib.sh"
requires_fuse
requires_program curl

count=${BENCH_RECIPES:-1000}

# Small images, each with a chunk of its own and some that all share.
make_store()
{
	local i
	truncate -s 1G "$work/small.img"
	for ((i = 0; i < 64; i++)); do
		head -c 4096 /dev/urandom | dd of="$work/small.img" bs=4096 seek=$((i * 4096)) conv=notrunc status=none
	done
	for ((i = 0; i < count; i++)); do
		printf 'image %d' "$i" | dd of="$work/small.img" conv=notrunc status=none
		smr -q -s "$work/store" chunk "$work/small.img" --name "$(printf 'image-%04d' "$i")" > /dev/null
	done
}

# The daemon that serves the mount, by the file that it keeps locked.
daemon_of()
{
	tr -dc 0-9 < "$work/cache/lock"
}

resident()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$(daemon_of)/status"
}

# one_round NAME STORE: mounts, lists twice, unmounts; the cache is empty.
one_round()
{
	rm -rf "$work/cache"
	mkdir -m 0700 "$work/cache"
	sample "$1.mount" benchtool run smrfs "$2" "$work/mnt" -o "cache=$work/cache"
	sample "$1.ls" benchtool run sh -c "ls -l '$work/mnt' > /dev/null"
	sample "$1.again" benchtool run sh -c "ls -l '$work/mnt' > /dev/null"
	[ "$(find "$work/mnt" -name '*.img' | wc -l)" -eq "$count" ] || die "not all images are there"
	sample "$1.rss" resident
	unmount "$work/mnt"
	wait_for 10 flock -n "$work/cache/lock" true
}

echo "bench: making $count images" >&2
make_store
mkdir -p "$work/mnt"
cleanup_fn umount_if_mounted "$work/mnt"
start_nginx "$work/store"

from_dir() { one_round dir "$work/store"; }
from_http() { one_round http "$nginx_url"; }
interleave from_dir from_http
keep many

limit_row()
{
	row "$1" "$(figure "$2" "$3" "${5:-%.3f}")" "$4 $3" "$(calc "$(median "$2") / $4")" '<=' 1
}

table "many: $count recipes"
for kind in dir http; do
	limit_row "$kind: mount" $kind.mount s 1
	limit_row "$kind: ls -l, the first" $kind.ls s 0.2
	limit_row "$kind: ls -l, the next" $kind.again s 0.2
	limit_row "$kind: resident memory" $kind.rss KiB 65536 %.0f
done
