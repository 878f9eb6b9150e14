#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A read fetches what it touches and no more, and what many read at once is fetched once.
. "$(dirname "$0")/functions.sh"
requires_fuse

truncate -s 64M "$work/x.img"
dd if=/dev/urandom of="$work/x.img" bs=1M seek=8 count=40 conv=notrunc status=none
smr -s "$work/store" chunk "$work/x.img"
start_origin "$work/store"
mount_smrfs "$origin_url" "$work/mnt"

expect_fetched()
{
	local n
	n=$(origin_requests /chunks/)
	[ "$n" -eq "$1" ] || die "$2: $n chunks were fetched, not $1"
}

dd if="$work/mnt/x.img" of="$work/out" bs=4k count=1 skip=1024 status=none
cmp -n 4096 "$work/out" /dev/zero
expect_fetched 0 "4 KiB of a hole"

dd if="$work/mnt/x.img" of="$work/out" bs=4k count=1 skip=$((10 * 256 + 3)) status=none
cmp "$work/out" <(dd if="$work/x.img" bs=4k count=1 skip=$((10 * 256 + 3)) status=none)
expect_fetched 1 "4 KiB of data"

origin_fault delay /chunks/ ms=300
"$here/readcheck.py" same-chunk "$work/mnt/x.img" "$work/x.img" $((20 << 20))
# together they look like one sequential reader, so the next chunks are fetched as well; but each once
nothing_in_flight()
{
	[ "$(origin_stat in_flight)" = 0 ]
}
wait_for 10 nothing_in_flight
curl -fsS "$origin_control/log" | jq -r '.[].path' | grep /chunks/ | sort | uniq -d > "$work/twice"
[ ! -s "$work/twice" ] || { cat "$work/twice"; die "these chunks were fetched more than once"; }
umount_smrfs "$work/mnt"
