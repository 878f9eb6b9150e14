#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Registries behind a proxy: http and https (CONNECT), as the environment says; none is used for loopback.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"
requires_program jq skopeo openssl

start_registry
make_layout "$work/image" 2 300000
push "$work/image:latest" app:1
plain=$registry
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=registry.test \
	-addext subjectAltName=DNS:registry.test -keyout "$work/key.pem" -out "$work/cert.pem" 2> /dev/null
start_front --cert "$work/cert.pem" --key "$work/key.pem" --as "$plain"
secure=$front

mkdir "$work/out"
registry=$plain
start_front
http_proxy=http://$front pull --insecure registry.test:5000/app:1 "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(front_count '.target | test("^http://registry.test:5000/v2/app/")')" -ge 4 ] || die "$(cat "$front_log")"

registry=$secure
start_front
https_proxy=http://$front pull --ca "$work/cert.pem" registry.test/app:1 "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(front_count '.method == "CONNECT" and .target == "registry.test:443"')" -ge 1 ] || die "$(cat "$front_log")"

: > "$front_log"
export http_proxy=http://$front HTTPS_PROXY=http://$front ALL_PROXY=http://$front
pull "$plain/app:1" "$work/out"
[ "$(front_count true)" -eq 0 ] || die "loopback by a proxy"
must_fail registry.test env no_proxy=registry.test "$regpull" --insecure registry.test:5000/app:1
[ "$(front_count true)" -eq 0 ] || die "no_proxy does not count"

echo "docker.io, which is elsewhere"
unset http_proxy HTTPS_PROXY ALL_PROXY
registry=$plain
push "$work/image:latest" library/debian:latest
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=registry-1.docker.io \
	-addext subjectAltName=DNS:registry-1.docker.io -keyout "$work/key.pem" -out "$work/cert.pem" 2> /dev/null
start_front --cert "$work/cert.pem" --key "$work/key.pem" --as "$plain"
hub_log=$front_log
registry=$front
start_front
https_proxy=http://$front smr -s "$work/store" add -q --ca "$work/cert.pem" debian
[ "$(jq -s '[.[] | select(.target | test("^/v2/library/debian/(manifests/latest|blobs/)"))] | length' "$hub_log")" -ge 4 ]
[ "$(front_count '.method == "CONNECT" and .target != "registry-1.docker.io:443"')" -eq 0 ]
[ "$(smr -s "$work/store" --json info debian_latest | jq -r .source)" = docker.io/library/debian:latest ]
# the same image by its other names is not another one
https_proxy=http://$front smr -s "$work/store" --json add --ca "$work/cert.pem" docker://index.docker.io/library/debian:latest |
	jq -e '.name == "debian_latest" and .unchanged' > /dev/null
