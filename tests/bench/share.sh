#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# How much images that share bases take together: as chunks of smr, as casync's (its defaults), as gzip layers. Nine are what a
# machine of services has: two bases, three applications on them, a second release of each. Then two more that have little in
# common with others, so that what remains is compression. And what an application's layer costs whose files are the same but
# for their times.
. "$(dirname "$0")/lib.sh"
own_mounts "$@"
requires_fuse
requires_loop
requires_program casync jq umoci python3
# shellcheck source=tests/layout.sh
. "$top/tests/layout.sh"

images=$("$top/tests/images.sh") || die "no images"
tags=(base python python-app python-app-2 node node-web node-web-2 node-build node-build-2)
others=(java gcc)

# stored PATH...: bytes of all files below.
stored()
{
	find "$@" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

# add TAG: to the store; then the same tree, from the image, to casync's.
add()
{
	smr -q -s "$work/store" add --name "$1" "oci:$images:$1" > /dev/null
	mount_smrfs "$work/store" "$work/mnt"
	mount_ext4 "$work/mnt/$1.img" "$work/root"
	casync make --store="$work/casync/store" "$work/casync/$1.caidx" "$work/root" > /dev/null
	umount_ext4 "$work/root" "$loop"
	umount_smrfs "$work/mnt"
	wait_for 60 flock -n "$work/cache/lock" true
	layout_layers "$images" "$1" >> "$work/layers"
}

# ---- the application's layer, changed ----

# retar FILTER < LAYER > LAYER: every entry `e` as python's FILTER leaves it; gone when `keep` is False then.
retar()
{
	python3 -c '
import io, sys, tarfile
source = tarfile.open(fileobj=sys.stdin.buffer, mode="r|*")
target = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT)
for e in source:
    keep = True
    exec(sys.argv[1])
    if keep:
        target.addfile(e, source.extractfile(e) if e.isreg() else None)
target.close()' "$1"
}

# The uppermost layer of a tag.
top_layer()
{
	cat "$images/blobs/sha256/$(layout_layers "$images" "$1" | tail -n 1 | cut -d' ' -f1)"
}

# new_layout DIR: with the layers of `node`, into lower.
new_layout()
{
	layout_new "$1"
	cp "$images"/blobs/sha256/* "$1/blobs/sha256"
	mapfile -t lower < <(layout_layers "$images" node)
}

# added TAG: the JSON of adding it from the layout of variants.
added()
{
	smr -q -s "$work/variants" --json add --name "$1" "oci:$work/layout:$1"
}

variants()
{
	local rebuilt web build
	new_layout "$work/layout"
	web=$(top_layer node-web | retar 'keep = e.name not in (".", "srv")' | layout_layer "$work/layout" gzip)
	build=$(top_layer node-build | retar 'keep = e.name not in (".", "srv")' | layout_layer "$work/layout" gzip)
	rebuilt=$(top_layer node-web | retar 'e.mtime = 1.7e9; e.pax_headers.pop("mtime", 0); keep = e.name not in (".", "srv")' | layout_layer "$work/layout" gzip)
	layout_image "$work/layout" web '{}' "${lower[@]}" "$web"
	layout_image "$work/layout" rebuilt '{}' "${lower[@]}" "$rebuilt"
	layout_image "$work/layout" web-build '{}' "${lower[@]}" "$web" "$build"
	layout_image "$work/layout" build-web '{}' "${lower[@]}" "$build" "$web"
	added web > "$work/web.json"
	added rebuilt > "$work/rebuilt.json"
	smr -q build "oci:$work/layout:web-build" -o "$work/a.img" > /dev/null
	smr -q build "oci:$work/layout:build-web" -o "$work/b.img" > /dev/null
}

# totals: sets ours, theirs and layers, in bytes.
totals()
{
	ours=$(stored "$work/store")
	theirs=$(stored "$work/casync")
	layers=$(sort -u "$work/layers" | awk '{ n += $2 } END { printf "%.0f", n }')
}

mb()
{
	awk -v n="$1" 'BEGIN { printf "%.1f MB", n / 1e6 }'
}

# change KEY: of the rebuilt image, over what the first one has.
change()
{
	jq -n --slurpfile a "$work/web.json" --slurpfile b "$work/rebuilt.json" "\$b[0].$1 / \$a[0].$1"
}

mkdir "$work/casync"
echo "bench: adding ${#tags[@]} images, and ${#others[@]}" >&2
for tag in "${tags[@]}"; do
	add "$tag"
done
totals
table "share: ${#tags[@]} images (${tags[*]})"
row "smr's store / casync make" "$(mb "$ours")" "$(mb "$theirs")" "$(calc "$ours / $theirs")" '<=' 0.90
row "smr's store / gzip layers, each once" "$(mb "$ours")" "$(mb "$layers")" "$(calc "$ours / $layers")" '<=' 0.80
for tag in "${others[@]}"; do
	add "$tag"
done
totals
row "with ${others[*]}: smr's store / casync make" "$(mb "$ours")" "$(mb "$theirs")" "$(calc "$ours / $theirs")" - ''
row "    smr's store / gzip layers" "$(mb "$ours")" "$(mb "$layers")" "$(calc "$ours / $layers")" - ''
variants
row "application layer with new times: bytes" "$(mb "$(jq .new_bytes "$work/rebuilt.json")")" \
	"$(mb "$(jq .new_bytes "$work/web.json")")" "$(change new_bytes)" '<=' 0.04
row "                                  chunks" "$(jq .new_chunks "$work/rebuilt.json")" \
	"$(jq .new_chunks "$work/web.json")" "$(change new_chunks)" '<=' 0.04
cmp -s "$work/a.img" "$work/b.img" && same=0 || same=1
row "two layers in another order: images that differ" $same 2 $same '<=' 0
