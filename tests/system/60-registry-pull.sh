#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Images come out of a real registry as they went in: by tag, by digest, by platform; a second pull downloads nothing.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"

start_registry
make_layout "$work/image" 5
push "$work/image:latest" team/app:1
push "$work/image:many" team/app:many

mkdir "$work/out"
pull "$registry/team/app:1" "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(said layers)" -eq 5 ]
[ "$(said name)" = "${registry/:/_}_team_app_1" ]
[ "$(said reference)" = "$registry/team/app:1" ]
digest=$(said manifest)
[ "$digest" = "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$registry/team/app:1")" ]

# by digest, which wins over a tag that says otherwise
pull "docker://$registry/team/app:many@$digest"
[ "$(said manifest)" = "$digest" ]

# by platform
for platform in amd64 arm64 arm/v6 arm/v7; do
	pull --platform "linux/$platform" "$registry/team/app:many" "$work/out"
	[ "$(jq -r '.config.Cmd[0]' "$work/out/config")" = "${platform%%/*}" ]
	[ "$(jq -r '.variant // ""' "$work/out/config" | grep -o '^v[67]$' || true)" = "$(grep -o 'v[67]$' <<< "$platform" || true)" ]
done
must_fail 'linux/arm64' "$regpull" --platform linux/s390x "$registry/team/app:many"
must_fail 'no image' "$regpull" "$registry/team/app:absent"
must_fail 'no image' "$regpull" "$registry/team/absent:1"

# the cache: the second pull downloads nothing, one that is damaged is fetched again
pull --cache "$work/layers" "$registry/team/app:1"
[ "$(said cached)" -eq 0 ] && [ "$(said brought)" -gt 5000000 ]
[ "$(find "$work/layers" -type f | wc -l)" -eq 5 ]
pull --cache "$work/layers" "$registry/team/app:1" "$work/out"
[ "$(said cached)" -eq 5 ] && [ "$(said brought)" -eq 0 ]
blobs_are_those_of "$work/image" "$work/out"
damaged=$(find "$work/layers" -type f | sort | head -1)
chmod u+w "$damaged"
printf x | dd of="$damaged" bs=1 seek=5000 conv=notrunc status=none
pull --cache "$work/layers" "$registry/team/app:1" "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(said brought)" -eq "$(stat -c %s "$damaged")" ]
[ "$(sha256sum < "$damaged" | cut -d' ' -f1)" = "${damaged##*/}" ]

# a layer that is closed early, and a pull that is given up, leave nothing that waits
within 10 "$regpull" --limit 1000 "$registry/team/app:1" > "$work/limited"

# a registry whose blobs were changed below it
blob=$(find "$registry_data" -path '*/sha256/*/data' -size +900k | sort | head -1)
printf x | dd of="$blob" bs=1 seek=70000 conv=notrunc status=none
must_fail 'other bytes than its digest' "$regpull" "$registry/team/app:1"
