# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154  # what functions set, tests use; what functions.sh sets
# What the tests 8x share, beside functions.sh: a daemon of their own. The cache is $work/cache.

# start_cached [ARG...]: the daemon, until it answers. Sets cached_pid and cached_socket; stderr goes to $work/cached.log. Words in the
# array `as` go in front of the command.
as=()
start_cached()
{
	cached_socket=$work/cache/cached.sock
	"${as[@]}" smr-cached --cache "$work/cache" "$@" 2>> "$work/cached.log" &
	cached_pid=$!
	cleanup_fn stop_process "$cached_pid"
	wait_for 20 cached_answers
}

cached_answers()
{
	if ! kill -0 "$cached_pid" 2> /dev/null; then
		cat "$work/cached.log" >&2
		die "the daemon ended before it answered"
	fi
	ask status > /dev/null 2>&1
}

# ask COMMAND ARG...: of the daemon
ask()
{
	smr-cached --socket "$cached_socket" "$@"
}

# status_of FILTER: what jq makes of the daemon's status
status_of()
{
	ask status --json | jq -r "$1"
}

# image_of NAME MEMBER
image_of()
{
	status_of "[.images[] | select(.name == \"$1\")][0].$2"
}

# stop_cached: a clean end; a failure if its status is not 0 (sanitizers report that way).
stop_cached()
{
	local status=0
	kill -TERM "$cached_pid"
	wait "$cached_pid" || status=$?
	[ "$status" -eq 0 ] || { cat "$work/cached.log" >&2; die "the daemon ended with status $status"; }
}

# kill_cached: kill -9
kill_cached()
{
	kill -KILL "$cached_pid"
	wait "$cached_pid" 2> /dev/null || true
}

# make_random_image NAME MIB: publishes an image that shares nothing, in chunks of 64 KiB, from $work/NAME.img in $work/store.
make_random_image()
{
	head -c $(($2 << 20)) /dev/urandom > "$work/$1.img"
	smr -s "$work/store" chunk -q --chunk-size 64K "$work/$1.img"
}
