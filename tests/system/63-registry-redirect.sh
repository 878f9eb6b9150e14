#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Blobs that are elsewhere are fetched there, without the credentials of the registry, which go to nobody else; not followed are redirects
# to other kinds of URLs, to this machine, and round in circles. The addresses that a manifest has for its layers are not asked.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"
requires_program jq skopeo

start_htpasswd_registry anna secret "validation: {manifests: {urls: {allow: [\".*\"]}}}"
make_layout "$work/image" 2 300000
push "$work/image:latest" app:1 --dest-creds anna:secret

# Where the blobs are: another front, which the registry of the first would let nobody ask without a login, so that it has a copy
# without one.
private=$registry
start_registry
push "$work/image:latest" app:1
start_front
elsewhere=$front elsewhere_log=$front_log
registry=$private
start_front
login "$DOCKER_CONFIG/config.json" "$front" anna secret

faults "{\"redirect\": \"http://$elsewhere\"}"
mkdir "$work/out"
pull "$front/app:1" "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(jq -s 'length' "$elsewhere_log")" -eq 3 ] || die "$(cat "$elsewhere_log")"
[ "$(jq -s '[.[] | select(.authorization != "")] | length' "$elsewhere_log")" -eq 0 ] || die "credentials went elsewhere"
[ "$(front_count '.authorization == "Basic"')" -ge 4 ]

echo "not followed"
for where in 'ftp://127.0.0.1' 'file:///etc/passwd?' 'http://anna:secret@127.0.0.1' 'http://192.0.2.1' 'gopher://127.0.0.1:70'; do
	faults "{\"redirect\": \"$where\"}"
	must_fail 'not followed' within 10 "$regpull" "$front/app:1"
done
faults "{\"redirect\": \"http://$front\"}"
must_fail 'on and on' within 10 "$regpull" "$front/app:1"
[ "$(jq -s 'length' "$elsewhere_log")" -eq 3 ]

echo "addresses in manifests"
faults '{}'
manifest=$(jq -r '.manifests[0].digest' "$work/image/index.json")
jq -c ".layers |= map(.urls = [\"http://$elsewhere/taken\"] | .mediaType = \"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip\")" \
	"$work/image/blobs/sha256/${manifest#*:}" > "$work/urls.json"
curl -fsS -u anna:secret -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary "@$work/urls.json" \
	"http://$private/v2/app/manifests/urls"
pull "$front/app:urls" "$work/out"
[ "$(said layers)" -eq 2 ]
[ "$(jq -s 'length' "$elsewhere_log")" -eq 3 ]
