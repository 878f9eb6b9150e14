#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Ended at any moment by Ctrl-C, SIGTERM, SIGHUP or kill -9, and refused for what is in the last layer: build and add leave no image,
# no temporary file and no name in the store; what was there before stays as it was; the next run gives the same as ever.
. "$(dirname "$0")/functions.sh"
requires_program jq zstd

make_rootfs
mkdir "$work/out" "$work/tmp" "$work/tree"
cp -a "$rootfs"/usr/{bin,sbin} "$work/tree"
tar -C "$work/tree" --sort=name -cf "$work/good.tar" .
gzip -1 < "$work/good.tar" > "$work/good.tar.gz"
export TMPDIR=$work/tmp
image=$work/out/x.img
said=$work/signalled.err
source=tar:$work/good.tar.gz

# Nothing but what is named is in the folders.
assert_left()
{
	find "$work/out" "$work/tmp" -mindepth 1 ! -path "$work/out/x.img" > "$work/left"
	[ ! -s "$work/left" ] || die "left behind $1: $(cat "$work/left")"
}

# What a build or an add that was not stopped in time has left is as it should be, and taken away.
undo_build()
{
	same_bytes "$work/whole.img" "$image"
	rm -f "$image"
	assert_left "by a whole build"
}

undo_add()
{
	smr -q -s "$work/store" verify --data
	rm -rf "$work/store"
	assert_left "by a whole add"
}

start=$(now_ms)
smr -q build "$source" -o "$work/whole.img"
took_build=$(($(now_ms) - start))
start=$(now_ms)
smr -q -s "$work/whole" add -j 1 --name x "$source"
took_add=$(($(now_ms) - start))
want=$(smr --json -s "$work/whole" info x | jq -r .digest)

echo "build, $took_build ms"
for signal in INT:130 TERM:143 HUP:129 KILL:137; do
	for k in 1 2 3 4; do
		signal_in_time "$took_build" $k 5 "$signal" undo_build smr build "$source" -o "$image"
		# A signal may come when all is done: then it kills, and the image is whole.
		if [ -e "$image" ]; then
			same_bytes "$work/whole.img" "$image"
			! grep -q 'nothing was written' "$said" || die "something was written"
		else
			[ "$signal" = KILL:137 ] || grep -q 'nothing was written' "$said" || die "it says: $(cat "$said")"
		fi
		rm -f "$image"
		assert_left "by SIG${signal%:*}"
	done
done

echo "an image that was there stays"
make_precious()
{
	echo precious > "$image"
}
make_precious
chmod 640 "$image"
signal_in_time "$took_build" 1 2 TERM:143 make_precious smr build "$source" -o "$image"
if grep -q 'nothing was written' "$said"; then
	[ "$(cat "$image")" = precious ] || die "it was replaced"
else
	same_bytes "$work/whole.img" "$image"
fi
make_precious
head -c 1000000 "$work/good.tar" > "$work/cut.tar"
must_fail 'cut off' smr build "tar:$work/cut.tar" -o "$image"
[ "$(cat "$image")" = precious ] || die "it was replaced"
ln -s "$image" "$work/link.img"
smr -q build "$source" -o "$work/link.img"
[ -L "$work/link.img" ] && same_bytes "$work/whole.img" "$image"
[ "$(stat -c %a "$image")" = 640 ] || die "it has another mode now"
rm "$image"
assert_left "by replacing"
must_fail 'no regular file' smr build "$source" -o /dev/null
must_fail 'cannot write' smr build "$source" -o "$work/nowhere/x.img"

echo "add, $took_add ms"
for signal in INT:130 TERM:143 HUP:129 KILL:137; do
	rm -rf "$work/store"
	for k in 1 2 3 4; do
		signal_in_time "$took_add" $k 5 "$signal" undo_add smr -s "$work/store" add -j 1 --name x "$source"
		names=$([ ! -e "$work/store/smr-store.json" ] || smr --json -s "$work/store" ls | jq -r '.images[].name')
		if [ -n "$names" ]; then
			smr -q -s "$work/store" verify --data
			! grep -q 'nothing was published' "$said" || die "$names was published"
			rm -rf "$work/store"
		else
			[ "$signal" = KILL:137 ] || grep -q 'nothing was published' "$said" || die "it says: $(cat "$said")"
		fi
		assert_left "by SIG${signal%:*}"
	done
	smr -q -s "$work/store" add --name x "$source"
	smr -q -s "$work/store" verify --data
	[ "$(smr --json -s "$work/store" info x | jq -r .digest)" = "$want" ] || die "another image after SIG${signal%:*}"
	[ -z "$(find "$work/store/tmp" -type f -size +0 2> /dev/null)" ] || die "the next run did not sweep"
done

echo "refused for its end"
cat "$work/good.tar" > "$work/bad.tar"
printf x | dd of="$work/bad.tar" bs=1 seek=$(($(stat -c %s "$work/bad.tar") - 1)) conv=notrunc status=none
rm -rf "$work/store"
must_fail 'behind the end' smr -s "$work/store" add --name x "tar:$work/bad.tar"
must_fail 'behind the end' smr build "tar:$work/bad.tar" -o "$image"
[ ! -e "$image" ] && [ -z "$(find "$work/store" -name '*.recipe' -o -name '*.zst')" ] || die "something is there"
assert_left "by a refusal"
