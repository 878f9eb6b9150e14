#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What is pinned is not evicted, whatever else is fetched, before and after a restart. What is not, is.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_program jq

for name in a b c d e; do
	make_random_image $name 3
done
start_cached --size 8M --store "main=$work/store"
is_local()
{
	[ "$(image_of "$1" local_chunks)" = 48 ]
}
bounded()
{
	local bytes
	bytes=$(status_of .cache.bytes)
	[ "$bytes" -le $((8 << 20)) ] || die "$bytes bytes are kept"
}

ask pin a
ask hydrate -q --wait a
for name in b c d; do
	ask hydrate -q --wait $name
	is_local a || die "the pinned image was evicted by $name"
	bounded
done
! is_local b || die "nothing was evicted"
[ "$(status_of .evicted.chunks)" -gt 0 ]
[ "$(status_of .cache.pinned_bytes)" = $((3 << 20)) ]

stop_cached
start_cached --size 8M --store "main=$work/store"
[ "$(image_of a pinned)" = 1 ] || die "the pin is forgotten"
for name in e b c; do
	ask hydrate -q --wait $name
	is_local a || die "after the restart, the pinned image was evicted by $name"
	bounded
done

# more than there is room for is refused
ask pin b
must_fail 'more than the cache has room for' ask pin c

# what finds no room between the pinned is not said to be here
ask hydrate -q --wait b
must_fail 'chunks could not be kept: No space left on device' ask hydrate --wait c
is_local a
is_local b
[ "$(status_of .unkept.chunks)" -gt 0 ]
must_say 'FULL     chunks cannot be kept' ask status

ask unpin a
ask unpin b
must_fail 'not pinned' ask unpin a
for name in d e c b; do
	ask hydrate -q --wait $name
done
! is_local a || die "it is kept without a pin"
[ "$(status_of .cache.full)" = 0 ] || die "it is full for ever"
bounded
stop_cached
