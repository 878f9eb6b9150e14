#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# An image depends on the tree alone. Bit-identical: again, other -j, clock, zone, locale, umask, folder and temporary folder, other
# compression, other order of layers and of members. Another mtime everywhere changes metadata chunks and nothing else.
. "$(dirname "$0")/functions.sh"
requires_program jq zstd umoci python3

make_rootfs
mkdir -p "$work/tree/usr/lib"
cp -a "$rootfs"/usr/{bin,sbin} "$work/tree/usr"
cp -a "$rootfs"/usr/lib/python3* "$work/tree/usr/lib"
cp -a "$rootfs/etc" "$work/tree"
# chunk_ids IMAGE: "INDEX ID" of what is not zeros, as the store names it
chunk_ids()
{
	python3 - "$1" <<-'END'
		import hashlib, sys
		with open(sys.argv[1], 'rb') as f:
		    for i, chunk in enumerate(iter(lambda: f.read(512 << 10), b'')):
		        if chunk.strip(b'\0'):
		            print(f'{i:09}', hashlib.sha256(chunk).hexdigest())
	END
}

echo "one archive, every circumstance"
tar -C "$work/tree" --sort=name -cf "$work/a.tar" .
smr -q build "tar:$work/a.tar" -o "$work/a.img"
# same_image [VARIABLE=VALUE...] [--] SOURCE
same_image()
{
	rm -f "$work/b.img"
	env "${@:1:$#-1}" smr -q build "${!#}" -o "$work/b.img"
	cmp "$work/a.img" "$work/b.img" || die "not the same: $*"
}
same_image "tar:$work/a.tar"
mkdir "$work/elsewhere"
(cd "$work/elsewhere" && umask 077 && same_image TZ=Pacific/Chatham LC_ALL=C.UTF-8 LANG=de_DE.UTF-8 TMPDIR="$work/elsewhere" tar:../a.tar)
[ "$(stat -c %a "$work/b.img")" = 600 ] || die "the umask is not obeyed"
gzip -9 < "$work/a.tar" > "$work/9.tar.gz"
gzip -1 < "$work/a.tar" > "$work/1.tar.gz"
zstd -q -3 < "$work/a.tar" > "$work/3.tar.zst"
zstd -q -12 --long=27 < "$work/a.tar" > "$work/12.tar.zst"
split -b 10M "$work/a.tar" "$work/part."
for part in "$work"/part.*; do
	gzip -3 < "$part"
done > "$work/members.tar.gz"
rm "$work"/part.*
for form in 9.tar.gz 1.tar.gz 3.tar.zst 12.tar.zst members.tar.gz; do
	same_image "tar:$work/$form"
	rm "$work/$form"
done
if unshare --time true 2> /dev/null; then
	unshare --time --boottime 100000000 --monotonic 100000000 smr -q build "tar:$work/a.tar" -o "$work/b.img"
	same_bytes "$work/a.img" "$work/b.img"
fi
if [ -z "${SANITIZE-}" ] && command -v faketime > /dev/null; then # its library and theirs get in each other's way
	faketime '2031-07-08 09:10:11' smr -q build "tar:$work/a.tar" -o "$work/b.img"
	same_bytes "$work/a.img" "$work/b.img"
fi

echo "one tree, archived in other ways"
tar -C "$work/tree" --sort=none --format=gnu -cf "$work/gnu.tar" etc usr --no-recursion .
(cd "$work/tree" && find . -depth -print0 | sort -zr | tar --null --no-recursion -T - --format=pax --pax-option=delete=atime,delete=ctime -cf "$work/pax.tar")
smr -q build "tar:$work/gnu.tar" -o "$work/b.img"
# gnu has no nanoseconds, nor has the archive above
same_bytes "$work/a.img" "$work/b.img"
smr -q build "tar:$work/pax.tar" -o "$work/pax.img"
smr -q build "dir:$work/tree" -o "$work/b.img"
same_bytes "$work/pax.img" "$work/b.img"
rm "$work"/gnu.tar "$work"/pax.tar "$work"/pax.img

echo "any number of threads, any level: one recipe, one set of chunks"
for j in 1 2 7; do
	smr -q -s "$work/store-$j" add -j $j --level $((j + 1)) --name x "tar:$work/a.tar"
	(cd "$work/store-$j" && find . -name '*.zst' -printf '%f\n' | sort) > "$work/chunks-$j"
done
for j in 2 7; do
	cmp "$work/chunks-1" "$work/chunks-$j"
	cmp "$(find "$work/store-1" -name x.recipe)" "$(find "$work/store-$j" -name x.recipe)"
	rm -rf "$work/store-$j"
done
smr -q -s "$work/store-1" cat -o "$work/b.img" x
same_bytes "$work/a.img" "$work/b.img"

echo "layers in another order, where the tree is the same"
mkdir -p "$work/one/opt/one" "$work/two/opt/two"
cp -a "$rootfs/usr/bin" "$work/one/opt/one"
cp -a "$rootfs/usr/lib/python3" "$work/two/opt/two" 2> /dev/null || cp -a "$rootfs/usr/share" "$work/two/opt/two"
touch -d @1000000000 "$work/one" "$work/one/opt" "$work/two" "$work/two/opt"
for order in "one two" "two one"; do
	umoci init --layout "$work/${order// /-}"
	umoci new --image "$work/${order// /-}:x"
	for part in $order; do
		tar -C "$work/$part" --sort=name -cf "$work/part.tar" .
		umoci raw add-layer --image "$work/${order// /-}:x" "$work/part.tar" > /dev/null
	done
	smr -q build "oci:$work/${order// /-}:x" -o "$work/${order// /-}.img"
done
same_bytes "$work/one-two.img" "$work/two-one.img"

echo "new mtimes everywhere"
find "$work/tree" -exec touch -h -d '2033-03-03 03:03:03' {} +
tar -C "$work/tree" --sort=name -cf "$work/new.tar" .
meta_end=$(smr --json build "tar:$work/new.tar" -o "$work/new.img" | jq .metadata_end)
chunk_ids "$work/a.img" > "$work/ids.a"
chunk_ids "$work/new.img" > "$work/ids.new"
join "$work/ids.a" "$work/ids.new" | awk '$2 != $3 { print $1 + 0 }' > "$work/changed"
# these are the ids indeed
cut -d' ' -f2 "$work/ids.a" | sort -u | sed 's/$/.zst/' | cmp - "$work/chunks-1"
[ -s "$work/changed" ] || die "nothing changed"
[ "$(wc -l < "$work/ids.a")" -eq "$(wc -l < "$work/ids.new")" ] || die "another number of chunks"
last=$(tail -n 1 "$work/changed")
echo "$(wc -l < "$work/changed") of $(wc -l < "$work/ids.a") chunks changed, the last is $last; the metadata ends before $((meta_end >> 19))"
[ "$last" -lt $((meta_end >> 19)) ] || die "chunk $last holds file contents"
