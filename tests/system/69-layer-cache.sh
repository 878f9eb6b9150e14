#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The cache of layers stays within its bound, the least recently used go; several may use it at once; where it cannot be used, things go
# on without.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"
requires_program jq skopeo

start_registry
make_layout "$work/image" 5 1000000
push "$work/image:latest" app:1
make_layout "$work/small" 2 1000000   # its layers are the lowest two of the others
push "$work/small:latest" small:1
layers=$work/cache/layers

# kept: how many; size: bytes on disk
kept()
{
	find "$layers" -type f | wc -l
}

build()
{
	smr -q build -o "$work/out.img" "$@"
}

# downloaded COMMAND...: how many blobs that takes
downloaded()
{
	forget_requests
	"$@"
	blob_requests
}

[ "$(downloaded build --layer-cache 3500000 "$registry/app:1")" -eq 6 ]
[ "$(kept)" -eq 3 ] || die "$(kept) layers in 3.5 MB"
[ "$(du -s --block-size=1 "$layers" | cut -f1)" -le 3600000 ]
[ "$(stat -c %a "$layers")" = 700 ]
[ -z "$(find "$layers" -type f ! -perm 600)" ]

rm -r "$layers"
build "$registry/small:1"
touch -d '1 hour ago' "$layers"/*
SMR_CONF=$work/conf
printf 'layer_cache = 10M\n' > "$SMR_CONF"
export SMR_CONF
[ "$(downloaded build "$registry/app:1")" -eq 4 ]
[ "$(kept)" -eq 5 ]
# used last, though the oldest
touch -d '1 hour ago' "$layers"/*
[ "$(downloaded build "$registry/small:1")" -eq 1 ]
make_layout "$work/more" 6 1000000
push "$work/more:latest" more:1
printf 'layer_cache = 3.5M\n' > "$SMR_CONF"
for digest in $(jq -r '.layers[:2][].digest' "$work/image/blobs/sha256/$(jq -r '.manifests[0].digest' "$work/image/index.json" | cut -d: -f2)"); do
	[ -e "$layers/${digest#*:}" ]
done
[ "$(downloaded build "$registry/more:1")" -ge 2 ]
[ "$(kept)" -eq 3 ]
printf 'layer_cache = 0\n' > "$SMR_CONF"
rm -r "$layers"
build "$registry/small:1"
[ ! -e "$layers" ] || die "kept, though nothing should be"
printf 'layer_cache = much\n' > "$SMR_CONF"
must_fail layer_cache smr -q build "$registry/small:1" -o "$work/out.img"
SMR_CONF=

echo "nothing is downloaded that is too large"
forget_requests
must_fail 'more than is allowed' smr -q build "$registry/app:1" -o "$work/out.img" --max-size 4M
[ "$(blob_requests)" -le 1 ]

echo "several at once"
for i in 1 2 3 4; do
	smr -q build "$registry/app:1" -o "$work/out$i.img" &
	pids[i]=$!
done
for i in 1 2 3 4; do
	wait "${pids[i]}"
	same_bytes "$work/out1.img" "$work/out$i.img"
done
[ "$(kept)" -eq 5 ]
[ "$(downloaded build "$registry/app:1")" -eq 1 ]

echo "files in the way"
rm -r "$layers"
echo "not a folder" > "$layers"
build "$registry/small:1"
rm "$layers"
mkdir "$layers"
digest=$(jq -r '.layers[0].digest' "$work/image/blobs/sha256/$(jq -r '.manifests[0].digest' "$work/image/index.json" | cut -d: -f2)")
mkfifo "$layers/${digest#*:}"
within 20 smr -q build "$registry/small:1" -o "$work/out.img"
rm "$layers"/*
ln -s /dev/zero "$layers/${digest#*:}"
within 20 smr -q build "$registry/small:1" -o "$work/out.img"
if [ "$(id -u)" -ne 0 ]; then
	chmod 500 "$layers"
	build "$registry/app:1"
	chmod 700 "$layers"
fi
