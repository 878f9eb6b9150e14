#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A million entries, and whatever strangers ask for, within 512 MiB: names that fill the tree up to its limit while a decompressor
# holds the largest window that it may, in several layers.
. "$(dirname "$0")/functions.sh"
requires_no_sanitizer
requires_program python3 zstd jq
[ "$(df --output=avail -BG "$work" | tail -n 1 | tr -dc 0-9)" -ge 4 ] || skip "4 GB of disk are not free"
limit=$((512 * 1024))

# within_memory COMMAND...: its status; no more than 30 s either
within_memory()
{
	local status=0 peak
	within 30 "$here/peak.py" "$work/peak" "$@" || status=$?
	peak=$(cat "$work/peak")
	echo "$peak KiB, status $status" >&2
	[ "$peak" -le $limit ] || die "took $peak KiB: $*"
	return "$status"
}

echo "a million entries"
"$here/manyfiles.py" 1000000 | zstd -q -1 > "$work/many.tar.zst"
within_memory smr -s "$work/store" --json add --name many "tar:$work/many.tar.zst" |
	jq -e '.entries == 1001002' > /dev/null
rm -rf "$work/store" "$work/many.tar.zst"

echo "three layers, each with a window of 128 MiB; long names in the first"
blobs=$work/layout/blobs/sha256
mkdir -p "$blobs" "$work/new"
echo '{"imageLayoutVersion":"1.0.0"}' > "$work/layout/oci-layout"
# put FILE: a blob; its digest
put()
{
	local digest
	digest=$(sha256sum < "$1" | cut -d' ' -f1)
	mv "$1" "$blobs/$digest"
	echo "sha256:$digest"
}
"$here/manyfiles.py" 300000 255 > "$work/1.tar"
for i in 2 3; do
	head -c 140M < <(yes "layer $i") > "$work/new/file$i"
	tar -C "$work/new" -cf "$work/$i.tar" "file$i"
	rm "$work/new/file$i"
done
layers=() diff_ids=()
for i in 1 2 3; do
	diff_ids+=("sha256:$(sha256sum < "$work/$i.tar" | cut -d' ' -f1)")
	zstd -q -1 --long=27 --rm "$work/$i.tar" -o "$work/$i.zst" --no-content-size 2> /dev/null ||
		zstd -q -1 --long=27 < "$work/$i.tar" > "$work/$i.zst"
	rm -f "$work/$i.tar"
	layers+=("$(stat -c %s "$work/$i.zst")" "$(put "$work/$i.zst")")
done
jq -n '{os: "linux", architecture: "amd64", rootfs: {type: "layers", diff_ids: $ARGS.positional}}' --args "${diff_ids[@]}" > "$work/config"
config_size=$(stat -c %s "$work/config")
jq -n --argjson cs "$config_size" --arg c "$(put "$work/config")" '{schemaVersion: 2,
	config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $c, size: $cs},
	layers: [$ARGS.positional | range(0; length; 2) as $i | {mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
		digest: .[$i + 1], size: (.[$i] | tonumber)}]}' --args "${layers[@]}" > "$work/manifest"
manifest_size=$(stat -c %s "$work/manifest")
jq -n --arg d "$(put "$work/manifest")" --argjson s "$manifest_size" '{schemaVersion: 2, manifests: [
	{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $d, size: $s}]}' > "$work/layout/index.json"
within_memory smr -q -s "$work/store" add --max-ratio 1000000 --platform linux/amd64 --name long "oci:$work/layout"
rm -rf "$work/store" "$work/layout"

echo "names beyond what the tree may hold"
"$here/manyfiles.py" 900000 255 | zstd -q -1 --long=27 > "$work/long.tar.zst"
status=0
within_memory smr build --max-ratio 1000000 "tar:$work/long.tar.zst" -o "$work/x.img" 2> "$work/message" || status=$?
grep KiB "$work/message"
[ "$status" -eq 1 ] && grep -q '320 MiB of memory' "$work/message" || die "not refused: $(cat "$work/message")"
status=0
within_memory smr build "tar:$work/long.tar.zst" -o "$work/x.img" 2> "$work/message" || status=$?
grep KiB "$work/message"
[ "$status" -eq 1 ] && grep -q 'come out of each byte' "$work/message" || die "no bomb: $(cat "$work/message")"

echo "a window beyond"
head -c 1M /dev/urandom | zstd -q -1 --ultra --long=30 > "$work/window.zst"
must_fail 'more than 128 MiB' smr build "tar:$work/window.zst" -o "$work/x.img"
[ ! -e "$work/x.img" ] || die "an image is there"
