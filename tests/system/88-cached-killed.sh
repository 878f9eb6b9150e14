#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# kill -9 while it fetches, again and again: the next daemon takes over the socket and the pool, nothing that it holds is wrong, and what
# was there is not fetched again. When all is there, it begins anew. SMR_TEST_ROUNDS=200 for more of them.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_program jq

rounds=${SMR_TEST_ROUNDS:-8}
make_random_image one 16
start_origin "$work/store"
origin_fault delay /chunks/ ms=5
start_cached --store "main=$origin_url"
here_before=0
fresh=1 # caches that were begun
for ((i = 0; i < rounds; i++)); do
	ask hydrate -q one
	progressed()
	{
		[ "$(status_of .cache.chunks)" -gt "$here_before" ] || [ "$(image_of one local_chunks)" = 256 ]
	}
	wait_for 10 progressed
	kill_cached
	start=$(now_ms)
	start_cached --store "main=$origin_url"
	took=$(($(now_ms) - start))
	[ "$took" -le 5000 ] || die "the next one took $took ms to answer"
	rebuilt()
	{
		[ "$(status_of .cache.rebuilding)" = 0 ]
	}
	wait_for 10 rebuilt
	n=$(status_of .cache.chunks)
	files=$(find "$work/cache/pool" -type f -name '????????????????????????????????*' ! -name '*.*' | wc -l)
	[ "$n" -eq "$files" ] || die "round $i: $files files in the pool, $n known"
	[ "$n" -ge "$here_before" ] || die "round $i: $n chunks are here, there were $here_before"
	here_before=$n
	if [ "$n" -eq 256 ]; then
		must_say 'checked 256 chunks: 0 were damaged and removed' ask scrub --wait
		stop_cached
		rm -rf "$work/cache"
		start_cached --store "main=$origin_url"
		here_before=0
		fresh=$((fresh + 1))
	fi
done
origin_do clear
ask hydrate -q --wait one
[ "$(status_of .cache.chunks)" = 256 ]
must_say 'checked 256 chunks: 0 were damaged and removed' ask scrub --wait
# each kill may have cost those on their way
requests=$(origin_requests /chunks/)
[ "$requests" -le $((fresh * 256 + rounds * 64)) ] || die "$requests requests for $fresh times 256 chunks"
stop_cached
