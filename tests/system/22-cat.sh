#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# smr cat gives back the image: sparse into files, whole into pipes, from a local store and over http; what is not whole
# is not there.
# shellcheck disable=SC2016  # sh -c expands them
. "$(dirname "$0")/functions.sh"
requires_program mke2fs jq

store=$work/store
make_rootfs
make_image "$rootfs" "$work/root.img" 600
smr -s "$store" chunk "$work/root.img" -q
data=$(smr -s "$store" info root --json | jq .data_size)

# It has holes: takes no more of the disk than there is data in the image.
is_sparse()
{
	[ $(($(stat -c %b "$1") * 512)) -le $((data + 1048576)) ] || die "$1 is not sparse"
}

leaves_nothing()
{
	[ -z "$(find "$work" -maxdepth 1 -name "${1##*/}*")" ] || die "something is left of $1"
}

echo "into a file"
smr -s "$store" cat root -o "$work/a.img"
same_bytes "$work/a.img" "$work/root.img"
is_sparse "$work/a.img"
[ "$(stat -c %a "$work/a.img")" = 644 ]

echo "over an existing file, through a link: replaced, its mode kept"
printf 'old' > "$work/old.img"
chmod 600 "$work/old.img"
ln -s old.img "$work/link.img"
exec 5< "$work/old.img"
smr -s "$store" cat root -o "$work/link.img" --json | jq -e '.version == 1 and .name == "root"' > /dev/null
same_bytes "$work/old.img" "$work/root.img"
[ -L "$work/link.img" ]
[ "$(stat -c %a "$work/old.img")" = 600 ]
[ "$(cat <&5)" = old ] || die "a reader of the old file saw it change"

echo "into standard output: a pipe, a new file, behind what is there"
smr -s "$store" cat root | cmp - "$work/root.img"
smr -s "$store" cat root -o - | cmp - "$work/root.img"
smr -s "$store" cat root > "$work/b.img"
same_bytes "$work/b.img" "$work/root.img"
is_sparse "$work/b.img"
{ printf 'front'; smr -s "$store" cat root; printf 'back'; } > "$work/c"
cmp "$work/c" <(printf 'front'; cat "$work/root.img"; printf 'back')
smr -s "$store" cat root >> "$work/b.img"
cmp "$work/b.img" <(cat "$work/root.img" "$work/root.img")
# a file with something behind the position is written in order, zeros and all
head -c 700M /dev/zero | tr '\0' x > "$work/full"
smr -s "$store" cat root 1<> "$work/full"
cmp -n "$(stat -c %s "$work/root.img")" "$work/full" "$work/root.img"
rm "$work/full"

echo "into what is not a file: it stays what it is"
smr -s "$store" cat root -o /dev/null
[ -c /dev/null ]
mkfifo "$work/fifo"
cmp "$work/fifo" "$work/root.img" &
smr -s "$store" cat root -o "$work/fifo"
wait $!

echo "pins"
digest=$(smr -s "$store" info root --json | jq -r .digest)
smr -s "$store" cat "root@sha256:$digest" | cmp - "$work/root.img"
must_fail 'not what was asked for' smr -s "$store" cat "root@sha256:${digest//[0-9a-f]/0}" -o "$work/pin.img"
leaves_nothing "$work/pin.img"

echo "over http"
start_nginx "$store"
smr -s "$nginx_url" cat root | cmp - "$work/root.img"
smr -s "$nginx_url" cat root -o "$work/d.img"
same_bytes "$work/d.img" "$work/root.img"

echo "trouble with the output"
must_fail 'No space left' sh -c 'smr -s "$0" cat root > /dev/full' "$store"
must_fail 'the reader has gone' bash -c 'set -o pipefail; smr -s "$0" cat root | head -c 100000 > /dev/null' "$store"
must_fail 'No such file' smr -s "$store" cat root -o "$work/no/such/dir.img"
must_fail 'Is a directory' smr -s "$store" cat root -o "$work"
if [ "$(id -u)" -eq 0 ]; then
	mkdir "$work/small"
	mount -t tmpfs -o size=20M none "$work/small"
	cleanup_fn umount_if_mounted "$work/small"
	must_fail 'No space left' smr -s "$store" cat root -o "$work/small/x.img"
	[ -z "$(ls -A "$work/small")" ]
	must_fail 'No space left' sh -c 'smr -s "$0" cat root > "$1"' "$store" "$work/small/y.img"
	[ ! -s "$work/small/y.img" ]
fi

echo "trouble with the store: the chunk is named, and nothing is left"
index=$(smr -s "$store" verify --json root | jq '.chunks')
chunk=$(find "$store" -name '*.zst' | sort | sed -n "$((index / 2))p")
id=$(basename "$chunk" .zst)
mv "$chunk" "$work/kept"
for url in "$store" "$nginx_url"; do
	must_fail "(${id:0:4}…${id: -4}) is missing" smr -s "$url" cat root -o "$work/e.img"
	leaves_nothing "$work/e.img"
	must_fail "(${id:0:4}…${id: -4}) is missing" sh -c 'smr -s "$0" cat root > "$1"' "$url" "$work/f.img"
	[ ! -s "$work/f.img" ]
	must_fail "(${id:0:4}…${id: -4}) is missing" sh -c 'smr -s "$0" cat root | cat > /dev/null; exit 1' "$url"
done
head -c 100 "$work/kept" > "$chunk"
must_fail "(${id:0:4}…${id: -4}) is damaged" smr -s "$store" cat root -o "$work/e.img"
leaves_nothing "$work/e.img"
must_fail 'no image nothing' smr -s "$store" cat nothing
