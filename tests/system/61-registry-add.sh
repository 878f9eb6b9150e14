#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# `smr add` from a real registry with a login: what is mounted is what umoci unpacks, in every respect; an image that shares a base
# downloads only the rest, and one that is pulled again nothing. Logins are found where docker and podman leave them.
. "$(dirname "$0")/functions.sh"
requires_root
requires_fuse
requires_loop
requires_program umoci skopeo jq setcap
requires_xattrs_at "$work"
. "$here/registry.sh"
ext4tree=$BUILD_DIR/tests/system/ext4tree

make_rootfs
layout=$work/layout
make_app_layout "$layout"
start_htpasswd_registry anna 'se:cr et'
for tag in base app other; do
	push "$layout:$tag" "team/$tag:1" --dest-creds 'anna:se:cr et'
done
# Docker's own media types, with the same layers
push "$layout:app" team/app:docker --dest-creds 'anna:se:cr et' --format v2s2

echo "who has no login, or a wrong one"
add=(smr -s "$work/store" add -q)
must_fail 'wants a login' "${add[@]}" "$registry/team/app:1"
login "$DOCKER_CONFIG/config.json" "$registry" anna wrong
must_fail 'does not let this login read' "${add[@]}" "$registry/team/app:1"
[ ! -e "$work/store" ] || [ "$(smr -s "$work/store" --json ls | jq '.images | length')" -eq 0 ]

echo "docker's login"
login "$DOCKER_CONFIG/config.json" "$registry" anna 'se:cr et'
smr -s "$work/store" add "$registry/team/app:1" | tee "$work/said"
name=${registry/:/_}_team_app_1
grep -q "^$name@sha256:" "$work/said"

mount_smrfs "$work/store" "$work/mnt"
mount_ext4 "$work/mnt/$name.img" "$work/root"
umoci unpack --image "$layout:app" "$work/bundle" > /dev/null 2>&1
"$ext4tree" describe "$work/bundle/rootfs" > "$work/want"
"$ext4tree" describe "$work/root" > "$work/got"
# the folder that umoci unpacks into is its own
sed -i 1d "$work/want" "$work/got"
[ "$(wc -l < "$work/got")" -gt 3000 ]
diff "$work/want" "$work/got" | head -20 > "$work/diff" || true
[ ! -s "$work/diff" ] || { cat "$work/diff" >&2; die "not what umoci unpacks"; }
umount_ext4 "$work/root" "$loop"
umount_smrfs "$work/mnt"

smr -s "$work/store" --json info "$name" > "$work/info"
[ "$(jq -r .source "$work/info")" = "$registry/team/app:1" ]
digest=$(skopeo inspect --tls-verify=false --creds 'anna:se:cr et' --format '{{.Digest}}' "docker://$registry/team/app:1")
[ "sha256:$(jq -r .manifest_digest "$work/info" | sed s/^sha256://)" = "$digest" ]
smr -s "$work/store" run-config "$name" | grep -qx "$(printf 'cmd\t/bin/bash')"

echo "the same from Docker's media types, from the layout, and by digest"
smr -q build "$registry/team/app:docker" -o "$work/docker.img"
smr -q build "oci:$layout:app" -o "$work/layout.img"
smr -q build "$registry/team/app@$digest" -o "$work/digest.img"
same_bytes "$work/docker.img" "$work/layout.img"
same_bytes "$work/digest.img" "$work/layout.img"
smr -s "$work/store" cat "$name" -o "$work/cat.img"
same_bytes "$work/cat.img" "$work/layout.img"

echo "what is shared is not downloaded again"
forget_requests
"${add[@]}" "$registry/team/base:1"
[ "$(blob_requests)" -eq 1 ] || die "$(blob_requests) blobs for the base, which is here but for its config"
forget_requests
"${add[@]}" "$registry/team/other:1"
[ "$(blob_requests)" -eq 2 ] || die "$(blob_requests) blobs for a config and one layer"
forget_requests
smr -s "$work/store" --json add "$registry/team/app:1" | jq -e '.unchanged and .new_chunks == 0' > /dev/null
[ "$(blob_requests)" -eq 1 ] || die "$(blob_requests) blobs when only the config is not here"
forget_requests
smr -q build --layer-cache 0 "$registry/team/other:1" -o "$work/other.img"
[ "$(blob_requests)" -eq 3 ] || die "$(blob_requests) blobs without a cache"

echo "podman's login, a helper's, and a store's"
rm "$DOCKER_CONFIG/config.json"
pull=(smr -q build "$registry/team/base:1" -o "$work/base.img")
must_fail 'wants a login' "${pull[@]}"
login "$XDG_RUNTIME_DIR/containers/auth.json" "$registry/team" anna 'se:cr et'
"${pull[@]}"
mv "$XDG_RUNTIME_DIR/containers/auth.json" "$work/auth.json"
must_fail 'wants a login' "${pull[@]}"
REGISTRY_AUTH_FILE=$work/auth.json "${pull[@]}"
mkdir "$work/bin"
cat > "$work/bin/docker-credential-test" <<'END'
#!/bin/sh
read -r server
[ "$1" = get ] && [ "$server" = "$(cat "${0%/*}/server")" ] || { echo 'credentials not found in native keychain'; exit 1; }
printf '{"ServerURL": "%s", "Username": "anna", "Secret": "se:cr et"}' "$server"
END
chmod +x "$work/bin/docker-credential-test"
echo "$registry" > "$work/bin/server"
echo '{"credsStore": "test", "auths": {}}' > "$DOCKER_CONFIG/config.json"
PATH=$work/bin:$PATH "${pull[@]}"
echo "{\"credHelpers\": {\"$registry\": \"test\"}}" > "$DOCKER_CONFIG/config.json"
PATH=$work/bin:$PATH "${pull[@]}"
echo elsewhere > "$work/bin/server"
PATH=$work/bin:$PATH must_fail 'wants a login' "${pull[@]}"
# one that is no name of a program is not looked for
echo "{\"credHelpers\": {\"$registry\": \"../bin/x; touch $work/touched\"}}" > "$DOCKER_CONFIG/config.json"
must_fail 'no name of a credential helper' "${pull[@]}"
[ ! -e "$work/touched" ]
