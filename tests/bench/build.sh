#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# smr build of an image of three layers and about 500 MB, against what one would do without it, and against the time that
# decompressing its layers takes alone.
. "$(dirname "$0")/lib.sh"
requires_root # umoci unpacks devices and owners
requires_program umoci mke2fs jq gzip zstd
# shellcheck source=tests/layout.sh
. "$top/tests/layout.sh"

images=$("$top/tests/images.sh") || die "no images"
tag=large

# The same image, its layers by zstd: $work/zstd.
recompressed()
{
	local digest lines=()
	layout_new "$work/zstd"
	while read -r digest _; do
		lines+=("$(gzip -dc < "$images/blobs/sha256/$digest" | layout_layer "$work/zstd" zstd)")
	done < <(layout_layers "$images" $tag)
	layout_image "$work/zstd" $tag '{}' "${lines[@]}"
}

# blobs LAYOUT: the layers' files, into blobs, and into the page cache.
blobs()
{
	mapfile -t blobs < <(layout_layers "$1" $tag | sed "s|^\([0-9a-f]*\) .*|$1/blobs/sha256/\1|")
	cat "${blobs[@]}" > /dev/null
}

# What the last run wrote must not be written back during the next one.
settle()
{
	rm -rf "$work/out.img" "$work/bundle"
	sync
}

build_gzip() { settle; sample gzip.ours benchtool run smr -q build "oci:$images:$tag" -o "$work/out.img"; }
build_zstd() { settle; sample zstd.ours benchtool run smr -q build "oci:$work/zstd:$tag" -o "$work/out.img"; }
by_hand()
{
	settle
	sample hand benchtool run sh -ec "umoci unpack --image '$images:$tag' '$work/bundle' > '$work/umoci.log' 2>&1
		truncate -s ${mib}M '$work/out.img'
		mke2fs -q -t ext4 -b 4096 -m 0 -O ^has_journal,^resize_inode -E nodiscard -d '$work/bundle/rootfs' '$work/out.img'"
}
gunzip_alone() { blobs "$images"; sample gunzip benchtool run sh -c 'gzip -dc "$@" > /dev/null' sh "${blobs[@]}"; }
unzstd_alone() { blobs "$work/zstd"; sample unzstd benchtool run sh -c 'zstd -q -dc "$@" > /dev/null' sh "${blobs[@]}"; }

recompressed
smr -q build "oci:$images:$tag" -o "$work/out.img" > /dev/null
blobs "$images"
bytes=$(cat "${blobs[@]}" | gzip -dc | wc -c)
mib=$(($(stat -c %s "$work/out.img") / 1048576 + 64))

interleave build_gzip gunzip_alone build_zstd unzstd_alone by_hand
keep build
# the larger of the two, round by round, is what building is measured by
paste "$samples/gunzip" "$samples/unzstd" | awk '{ print ($1 > $2 ? $1 : $2) }' > "$samples/decompress"

table "build: three layers, $(calc "$bytes / 1e6" | cut -d. -f1) MB"
compare_times "smr build / umoci unpack + mke2fs -d" gzip.ours hand '>=' 2 figure s
compare_times "gzip layers / decompressing them alone" gzip.ours decompress '>=' 0.7 figure s
compare_times "zstd layers / decompressing the gzip ones alone" zstd.ours decompress '>=' 0.7 figure s
compare_times "zstd layers / decompressing them alone" zstd.ours unzstd - '' figure s
peak=$(median gzip.ours.3)
row "peak memory of smr build / 512 MiB" "$(calc "$peak / 1024" | cut -d. -f1) MiB" "512 MiB" \
	"$(calc "$peak / 524288")" '<=' 1
