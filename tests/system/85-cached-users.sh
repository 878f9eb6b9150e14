#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Who may do what: the daemon of root is asked by members of the group smr, who may use the stores that it was given and no others;
# strangers are refused. A daemon runs without any privilege, too.
. "$(dirname "$0")/functions.sh"
own_mounts "$@"
. "$here/cached.sh"
requires_root
requires_program jq setpriv

# a place that others can reach, and a group smr that the machine need not have
chmod 755 "$work"
mkdir "$work/bin" "$work/run" "$work/secret"
cp "$(command -v smr-cached)" "$work/bin/"
(grep -v '^smr:' /etc/group || true; echo 'smr:x:64321:') > "$work/group"
mount --bind "$work/group" /etc/group
cleanup_fn umount /etc/group

make_random_image one 1
chmod -R a+rX "$work/store"
smr -s "$work/secret/store" chunk -q "$work/one.img"
chmod 700 "$work/secret"

cached_socket=$work/run/sock
smr-cached --cache "$work/cache" --socket "$cached_socket" --store "main=$work/store" 2> "$work/cached.log" &
cached_pid=$!
cleanup_fn stop_process "$cached_pid"
wait_for 20 cached_answers
[ "$(stat -c '%a %g' "$cached_socket")" = '660 64321' ] || die "the socket is $(stat -c '%a %g' "$cached_socket")"

member=(setpriv --reuid 65534 --regid 65534 --groups 64321 "$work/bin/smr-cached" --socket "$cached_socket")
stranger=(setpriv --reuid 65534 --regid 65534 --clear-groups "$work/bin/smr-cached" --socket "$cached_socket")
export HOME=/nonexistent
must_say 'cache    ' "${member[@]}" status --cache "$work/c"
must_say 'one: all 16 chunks are here, 16 of them new' "${member[@]}" hydrate --cache "$work/c" --wait one
must_say 'one: all 16 chunks are here, 0 of them new' "${member[@]}" hydrate --cache "$work/c" --wait -s main one
must_say 'one: all 16 chunks are here' "${member[@]}" hydrate --cache "$work/c" --wait -s "$work/store" one
must_fail "$work/secret/store is not a store that this cache is configured for" \
	"${member[@]}" hydrate --cache "$work/c" -s "$work/secret/store" one
must_fail "members of its group" "${stranger[@]}" status --cache "$work/c"
must_fail "members of its group" "${stranger[@]}" hydrate --cache "$work/c" one
# the cache itself is nobody else's
! setpriv --reuid 65534 --regid 65534 --groups 64321 ls "$work/cache" > /dev/null 2>&1 || die "a member can look into the cache"
stop_cached

# without privilege: its own cache, its own socket; and it may name any store that it can read
mkdir "$work/nobody"
chown 65534:65534 "$work/nobody"
cached_socket=$work/nobody/cache/cached.sock
setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "$work/bin/smr-cached" --cache "$work/nobody/cache" \
	--store "main=$work/store" 2> "$work/cached.log" &
cached_pid=$!
cleanup_fn stop_process "$cached_pid"
# not even root trusts a socket of somebody else's that it was not pointed at; the user's own does
ask()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$work/bin/smr-cached" --socket "$cached_socket" --cache "$work/nobody/cache" "$@"
}
wait_for 20 cached_answers
must_say 'one: all 16 chunks are here, 16 of them new' ask hydrate --wait one
must_fail 'Permission denied' ask hydrate --wait -s "$work/secret/store" one
[ "$(stat -c '%a %u' "$cached_socket")" = '660 65534' ]
[ -z "$(find "$work/nobody/cache" ! -user 65534)" ]
must_fail 'belongs to another user' smr-cached --cache "$work/nobody/cache" --socket "$work/other"
stop_cached
