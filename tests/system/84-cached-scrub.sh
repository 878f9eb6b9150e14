#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A scrub finds the file of the pool that is not what its name says, though nobody reads it, and removes it; nothing else.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_program jq

make_random_image one 2
start_cached --store "main=$work/store"
ask hydrate -q --wait one
must_say 'checked 32 chunks: 0 were damaged and removed' ask scrub --wait

# as a disk does it: the file's times and its length stay
mapfile -t files < <(find "$work/cache/pool" -type f | sort)
file=${files[7]}
stamp=$(getfattr --absolute-names -d -m - "$file" 2> /dev/null || true)
chmod 600 "$file"
touch -r "$file" "$work/times"
printf '\377\0\377' | dd of="$file" bs=1 seek=30000 conv=notrunc status=none
touch -r "$work/times" "$file"
chmod 400 "$file"
echo "the pool's own marks on it: ${stamp:-none}"

must_say 'checking 32 chunks' ask scrub
ended()
{
	[ "$(status_of .cache.scrubbing)" = 0 ]
}
wait_for 20 ended
[ ! -e "$file" ] || die "it is still there"
[ "$(status_of .errors.pool_corrupt)" = 1 ]
[ "$(status_of .errors.last_hour)" = 1 ]
[ "$(status_of .cache.chunks)" = 31 ]
grep -q "$work/cache: chunk .* is damaged in the pool; removed" "$work/cached.log"
must_say 'one: all 32 chunks are here, 1 of them new' ask hydrate --wait one
must_say 'checked 32 chunks: 0 were damaged and removed' ask scrub --wait
[ "$(sha256sum < "$file" | cut -d' ' -f1)" = "$(basename "$file")" ]
stop_cached
