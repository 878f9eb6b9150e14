#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A store that does not answer: commands can be interrupted at once, and say in the end what is wrong. One that answers
# late is asked for many chunks at a time.
. "$(dirname "$0")/functions.sh"
requires_program mke2fs jq

make_rootfs
make_image "$rootfs/usr/bin" "$work/bin.img"
smr -s "$work/store" chunk "$work/bin.img" -q
n=$(smr -s "$work/store" info bin --json | jq .chunks)
start_origin "$work/store"

echo "100 ms for every chunk: not one after the other"
origin_fault delay '/chunks/' ms=100
start=$(now_ms)
smr -s "$origin_url" cat bin | cmp - "$work/bin.img"
took=$(($(now_ms) - start))
[ "$took" -lt $((n * 100 / 4)) ] || die "$n chunks took $took ms"
origin_do clear

echo "an origin that stalls can be left"
origin_fault stall '/chunks/'
for pair in INT:130 TERM:143; do
	for what in "cat bin -o $work/out.img" 'verify --data' 'verify'; do
		# shellcheck disable=SC2086  # words
		env --default-signal=INT smr -s "$origin_url" $what > "$work/out" 2> "$work/err" &
		pid=$!
		sleep 1
		kill "-${pair%:*}" "$pid"
		start=$(now_ms)
		status=0
		wait "$pid" || status=$?
		took=$(($(now_ms) - start))
		[ "$status" -eq "${pair#*:}" ] || die "smr $what ends with $status: $(cat "$work/err")"
		[ "$took" -lt 2000 ] || die "smr $what took $took ms to end"
		grep -q 'interrupted' "$work/err"
		[ "$(wc -l < "$work/err")" -eq 1 ]
		[ -z "$(find "$work" -name 'out.img*')" ]
	done
done
origin_do clear

echo "one that is gone is named"
origin_do down
must_fail "${origin_url#http://}" smr -s "$origin_url" ls
must_fail "${origin_url#http://}" smr -s "$origin_url" verify
