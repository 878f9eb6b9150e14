#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# smr rm takes images away and no chunks, tells how many nobody needs now, and refuses what is not there before it touches
# anything.
. "$(dirname "$0")/functions.sh"
requires_program mke2fs jq

store=$work/store
make_rootfs
make_image "$rootfs/usr/bin" "$work/bin.img"
cp "$work/bin.img" "$work/also.img"
printf 'changed' | dd of="$work/also.img" bs=1 seek=20000000 conv=notrunc status=none
smr -s "$store" chunk "$work/bin.img" -q
smr -s "$store" chunk "$work/also.img" -q
objects=$(find "$store" -name '*.zst' | wc -l)
images()
{
	smr -s "$store" ls --json | jq -r '[.images[].name] | join(" ")'
}

must_fail 'no image nothing' smr -s "$store" rm bin nothing
[ "$(images)" = 'also bin' ]
digest=$(smr -s "$store" info bin --json | jq -r .digest)
must_fail 'not what was asked for' smr -s "$store" rm "also@sha256:$digest"

must_say 'would remove also@' smr -s "$store" rm --dry-run also
grep -qE '^1 chunk, .* would stay in the store without an image$' "$work/must_say.out"
[ "$(images)" = 'also bin' ]
smr -s "$store" rm --dry-run also bin --json | jq -e --argjson n "$objects" \
	'.version == 1 and .dry_run and .unreferenced_chunks == $n and (.images | length) == 2' > /dev/null

must_say 'removed bin@' smr -s "$store" rm "bin@sha256:$digest" bin
[ "$(images)" = also ]
[ "$(find "$store" -name '*.zst' | wc -l)" -eq "$objects" ]
smr -s "$store" verify --data -q
smr -s "$store" cat also | cmp - "$work/also.img"
smr -s "$store" verify --json | jq -e '.unreferenced_chunks == 1' > /dev/null
must_say 'nothing new' smr -s "$store" chunk "$work/bin.img"

echo "a damaged recipe goes too"
printf '\xff\xff' > "$store/roots/r1/recipes/also.recipe"
must_say 'a damaged recipe' smr -s "$store" rm also
[ "$(images)" = bin ]

echo "a store that is only read"
start_nginx "$store"
must_fail 'read' smr -s "$nginx_url" rm bin
[ "$(images)" = bin ]
must_fail 'read' smr -s "$nginx_url" chunk "$work/bin.img" --name more
