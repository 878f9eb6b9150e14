#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# systemd's side: a socket that it passes is the one that is served, who connected before is answered, and its name stays when the daemon
# ends.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_fuse
requires_program jq python3 systemd-socket-activate

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

# as systemd keeps it: whoever keeps the socket starts the next daemon when somebody asks after the last one was killed; mounts wait for it
# and do not take the cache over
cat > "$work/keeper.py" << 'END'
import os, select, signal, socket, sys
pid = 0
def end(*_):
    if pid:
        os.kill(pid, signal.SIGTERM)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen(64)
while True:
    select.select([s], [], [])
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(s.fileno(), 3)
        os.execvpe(sys.argv[2], sys.argv[2:], dict(os.environ, LISTEN_FDS="1", LISTEN_PID=str(os.getpid())))
    os.waitpid(pid, 0)
    pid = 0
END
rm "$cached_socket"
start_nginx "$work/store"
python3 "$work/keeper.py" "$cached_socket" smr-cached --cache "$work/cache2" > "$work/cached.log" 2>&1 &
cleanup_fn stop_process $!
wait_for 10 test -S "$cached_socket"
for i in 1 2; do
	mount_smrfs "$nginx_url" "$work/mnt$i" -o "cache=$work/cache2,socket=$cached_socket"
done
make_random_image two 4
for i in 1 2 3; do
	pid=$(status_of .cache.pid)
	wait_for 5 test -e "$work/mnt1/two.img"
	head -c $((i << 20)) "$work/mnt1/two.img" | cmp - <(head -c $((i << 20)) "$work/two.img")
	kill -KILL "$pid"
	within 10 cmp "$work/mnt2/one.img" "$work/one.img"
	[ "$(status_of .cache.pid)" != "$pid" ]
	[ "$(status_of .cache.pid)" = "$(head -n 1 "$work/cache2/lock")" ]
	drop_page_cache "$work/mnt2/one.img"
done
cmp "$work/mnt1/two.img" "$work/two.img"
cmp "$work/mnt2/two.img" "$work/two.img"
[ "$(grep -c 'serving ' "$work/cached.log")" -eq 4 ] || die "$(cat "$work/cached.log")"
umount_smrfs "$work/mnt1"
umount_smrfs "$work/mnt2"

# another kind of socket is refused
cached_socket=$work/stream
systemd-socket-activate -l "$cached_socket" -E SMR_CONF= "$(command -v smr-cached)" --cache "$work/cache" > "$work/cached.log" 2>&1 &
pid=$!
cleanup_fn stop_process "$pid"
wait_for 10 test -S "$cached_socket"
python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)' "$cached_socket" || true
status=0
wait "$pid" || status=$?
[ "$status" -eq 1 ]
grep -q 'ListenSequentialPacket=' "$work/cached.log"
