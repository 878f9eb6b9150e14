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
