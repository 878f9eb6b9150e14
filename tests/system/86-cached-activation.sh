#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# systemd's side: a socket that it passes is the one that is served, who connected before is answered, and its name stays when the daemon
# ends.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_program jq systemd-socket-activate

make_random_image one 1
cached_socket=$work/sock
systemd-socket-activate --seqpacket -l "$cached_socket" -E SMR_CONF= \
	"$(command -v smr-cached)" --cache "$work/cache" --store "main=$work/store" > "$work/cached.log" 2>&1 &
cached_pid=$!
cleanup_fn stop_process "$cached_pid"
wait_for 10 test -S "$cached_socket"
[ ! -e "$work/cache" ] || die "it started before anybody asked"

# this one connects to nobody yet
must_say 'one: all 16 chunks are here, 16 of them new' ask hydrate --wait one
grep -qF "at $cached_socket" "$work/cached.log"
[ ! -e "$work/cache/cached.sock" ] || die "it made a socket of its own as well"
[ "$(status_of .cache.pid)" = "$cached_pid" ]
stop_cached
[ -S "$cached_socket" ] || die "it removed a socket that is not its own"

# another kind of socket is refused
rm "$cached_socket"
systemd-socket-activate -l "$cached_socket" -E SMR_CONF= "$(command -v smr-cached)" --cache "$work/cache" > "$work/cached.log" 2>&1 &
pid=$!
cleanup_fn stop_process "$pid"
wait_for 10 test -S "$cached_socket"
python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)' "$cached_socket" || true
status=0
wait "$pid" || status=$?
[ "$status" -eq 1 ]
grep -q 'ListenSequentialPacket=' "$work/cached.log"
