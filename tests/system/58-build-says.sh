#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What build and add say: on a terminal a line for each of merge, write and publish, with bytes and rate; then a summary of layers, files,
# image, and chunks that are new and shared; the same as JSON. -q says nothing.
. "$(dirname "$0")/functions.sh"
requires_program script jq

make_rootfs
mkdir -p "$work/tree/usr"
cp -a "$rootfs/usr/bin" "$rootfs/usr/lib" "$work/tree/usr"
# Nothing is shown in the first second: zeros take gzip long, and the image no room.
truncate -s 1500M "$work/tree/zeros"
tar -C "$work/tree" --sort=name -cf - . | gzip -1 > "$work/x.tar.gz"
n_files=$(($(find "$work/tree" -mindepth 1 | wc -l)))

# on_terminal COMMAND: what the terminal was sent, a drawing a line, into $work/lines
on_terminal()
{
	TERM=xterm script -qefc "stty cols 80; $1" /dev/null < /dev/null > "$work/typescript"
	tr '\r' '\n' < "$work/typescript" | sed 's/\x1b\[[0-9]*m//g; s/\x1b\[K$//' > "$work/lines"
}

drawn()
{
	grep -aqE "^  $1 .* [0-9.]+ [kMG]?B  [0-9.]+ [kMG]?B/s\$" "$work/lines" || { cat -v "$work/lines" | tail -n 30; die "no line of $1"; }
}

echo "build"
on_terminal "smr build --max-ratio 5000 tar:$work/x.tar.gz -o $work/x.img"
drawn merge
grep -aqE '^  layers  1, [0-9,]+ files' "$work/lines" || die "no layers"
grep -aqE '^  image   [0-9.]+ MB \([0-9.]+ MB data\), ext4 layout 1' "$work/lines" || die "no image"
smr --json build --max-ratio 5000 "tar:$work/x.tar.gz" -o "$work/x.img" > "$work/json"
jq -e --argjson n "$n_files" --argjson s "$(stat -c %s "$work/x.img")" \
	'.version == 1 and .layers == 1 and .entries == $n and .image_size == $s and .file_bytes > 1000000' "$work/json" > /dev/null ||
	{ cat "$work/json"; die "JSON of build"; }

echo "add"
on_terminal "smr -s $work/store add --max-ratio 5000 -j 1 --level 12 tar:$work/x.tar.gz"
drawn merge
drawn publish
grep -aqE '^  chunks  [0-9,]+: [0-9,]+ new, [0-9.]+ MB stored' "$work/lines" || die "no chunks"
rm "$work/tree/zeros"
mkdir "$work/tree/srv"
echo x > "$work/tree/srv/file"
tar -C "$work/tree" --sort=name -cf "$work/y.tar" .
smr -s "$work/store" add "tar:$work/y.tar" > "$work/said"
grep -qE '^  chunks  [0-9,]+: [0-9,]+ new, [0-9.]+ [kM]?B stored; [0-9,]+ already here, [0-9.]+ MB' "$work/said" || die "$(cat "$work/said")"
smr -s "$work/store" --json add --name z "tar:$work/y.tar" > "$work/json"
jq -e '.new_chunks == 0 and .shared_chunks == .distinct_chunks and .shared_bytes == .shared_chunks * .chunk_size and .layers == 1' \
	"$work/json" > /dev/null || { cat "$work/json"; die "JSON of add"; }

echo "silence"
on_terminal "smr -q -s $work/store2 add tar:$work/y.tar"
[ ! -s "$work/typescript" ] || die "-q says $(cat "$work/typescript")"
smr -s "$work/store2" add --name other "tar:$work/y.tar" 2> "$work/err" > /dev/null
[ ! -s "$work/err" ] || die "progress without a terminal"
