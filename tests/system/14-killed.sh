#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# kill -9 under load, then a remount: what was fetched is used again and every byte is right. Pool files that were damaged
# meanwhile are caught and fetched again.
. "$(dirname "$0")/functions.sh"
requires_fuse

truncate -s 96M "$work/x.img"
dd if=/dev/urandom of="$work/x.img" bs=1M count=96 conv=notrunc status=none
smr -s "$work/store" chunk "$work/x.img"
start_origin "$work/store"

for round in 1 2 3 4 5; do
	mount_smrfs "$origin_url" "$work/mnt"
	(for ((;;)); do "$here/readcheck.py" readers "$work/mnt/x.img" "$work/x.img" "$round"; done) 2> "$work/readers.err" &
	load=$!
	sleep 0.$((RANDOM % 5 + 2))
	kill_smrfs "$work/mnt"
	kill $load 2> /dev/null || true
	wait $load 2> /dev/null || true
	! grep -q differ "$work/readers.err" || { cat "$work/readers.err"; die "wrong bytes before the kill"; }
done

pooled=$(find "$work/cache/pool" -type f ! -name '.*' | wc -l)
[ "$pooled" -gt 0 ] || die "nothing was kept"
origin_do reset
mount_smrfs "$origin_url" "$work/mnt"
"$here/readcheck.py" sequential "$work/mnt/x.img" "$work/x.img"
umount_smrfs "$work/mnt"
fetched=$(origin_requests /chunks/)
[ "$fetched" -eq $((192 - pooled)) ] || die "$pooled chunks were in the pool, but $fetched of 192 were fetched"
[ -z "$(find "$work/cache/pool" -name '.tmp*')" ] || die "temporary files are left in the pool"

damage()
{
	local files
	mapfile -t files < <(find "$work/cache/pool" -type f | sort | sed -n "${1}~40p")
	for file in "${files[@]}"; do
		chmod u+w "$file"
		case $2 in
		flip) printf '\377\377\377\377' | dd of="$file" bs=1 seek=70000 conv=notrunc status=none ;;
		truncate) truncate -s 100000 "$file" ;;
		extend) printf 'x' >> "$file" ;;
		empty) : > "$file" ;;
		other) cat "$(find "$work/cache/pool" -type f ! -samefile "$file" -print -quit)" > "$file" ;;
		directory) rm "$file"; mkdir "$file" ;;
		esac
	done
	echo "${#files[@]} files: $2"
}

# with the index that a clean end left, and without it
for index in kept lost; do
	start=1
	for kind in flip truncate extend empty other directory; do
		damage $start $kind
		start=$((start + 1))
	done
	[ $index = kept ] || rm -rf "$work/cache/index"
	origin_do reset
	mount_smrfs "$origin_url" "$work/mnt"
	"$here/readcheck.py" sequential "$work/mnt/x.img" "$work/x.img"
	umount_smrfs "$work/mnt"
	[ "$(origin_requests /chunks/)" -gt 20 ] || die "damaged files were not fetched again"
done
[ -z "$(find "$work/cache/pool" -mindepth 2 -type d)" ] || die "a directory stays where a chunk should be"
