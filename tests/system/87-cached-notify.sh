#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# systemd is told when the daemon is ready, that it lives as long as it does, and when it ends. A daemon that is stopped feeds no
# watchdog.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_program jq python3

# what comes to NOTIFY_SOCKET, a line a message
cat > "$work/receive.py" << 'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode().replace("\n", " "), flush=True)
END
python3 "$work/receive.py" "$work/notify" > "$work/told" &
cleanup_fn stop_process $!
wait_for 10 test -S "$work/notify"
told()
{
	[ "$(grep -c "$1" "$work/told")" -ge "$2" ]
}

as=(env NOTIFY_SOCKET="$work/notify" WATCHDOG_USEC=300000)
start_cached
wait_for 10 told '^READY=1' 1
head -n 1 "$work/told" | grep -q "^READY=1 STATUS=Serving $work/cache"
wait_for 10 told '^WATCHDOG=1' 5

kill -STOP "$cached_pid"
# what was sent before it stopped has come when this has
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"MARK", sys.argv[1])' "$work/notify"
wait_for 10 told '^MARK' 1
sleep 0.5
[ "$(tail -n 1 "$work/told")" = MARK ] || die "a stopped process says: $(tail -n 1 "$work/told")"
kill -CONT "$cached_pid"
n=$(grep -c '^WATCHDOG=1' "$work/told")
wait_for 10 told '^WATCHDOG=1' $((n + 2))

stop_cached
wait_for 10 told '^STOPPING=1' 1

# one that cannot start is never ready
: > "$work/told"
must_fail "not a size" env NOTIFY_SOCKET="$work/notify" smr-cached --size x
must_fail "" env NOTIFY_SOCKET="$work/notify" smr-cached --cache /dev/null/x
! grep -q READY "$work/told" || die "it was ready"
