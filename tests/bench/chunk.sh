#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# smr chunk against zstd and sha256sum over the same data, everything read from the page cache and written to disk.
. "$(dirname "$0")/lib.sh"
requires_program zstd sha256sum

make_bench_image
data=$work/data
benchtool extents "$image" > "$data"
cat "$image" "$data" > /dev/null

# What the last run wrote must not be written back during the next one.
settle()
{
	rm -rf "$work/store" "$work/out.zst"
	sync
}

chunk() { settle; sample chunk benchtool run smr -q -s "$work/store" chunk "$image" --name bench; }
zstd_alone() { settle; sample zstd benchtool run zstd -q -3 -T0 "$data" -o "$work/out.zst"; }
sha_alone() { sample sha256sum benchtool run sha256sum "$data"; }
piped()
{
	settle
	sample piped benchtool run bash -c "tee >(sha256sum >&2) < '$data' | zstd -q -3 -T0 -o '$work/out.zst'; wait"
}

interleave chunk zstd_alone sha_alone piped
paste "$samples/zstd" "$samples/sha256sum" | awk '{ print $1 + $2 }' > "$samples/apart"
# the better of the two ways, round by round
paste "$samples/apart" "$samples/piped" | awk '{ print $1 < $2 ? $1 : $2 }' > "$samples/best"
keep chunk

size=$(stat -c %s "$image")
bytes=$(stat -c %s "$data")
table "chunk: an image of $(calc "$size / 1e9" | cut -c1-4) GB with $(calc "$bytes / 1e9" | cut -c1-4) GB of data"
compare "smr chunk / the better of both below (time)" chunk best '<=' 1.25 figure s
compare "smr chunk / zstd -3 -T0, then sha256sum" chunk apart - '' figure s
compare "smr chunk / tee into both at once" chunk piped - '' figure s
peak=$(median chunk.3)
row "peak memory of smr chunk / 256 MiB" "$(calc "$peak / 1024" | cut -d. -f1) MiB" "256 MiB" \
	"$(calc "$peak / 262144")" '<=' 1
