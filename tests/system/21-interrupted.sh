#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Killed at any moment, a publisher leaves no image that names a missing chunk, and the next run ends in the same bytes.
# A signal that can be caught is answered by a message, the right status, and nothing half done.
. "$(dirname "$0")/functions.sh"
requires_program mke2fs

# Slow enough to be killed in the middle.
slowly=(--level 12)

# Files of a store, without what belongs to a running publisher, and without the hint for listings, which has times in it.
contents()
{
	(cd "$1" && find . -type f ! -path './tmp/*' ! -name index.json -exec sha256sum {} + | sort -k2)
}

# No image, or one that has all its chunks.
assert_consistent()
{
	[ ! -e "$work/store/smr-store.json" ] || smr -s "$work/store" verify --data -q
	[ -z "$(find "$work/store" -name '*.zst' -size 0 2> /dev/null)" ]
}

make_rootfs
make_image "$rootfs" "$work/root.img"
start=$(now_ms)
smr -s "$work/whole" chunk "${slowly[@]}" "$work/root.img" -q
took=$(($(now_ms) - start))
contents "$work/whole" > "$work/whole.txt"

echo "kill -9 at a random moment of $took ms"
from_nothing()
{
	assert_consistent
	rm -rf "$work/store"
}
for ((i = 0; i < 12; i++)); do
	[ $((i % 4)) -ne 0 ] || rm -rf "$work/store"
	signal_in_time "$took" $RANDOM 32768 KILL:137 from_nothing smr -s "$work/store" chunk "${slowly[@]}" "$work/root.img"
	assert_consistent
done
smr -s "$work/store" chunk "${slowly[@]}" "$work/root.img" -q
contents "$work/store" | diff "$work/whole.txt" -

# chunks FOLDER: how many are in it
chunks()
{
	find "$1" -name '*.zst' 2> /dev/null | wc -l
}

has_chunks()
{
	[ "$(chunks "$work/store")" -gt 0 ]
}

echo "signals"
for pair in INT:130 TERM:143 HUP:129; do
	rm -rf "$work/store"
	env --default-signal=INT,HUP smr -s "$work/store" chunk "${slowly[@]}" "$work/root.img" > "$work/out" 2> "$work/err" &
	pid=$!
	wait_for 60 has_chunks
	kill "-${pair%:*}" "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq "${pair#*:}" ] || die "SIG${pair%:*} ends it with $status"
	grep -q 'the same command continues' "$work/err"
	[ ! -s "$work/out" ]
	[ -z "$(find "$work/store" -name '*.recipe')" ]
	# what was done is kept
	kept=$(chunks "$work/store")
	[ "$kept" -gt 0 ] || die "an interrupted run left nothing to continue from"
	[ "$kept" -lt "$(chunks "$work/whole")" ] || die "nothing was left to do"
	must_say "; $kept already here" smr -s "$work/store" chunk "${slowly[@]}" "$work/root.img"
	contents "$work/store" | diff "$work/whole.txt" -
done

echo "nohup is obeyed"
rm -rf "$work/store"
(
	trap '' INT
	exec smr -s "$work/store" chunk "${slowly[@]}" "$work/root.img"
) > /dev/null &
pid=$!
sleep 0.1
kill -INT "$pid"
wait "$pid"

echo "cat -o"
signal_after 0.02 TERM smr -s "$work/store" cat root -o "$work/out.img"
if [ "$status" -ne 0 ]; then
	[ "$status" -eq 143 ]
	[ -z "$(find "$work" -maxdepth 1 -name 'out.img*')" ] || die "cat left something behind"
fi

echo "cat into a pipe that nobody reads"
mkfifo "$work/fifo"
exec 6<> "$work/fifo"
smr -s "$work/store" cat root > "$work/fifo" &
pid=$!
sleep 0.3
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
[ "$status" -eq 143 ]
