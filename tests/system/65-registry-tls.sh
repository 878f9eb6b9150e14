#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A registry with a certificate of an authority of one's own: refused at first, and fine once that is named, where docker and podman
# have it or by --ca; a certificate for another host stays wrong. Who speaks https is never spoken to by http.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"
requires_program jq skopeo openssl

start_registry
make_layout "$work/image" 2 300000
push "$work/image:latest" app:1
make_certificate
start_front --cert "$work/cert.pem" --key "$work/key.pem"
build=(smr -q build "$front/app:1" -o "$work/out.img" --layer-cache 0)

must_fail 'certificate' "${build[@]}"
[ "$(front_count true)" -eq 0 ] || die "asked without knowing whom"
"${build[@]}" --ca "$work/cert.pem"
rm "$work/out.img"
must_fail 'cannot read' "${build[@]}" --ca "$work/absent.pem"
echo nothing > "$work/nothing.pem"
must_fail 'no certificate in it' "${build[@]}" --ca "$work/nothing.pem"
must_fail 'certificate' "${build[@]}"
SSL_CERT_FILE=$work/cert.pem "${build[@]}"

certs=$HOME/.config/containers/certs.d
mkdir -p "$certs/$front" "$certs/${front%:*}" "$certs/127.0.0.1:1"
cp "$work/cert.pem" "$certs/127.0.0.1:1/ca.crt"
must_fail 'certificate' "${build[@]}"
cp "$work/cert.pem" "$certs/$front/ca.crt"
"${build[@]}"
# what is no certificate there is not looked at
echo junk > "$certs/$front/README"
"${build[@]}"

# another host's
must_fail 'certificate' smr -q build "localhost:${front#*:}/app:1" -o "$work/out.img" --ca "$work/cert.pem"
must_fail 'certificate' smr -q --insecure build "localhost:${front#*:}/app:1" -o "$work/out.img" --ca "$work/cert.pem"

# plain http to what is not loopback
must_fail 'registry.invalid' smr -q build registry.invalid/app:1 -o "$work/out.img"
