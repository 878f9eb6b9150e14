#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The daemon starts, answers, is alone, and ends cleanly; what it makes is for its own user and group only. Who asks nobody, or asks for
# nonsense, is told what to do.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_program jq

must_say 'one chunk cache' bash -c 'smr-cached --help | tr A-Z a-z'
must_say 'smr-cached hydrate [OPTION...] NAME' smr-cached hydrate --help
must_say "$work/c/cached.sock" smr-cached --cache "$work/c" status --help
must_say 'smr-cached ' smr-cached --version
must_fail "nobody answers at $work/c/cached.sock; start the daemon" smr-cached --cache "$work/c" status
usage()
{
	local status=0
	smr-cached "$@" 2> /dev/null || status=$?
	[ "$status" -eq 2 ] || die "status $status: $*"
}
usage frobnicate
usage --frobnicate
usage pin
usage --size 10Q
usage status --json --prometheus

mkdir "$work/store"
head -c 1000000 /dev/urandom > "$work/a.img"
smr -s "$work/store" chunk -q "$work/a.img"
start_cached --size 100M --store "main=$work/store"
grep -qF "serving $work/cache (105 MB at most) at $cached_socket" "$work/cached.log"
must_say "cache    $work/cache   0 B of 105 MB, 0 chunks" ask status
must_say 'a: all 2 chunks are here, 2 of them new' ask hydrate --wait a
must_say 'a: all 2 chunks are here, 0 of them new' ask hydrate --wait -s main a
must_say 'a: all 2 chunks are here, 0 of them new' ask hydrate --wait -s "$work/store" a
[ -z "$(ask hydrate -q --wait a)" ] || die "-q says something"
must_fail 'b' ask hydrate b
must_fail 'no store called other; name one' ask pin -s other a
must_fail "not pinned" ask unpin a

# alone
must_fail "in use by process $cached_pid" smr-cached --cache "$work/cache" --socket "$work/other"
[ ! -e "$work/other" ] || die "a daemon that did not start left its socket"

# for whom
[ "$(stat -c %a "$cached_socket")" = 660 ]
[ "$(stat -c %a "$work/cache/pool")" = 700 ]
loose=$(find "$work/cache" ! -type s ! -type l -perm /077)
[ -z "$loose" ] || die "others can look into: $loose"
[ "$(find "$work/cache/pool" -type f ! -perm 400)" = "" ] || die "chunks can be written to"
[ "$(find "$work/cache/pool" -type f | wc -l)" -eq 2 ]

# its end: the name goes, who is connected sees it, and the next one starts without a rebuild
stop_cached
[ ! -e "$cached_socket" ] || die "the socket is still there"
start_cached
[ "$(status_of .cache.rebuilding)" = 0 ]
[ "$(status_of .cache.chunks)" = 2 ]
! grep -q 'rebuil' "$work/cached.log" || die "it was not clean: $(cat "$work/cached.log")"
stop_cached

# stores that can never be are refused, those that may come are not
must_fail "--store far" smr-cached --cache "$work/cache" --store far=http://images.example.org/smr
start_cached --store "later=$work/later"
grep -qF "store later: " "$work/cached.log"
stop_cached

# in the words of the configuration
cat > "$work/conf" << END
store = $work/store
cache = $work/cache
cache_size = 50M
socket = $work/sock
END
export SMR_CONF=$work/conf
smr-cached 2>> "$work/cached.log" &
cached_pid=$!
cleanup_fn stop_process "$cached_pid"
cached_socket=$work/sock
wait_for 20 cached_answers
must_say 'of 52.4 MB' smr-cached status
must_say 'a: all 2 chunks are here' smr-cached hydrate --wait a
stop_cached
