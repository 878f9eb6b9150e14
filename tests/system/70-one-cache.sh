#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Ten mounts of images that share much, on one cache: every chunk is fetched once, whoever reads it first, and every byte is right.
. "$(dirname "$0")/functions.sh"
requires_fuse

head -c 16M /dev/urandom > "$work/base"
for image in a b c; do
	{ cat "$work/base"; head -c 3M /dev/urandom; } > "$work/$image.img"
	smr -s "$work/store" chunk -q --chunk-size 128K "$work/$image.img"
done
chunks=$(find "$work/store" -name '*.zst' | wc -l)
[ "$chunks" -eq $((16 * 8 + 3 * 3 * 8)) ] || die "the store has $chunks chunks"
start_nginx "$work/store"

for i in {0..9}; do
	mount_smrfs "$nginx_url" "$work/mnt$i"
done
readers=()
for i in {0..9}; do
	for image in a b c; do
		cmp "$work/mnt$i/$image.img" "$work/$image.img" &
		readers+=($!)
	done
done
for pid in "${readers[@]}"; do
	wait "$pid" || die "a mount reads other bytes"
done

awk '$2 ~ "/chunks/" { print $2 }' "$nginx_log" | sort | uniq -d > "$work/twice"
[ ! -s "$work/twice" ] || { cat "$work/twice"; die "these chunks were fetched more than once"; }
fetched=$(nginx_requests /chunks/)
[ "$fetched" -eq "$chunks" ] || die "$fetched of $chunks chunks were fetched"
pooled=$(find "$work/cache/pool" -type f | wc -l)
[ "$pooled" -eq "$chunks" ] || die "$pooled of $chunks chunks are in the cache"

# one process has the cache's files open, the others have what it gave them
owner=$(head -n 1 "$work/cache/lock")
for i in {0..9}; do
	pid=${smrfs_pids[$work/mnt$i]}
	index=$(find "/proc/$pid/fd" -lname "$work/cache/index/*" | wc -l)
	if [ "$pid" = "$owner" ]; then
		[ "$index" -gt 0 ] || die "the owner $pid does not have the index open"
	else
		[ "$index" -eq 0 ] || die "$pid has the index open, and the owner is $owner"
	fi
done
for i in {0..9}; do
	umount_smrfs "$work/mnt$i"
done
