#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What strangers may put into layers and images is refused with a message that names it; nothing is left behind, and nothing
# outside of the image is touched. The cases are in hostile.py.
. "$(dirname "$0")/functions.sh"
requires_program python3 zstd jq

mkdir "$work/cases" "$work/tmp" "$work/out"
"$here/hostile.py" "$work/cases" > "$work/list"
export TMPDIR=$work/tmp
n=0
while IFS=$'\t' read -r file text; do
	if [ "$text" = - ]; then
		smr -q build "tar:$work/cases/$file" -o "$work/out/x.img" || die "$file is refused"
		rm "$work/out/x.img"
	else
		status=0
		smr -q build "tar:$work/cases/$file" -o "$work/out/x.img" 2> "$work/message" || status=$?
		[ "$status" -eq 1 ] || die "$file: status $status"
		grep -qF -- "$text" "$work/message" || die "$file: not '$text' but: $(cat "$work/message")"
		[ "$(wc -l < "$work/message")" -eq 1 ] || die "$file: more than a line: $(cat "$work/message")"
	fi
	[ -z "$(find "$work/out" "$work/tmp" -mindepth 1)" ] || die "$file leaves something behind"
	n=$((n + 1))
done < "$work/list"
echo "$n cases"

echo "limits"
mkdir "$work/tree"
touch "$work"/tree/{1..50}
tar -cf "$work/many.tar" -C "$work/tree" .
must_fail 'more than 20 files' smr build --max-entries 20 "tar:$work/many.tar" -o "$work/out/x.img"
must_fail 'more than 20 files' smr build --max-entries 20 "dir:$work/tree" -o "$work/out/x.img"
head -c 3M /dev/urandom > "$work/tree/big"
tar -cf "$work/big.tar" -C "$work/tree" .
must_fail 'larger than 1048576 bytes' smr build --max-size 1M "tar:$work/big.tar" -o "$work/out/x.img"
truncate -s 3G "$work/zeros"
tar -cf - -C "$work" zeros | zstd -q > "$work/bomb.tar.zst"
rm "$work/zeros"
must_fail 'come out of each byte' smr build "tar:$work/bomb.tar.zst" -o "$work/out/x.img"
smr -q build --max-ratio 1000000 "tar:$work/bomb.tar.zst" -o "$work/out/x.img"
[ "$(du -k "$work/out/x.img" | cut -f1)" -lt 2000 ] || die "zeros are stored"
rm "$work/out/x.img"
[ -z "$(find "$work/out" "$work/tmp" -mindepth 1)" ] || die "something is left behind"

echo "image layouts"
layout=$work/layout
tar -cf "$work/layer" -C "$work/tree" 1
# make_layout [JQ-OF-THE-MANIFEST [JQ-OF-THE-CONFIG [JQ-OF-THE-INDEX]]]
make_layout()
{
	local blobs=$layout/blobs/sha256 layer config manifest
	rm -rf "$layout"
	mkdir -p "$blobs"
	echo '{"imageLayoutVersion":"1.0.0"}' > "$layout/oci-layout"
	layer=$(sha256sum < "$work/layer" | cut -d' ' -f1)
	cp "$work/layer" "$blobs/$layer"
	jq -n --arg d "sha256:$layer" '{os: "linux", architecture: "amd64", rootfs: {type: "layers", diff_ids: [$d]}}' |
		jq "${2:-.}" > "$work/config"
	config=$(sha256sum < "$work/config" | cut -d' ' -f1)
	cp "$work/config" "$blobs/$config"
	jq -n --arg c "sha256:$config" --arg l "sha256:$layer" --argjson cs "$(stat -c %s "$work/config")" \
		--argjson ls "$(stat -c %s "$work/layer")" '{schemaVersion: 2,
		config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $c, size: $cs},
		layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar", digest: $l, size: $ls}]}' |
		jq -c "${1:-.}" > "$work/manifest"
	manifest=$(sha256sum < "$work/manifest" | cut -d' ' -f1)
	cp "$work/manifest" "$blobs/$manifest"
	jq -n --arg d "sha256:$manifest" --argjson s "$(stat -c %s "$work/manifest")" '{schemaVersion: 2, manifests: [
		{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $d, size: $s}]}' |
		jq "${3:-.}" > "$layout/index.json"
	layer_blob=$blobs/$layer manifest_blob=$blobs/$manifest
}
refused()
{
	must_fail "$1" smr build "oci:$layout" -o "$work/out/x.img"
	[ -z "$(ls -A "$work/out")" ] || die "an image is there"
}
zeros=sha256:$(printf '0%.0s' {1..64})
make_layout
smr -q build "oci:$layout" -o "$work/out/x.img"
rm "$work/out/x.img"
make_layout ".layers[0].digest = \"$zeros\""; refused 'cannot read blob sha256:000000000000'
make_layout '.layers[0].digest = "sha256:../../../../etc/passwd"'; refused 'is no sha256 digest'
make_layout '.layers[0].digest |= ascii_upcase'; refused 'is no sha256 digest'
make_layout '.layers[0].digest = "md5:0"'; refused 'is no sha256 digest'
make_layout '.layers[0].size = -1'; refused 'has no size'
make_layout '.layers[0].size = 1'; refused 'longer than the manifest says'
make_layout '.layers[0].size += 1'; refused 'bytes, should be'
make_layout '.layers[0].mediaType = "application/vnd.in-toto+json"'; refused 'no layer of a file system'
make_layout '.config.mediaType = "application/vnd.cncf.helm.config.v1+json"'; refused 'no container image'
# shellcheck disable=SC2016  # a variable of jq
make_layout '.layers = [.layers[0] | (range(20000) as $i | .)]'; refused 'more than'
# shellcheck disable=SC2016
make_layout '.layers = [.layers[0] | (range(2000) as $i | .)]'; refused '2000 layers, more than 1024'
make_layout '.layers += .layers'; refused 'the manifest has 2 layers, the config 1'
make_layout '.manifests = []'; refused 'neither an image manifest nor an index'
make_layout . ".rootfs.diff_ids[0] = \"$zeros\""; refused 'diff_id'
make_layout . 'del(.rootfs)'; refused 'no list of diff_ids'
make_layout . . '.manifests[0].platform = {os: "linux", architecture: "s390x"}'; refused 'it has linux/s390x'
make_layout . . '.manifests += [.manifests[0] | .platform = {os: "linux", architecture: "s390x"}]'
smr -q build --platform linux/s390x "oci:$layout" -o "$work/out/x.img" 2> /dev/null && die "the config is for another platform"
make_layout . . '.manifests[0].annotations["org.opencontainers.image.ref.name"] = "a" |
	.manifests += [.manifests[0] | .annotations["org.opencontainers.image.ref.name"] = "b"]'; refused 'name one: a, b'
make_layout; printf x | dd of="$layer_blob" bs=1 seek=600 conv=notrunc status=none; refused 'other bytes than its digest says'
make_layout; echo >> "$manifest_blob"; refused 'is not what its digest says'
make_layout; rm "$layer_blob"; ln -s /etc/passwd "$layer_blob"; refused 'cannot read blob'
make_layout; rm "$layer_blob"; mkfifo "$layer_blob"; refused 'cannot read blob'
make_layout; sed -i 's/"schemaVersion": 2/"schemaVersion": 2, "schemaVersion": 2/' "$layout/index.json"; refused 'duplicate'
make_layout; truncate -s 5M "$layout/index.json"; refused 'index.json'
make_layout; echo '[' > "$layout/index.json"; refused 'not JSON'

echo "nothing half-published"
make_layout . ".rootfs.diff_ids[0] = \"$zeros\""
must_fail diff_id smr -s "$work/store" add "oci:$layout"
[ -z "$(smr -q -s "$work/store" --json ls | jq -r '.images[].name')" ] || die "something is published"
