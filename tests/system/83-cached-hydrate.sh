#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# hydrate fetches what is missing, each chunk once, and then the image can be read with the store gone. What cannot be fetched is an error
# that says why.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_fuse
requires_program jq

make_random_image one 4
cp "$work/one.img" "$work/two.img"
head -c 200000 /dev/urandom | dd of="$work/two.img" conv=notrunc status=none
smr -s "$work/store" chunk -q --chunk-size 64K "$work/two.img"
start_origin "$work/store"
start_cached --store "main=$origin_url"

must_say 'one: all 64 chunks are here, 64 of them new' ask hydrate --wait one
[ "$(origin_requests /chunks/)" = 64 ]
must_say 'one: all 64 chunks are here, 0 of them new' ask hydrate --wait one
must_say 'two: all 64 chunks are here, 4 of them new' ask hydrate --wait two
[ "$(origin_requests /chunks/)" = 68 ]

# without --wait it goes on by itself, also when several ask at a time; each chunk is fetched once
make_random_image three 4
origin_fault delay /chunks/ ms=20
ask hydrate three > "$work/said"
grep -qx 'three: fetching what is missing of 64 chunks' "$work/said"
waiting=()
for _ in 1 2 3; do
	ask hydrate -q --wait three &
	waiting+=($!)
done
wait "${waiting[@]}"
[ "$(image_of three local_chunks)" = 64 ]
[ "$(origin_requests /chunks/)" = 132 ] || die "$(origin_requests /chunks/) requests"
origin_do clear

# an interrupted wait: the cache goes on
make_random_image four 2
origin_fault delay /chunks/ ms=50
smr-cached --socket "$cached_socket" hydrate --wait four 2> "$work/interrupted" &
pid=$!
begun()
{
	[ "$(status_of .fetches.chunks)" -gt 132 ]
}
wait_for 10 begun
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
[ "$status" -eq 143 ] || die "status $status: $(cat "$work/interrupted")"
grep -q 'interrupted; the cache goes on by itself' "$work/interrupted"
complete()
{
	[ "$(image_of four local_chunks)" = 32 ]
}
wait_for 20 complete
origin_do clear

# the daemon's end does not wait for what is on its way; who waits for it is told
make_random_image six 1
origin_fault stall '/chunks/'
ask hydrate --wait six > "$work/said" 2>&1 &
pid=$!
stalled()
{
	[ "$(origin_stat in_flight)" -gt 0 ]
}
wait_for 10 stalled
start=$(now_ms)
stop_cached
took=$(($(now_ms) - start))
[ "$took" -le 3000 ] || die "it took $took ms to end"
status=0
wait "$pid" || status=$?
[ "$status" -eq 1 ] || die "status $status: $(cat "$work/said")"
grep -q 'smr-cached: the owner of the cache has ended; what was fetched is kept' "$work/said" || die "$(cat "$work/said")"
origin_do clear
start_cached --store "main=$origin_url"
[ "$(status_of .cache.rebuilding)" = 0 ]

# a store that is away
origin_do down
make_random_image five 1
must_fail 'Connection refused' ask hydrate --wait five
stop_cached

# everything is here: another owner of the same cache reads it all, with no store at all
mkdir "$work/mnt"
origin_do up
mount_smrfs "$origin_url" "$work/mnt" -o timeout=2
head -c 1 "$work/mnt/one.img" "$work/mnt/two.img" "$work/mnt/three.img" "$work/mnt/four.img" > "$work/opened"
before=$(origin_requests /chunks/)
origin_do down
for name in one two three four; do
	same_bytes "$work/mnt/$name.img" "$work/$name.img"
done
origin_do up
[ "$(origin_requests /chunks/)" -eq "$before" ]
umount_smrfs "$work/mnt"
