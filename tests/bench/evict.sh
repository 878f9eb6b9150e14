#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The local cache by itself: eviction beside bare unlinking, the start with a clean index, memory per indexed chunk.
. "$(dirname "$0")/lib.sh"
requires_root
requires_loop
requires_program mkfs.ext4

count=${BENCH_EVICT:-100000}

# An ext4 of its own, as the machine's may discard what is unlinked, and then measures its disk.
make_disk()
{
	truncate -s $((count * 32 + 512000))K "$work/disk.img"
	mkfs.ext4 -q -F -i 16384 "$work/disk.img"
	mkdir "$work/disk"
	cleanup_fn umount_if_mounted "$work/disk"
	mount -o loop "$work/disk.img" "$work/disk"
	chmod 0700 "$work/disk"
}

evict()
{
	evictbench fill "$work/disk" "$count" > /dev/null
	sample evict evictbench evict "$work/disk" "$count"
}

unlink_only()
{
	evictbench fill "$work/disk" "$count" > /dev/null
	sample unlink evictbench unlink "$work/disk" "$count"
	rm -rf "$work/disk/index" # knows files that are gone
}

make_index()
{
	mkdir -m 0700 "$work/index.$1"
	evictbench index "$work/index.$1" "$1" > /dev/null
}

start_200k() { sample start evictbench start "$work/index.200000" 200000; }
start_1m() { sample million evictbench start "$work/index.1000000" 1000000; }

echo "bench: making indexes and a disk" >&2
make_disk
make_index 200000
make_index 1000000
interleave evict unlink_only start_200k start_1m
keep evict

# at_most WHAT SAMPLE UNIT LIMIT [FORMAT]
at_most()
{
	row "$1" "$(figure "$2" "$3" "${5:-%.2f}")" "$4 $3" "$(calc "$(median "$2") / $4")" '<=' 1
}

table "evict: the local cache by itself"
at_most "a chunk evicted, with its records, of $count" evict us 20
compare "the same / a file of the same kind unlinked" evict unlink - '' figure us
at_most "clean start with 200,000 chunks" start s 2 %.3f
at_most "clean start with 1,000,000 chunks" million s 10 %.3f
at_most "memory with 1,000,000 chunks" million.2 KiB 102400 %.0f
at_most "the same after each of them was used" million.3 KiB 102400 %.0f
