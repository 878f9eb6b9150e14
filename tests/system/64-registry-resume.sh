#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Downloads go on where a connection broke, also where the registry knows no ranges or has other bytes meanwhile; what is wrong then is
# fetched once more; what gets nowhere fails.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"
requires_program jq skopeo

start_registry
make_layout "$work/image" 3 3000000
push "$work/image:latest" app:1
start_front
mkdir "$work/out"

# layers_sent: bytes of layers that the front has sent
layers_sent()
{
	jq -s '[.[] | select((.target | test("/blobs/")) and (.sent > 10000 or .range != null)) | .sent] | add // 0' "$front_log"
}

size=$(jq '[.layers[].size] | add' "$work/image/blobs/sha256/$(jq -r '.manifests[0].digest' "$work/image/index.json" | cut -d: -f2)")

echo "cut again and again"
faults '{"cut": 1000000}'
pull "$front/app:1" "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(layers_sent)" -eq "$size" ] || die "$(layers_sent) bytes for $size"
[ "$(front_count '.status == 206 and .if_range != null and (.range | test("^bytes=[1-9]"))')" -ge 9 ] ||
	die "$(cat "$front_log")"

echo "a registry without ranges"
: > "$front_log"
faults '{"cut": 2000000, "cuts": 3, "ranges": false}'
pull "$front/app:1" "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(front_count '.status == 206')" -eq 0 ]

echo "no ETag, and a weak one: no If-Range, and the digest decides"
: > "$front_log"
faults '{"cut": 1000000, "etag": "W/\"x\""}'
pull "$front/app:1" "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(front_count '.if_range != null')" -eq 0 ]

echo "wrong bytes behind the break: once more from the start"
: > "$front_log"
faults '{"cut": 1000000, "cuts": 1, "damage": 1}'
pull "$front/app:1" "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(front_count '.status == 206')" -eq 1 ]
[ "$(layers_sent)" -gt "$size" ]
[ "$(layers_sent)" -lt $((size * 2)) ]

echo "wrong again: no more"
faults '{"cut": 1000000, "damage": 1000}'
must_fail 'other bytes than its digest' "$regpull" --cache "$work/layers" --connections 1 "$front/app:1"
[ "$(find "$work/layers" -type f | wc -l)" -eq 0 ] || die "a wrong layer is kept"

echo "wrong from the start: not even once more"
start_front
faults '{"junk": 1000}'
must_fail 'other bytes than its digest' "$regpull" --connections 1 "$front/app:1"

echo "nothing comes"
start_front
faults '{"cut": 0}'
pull_fails() { must_fail "$front/v2/app/blobs" "$regpull" --connections 1 "$front/app:1"; }
pull_fails
[ "$(front_count '(.target | test("/blobs/"))')" -le 12 ]
