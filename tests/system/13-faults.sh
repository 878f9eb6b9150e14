#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# An origin that fails: the reader gets the right bytes after a second try, or EIO by the deadline; never wrong bytes and never
# a hang. What is in the cache is read as ever meanwhile, and the first read after the origin has recovered succeeds.
. "$(dirname "$0")/functions.sh"
requires_fuse

# one chunk for each case, and one that is warm
truncate -s 64M "$work/x.img"
dd if=/dev/urandom of="$work/x.img" bs=1M count=64 conv=notrunc status=none
smr -s "$work/store" chunk "$work/x.img"
start_origin "$work/store"
mount_smrfs "$origin_url" "$work/mnt" -o timeout=3

# read_chunk N: 64 KiB of it, compared when the read succeeds
read_chunk()
{
	dd if="$work/mnt/x.img" of="$work/got" bs=64k count=1 skip=$(($1 * 8)) iflag=direct status=none 2> "$work/dd.err" || return 1
	cmp "$work/got" <(dd if="$work/x.img" bs=64k count=1 skip=$(($1 * 8)) status=none) || die "wrong bytes of chunk $1"
}

expect_eio()
{
	within 5 read_chunk_status "$1" && die "chunk $1 was read in spite of: $2"
	grep -q 'Input/output error' "$work/dd.err" || die "not EIO: $(cat "$work/dd.err")"
}

read_chunk_status()
{
	read_chunk "$1"
}

# `within` runs commands by timeout(1), which knows no functions
within()
{
	local limit=$1 start status=0 took
	shift
	start=$(now_ms)
	"$@" || status=$?
	took=$(($(now_ms) - start))
	[ "$took" -le $((limit * 1000)) ] || die "took $took ms instead of at most $limit s: $*"
	return "$status"
}

warm()
{
	within 1 read_chunk 0 || die "a warm read failed during: $1"
}

read_chunk 0
chunk=2

# These pass by themselves: one bad answer, then a good one.
for mode in truncated short long empty bitflip wrong reset drop garbage 'status status=503 retry_after=1' 'status status=500' 'status status=429'; do
	echo "once: $mode"
	# shellcheck disable=SC2086  # the mode may come with parameters
	set -- $mode
	origin_fault "$1" /chunks/ count=1 "${@:2}"
	within 5 read_chunk $chunk || die "no second try after: $mode"
	warm "$mode"
	chunk=$((chunk + 2))
done

# These last: EIO by the deadline, and recovery.
for mode in stall stall-body drip truncated bitflip wrong short 'status status=503 retry_after=1' 'status status=503 retry_after=100' 'status status=404' 'status status=403'; do
	echo "lasting: $mode"
	# shellcheck disable=SC2086
	set -- $mode
	origin_fault "$1" /chunks/ "${@:2}"
	expect_eio $chunk "$mode"
	warm "$mode"
	origin_do clear
	within 4 read_chunk $chunk || die "no recovery after: $mode"
	chunk=$((chunk + 2))
done

echo "down"
origin_do down
expect_eio $chunk down
warm down
ls "$work/mnt" > /dev/null
origin_do up
within 4 read_chunk $chunk || die "no recovery after: down"

echo "back before the deadline"
chunk=$((chunk + 2))
origin_do down
(sleep 1; origin_do up) &
within 4 read_chunk $chunk || die "the origin came back in time, but the read failed"
wait $!

# everything that was read above has become right
"$here/readcheck.py" sequential "$work/mnt/x.img" "$work/x.img"
for kind in 'is missing' 'has wrong bytes'; do
	grep -q "$kind" "$work/smrfs.log" || die "the log has no line about a chunk that $kind"
done
umount_smrfs "$work/mnt"
