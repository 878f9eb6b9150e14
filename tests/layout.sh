# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034  # what functions set, scripts use
# Container images as OCI image layouts, written with tar, gzip and sha256sum: for those who source this.
#
# A layer is named by a line "DIGEST SIZE DIFF-ID MEDIA-TYPE", all without "sha256:".

# layout_new DIR: empty, without images.
layout_new()
{
	mkdir -p "$1/blobs/sha256"
	printf '{"imageLayoutVersion":"1.0.0"}' > "$1/oci-layout"
	printf '{"schemaVersion":2,"manifests":[]}' > "$1/index.json"
}

# layout_blob DIR FILE: the file becomes a blob. Prints "DIGEST SIZE".
layout_blob()
{
	local digest size
	digest=$(sha256sum < "$2" | cut -d' ' -f1)
	size=$(stat -c %s "$2")
	mv "$2" "$1/blobs/sha256/$digest"
	chmod 644 "$1/blobs/sha256/$digest"
	echo "$digest $size"
}

# layout_layer DIR gzip|zstd < TAR: prints the layer's line.
layout_layer()
{
	local dir=$1 compressor=$2 temporary diff_id blob
	temporary=$(mktemp -d "$dir/.layer.XXXX")
	# the hash is there when sha256sum has ended, and tee does not wait for it
	mkfifo "$temporary/tar"
	sha256sum < "$temporary/tar" > "$temporary/diff_id" &
	tee "$temporary/tar" | case $compressor in
	gzip) gzip -n ;;
	zstd) zstd -q -T0 ;;
	esac > "$temporary/blob"
	wait $!
	diff_id=$(cut -d' ' -f1 < "$temporary/diff_id")
	blob=$(layout_blob "$dir" "$temporary/blob")
	rm -r "$temporary"
	echo "$blob $diff_id application/vnd.oci.image.layer.v1.tar+$compressor"
}

# layout_image DIR TAG CONFIG LAYER...: an image of these layers, the lowest first, under a new tag. CONFIG is what a container of it
# would run: {"Cmd":["/bin/sh"]}.
layout_image()
{
	local dir=$1 tag=$2 config=$3 machine layer digest size diff_id type layers='' diff_ids='' blob
	shift 3
	machine=$(dpkg --print-architecture 2> /dev/null || uname -m)
	for layer; do
		read -r digest size diff_id type <<< "$layer"
		layers+="${layers:+,}{\"mediaType\":\"$type\",\"digest\":\"sha256:$digest\",\"size\":$size}"
		diff_ids+="${diff_ids:+,}\"sha256:$diff_id\""
	done
	printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' \
		"$machine" "$config" "$diff_ids" > "$dir/.config"
	blob=$(layout_blob "$dir" "$dir/.config")
	printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"sha256:%s","size":%s},"layers":[%s]}' \
		application/vnd.oci.image.manifest.v1+json application/vnd.oci.image.config.v1+json \
		"${blob% *}" "${blob#* }" "$layers" > "$dir/.manifest"
	blob=$(layout_blob "$dir" "$dir/.manifest")
	layout_tag "$dir" "$tag" "${blob% *}" "${blob#* }"
}

# layout_tag DIR TAG DIGEST SIZE: one more in the index.
layout_tag()
{
	local entry
	entry=$(printf '{"mediaType":"%s","digest":"sha256:%s","size":%s,"annotations":{"%s":"%s"}}' \
		application/vnd.oci.image.manifest.v1+json "$3" "$4" org.opencontainers.image.ref.name "$2")
	# what layout_new and this wrote, so the list ends with the last two characters
	local index
	index=$(cat "$1/index.json")
	index=${index%]\}}
	[[ $index == *'[' ]] || index+=,
	printf '%s' "$index$entry]}" > "$1/index.json"
}

# layout_manifest DIR TAG: prints the manifest of any layout; layout_layers DIR TAG: its layers' lines. These need jq.
layout_manifest()
{
	local digest
	digest=$(jq -r --arg tag "$2" \
		'.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $tag).digest' "$1/index.json")
	cat "$1/blobs/sha256/${digest#*:}"
}

layout_layers()
{
	local manifest config
	manifest=$(layout_manifest "$1" "$2")
	config=$(jq -r .config.digest <<< "$manifest")
	jq -r --slurpfile config "$1/blobs/sha256/${config#*:}" '.layers | to_entries[] |
		[.value.digest, .value.size, $config[0].rootfs.diff_ids[.key], .value.mediaType] | @tsv' \
		<<< "$manifest" | sed 's/sha256://g; s/\t/ /g'
}
