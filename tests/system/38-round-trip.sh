#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Mounting an image of `smr add` and walking its whole tree costs about one round trip to the origin: the first read brings all
# of the metadata, together, and no data. An image that smr did not make is walked too, a chunk at a time, each once.
# alone
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_loop
requires_program mke2fs

# 2,000 files in 100 folders, with what needs blocks of its own; the files' data are 32 MB.
mkdir "$work/tree"
head -c 16384 /dev/urandom > "$work/content"
for ((i = 0; i < 100; i++)); do
	mkdir "$work/tree/folder-$i"
	for ((j = 0; j < 20; j++)); do
		{ echo "$i $j"; cat "$work/content"; } > "$work/tree/folder-$i/file-$j"
	done
	ln -s "$(printf 'x%.0s' {1..200})" "$work/tree/folder-$i/link"
done
smr -s "$work/store" add --chunk-size 128K --name app "dir:$work/tree"
make_image "$work/tree" "$work/foreign.img"
smr -s "$work/store" chunk "$work/foreign.img"

# metadata_chunks NAME: different stored chunks in the region that the recipe names.
metadata_chunks()
{
	smr -s "$work/store" cat -o "$work/$1.img" "$1"
	smr -s "$work/store" --json info "$1" | jq .metadata_end | {
		read -r end
		python3 - "$work/$1.img" "$end" <<-'END'
			import sys
			size = 131072
			region = open(sys.argv[1], "rb").read(int(sys.argv[2]))
			chunks = {region[at:at + size] for at in range(0, len(region), size)}
			print(len(chunks - {bytes(size)}))
		END
	}
}
expected=$(metadata_chunks app)
[ "$expected" -ge 8 ] || die "only $expected chunks of metadata prove nothing"

# walk NAME: mounts it, lists it, and sets took (ms).
walk()
{
	local start
	start=$(now_ms)
	mount_ext4 "$work/mnt/$1.img" "$work/root"
	ls -lR "$work/root" > "$work/list.$1"
	took=$(($(now_ms) - start))
	umount_ext4 "$work/root" "$loop"
}

requested()
{
	curl -fsS "$origin_control/log" | jq -r '.[] | select(.path | test("/chunks/")) | .path' | sort
}

# one_round_trip FIRST-CHUNKS: what is in the log is that many chunks, each once, asked for before the first was answered.
one_round_trip()
{
	local n spread
	requested > "$work/requested"
	n=$(wc -l < "$work/requested")
	[ "$n" -eq "$1" ] || die "$n chunks were fetched, not the $1 of the metadata"
	[ -z "$(uniq -d "$work/requested")" ] || die "some were fetched twice: $(uniq -d "$work/requested")"
	spread=$(curl -fsS "$origin_control/log" |
		jq '[.[] | select(.path | test("/chunks/")) | .t] | (max - min) * 1000 | floor')
	[ "$spread" -lt "$delay" ] || die "the last was asked for $spread ms after the first; a round trip is $delay ms"
}

delay=1000
start_origin "$work/store"
mount_smrfs "$origin_url" "$work/mnt"
stat "$work/mnt/app.img" "$work/mnt/foreign.img" > /dev/null
origin_fault delay /chunks/ ms=$delay
origin_do reset

walk app
[ "$(grep -c ' file-' "$work/list.app")" -eq 2000 ] || die "not all files were listed"
one_round_trip "$expected"
[ -n "${SANITIZE-}" ] || [ "$took" -lt $((delay * 2)) ] || die "mounting and listing took $took ms; a round trip is $delay ms"

echo "again, with an empty cache, while the first answer fails"
umount_smrfs "$work/mnt"
rm -rf "$work/cache"
origin_do clear
mount_smrfs "$origin_url" "$work/mnt" -o timeout=1
stat "$work/mnt/app.img" > /dev/null
origin_fault status /chunks/ status=404
if head -c 4096 "$work/mnt/app.img" > /dev/null 2>&1; then
	die "read what is not there"
fi
origin_do clear
origin_fault delay /chunks/ ms=$((delay / 2))
sleep 1.1
origin_do reset
delay=$((delay / 2)) walk app
delay=$((delay / 2)) one_round_trip "$expected"

echo "an image from elsewhere"
origin_do clear
origin_do reset
walk foreign
[ "$(grep -c ' file-' "$work/list.foreign")" -eq 2000 ] || die "not all files were listed"
[ -z "$(requested | uniq -d)" ] || die "some were fetched twice"
umount_smrfs "$work/mnt"
