#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# smr verify finds what is missing, damaged or left over, says where, and ends with 1; --repair puts it right.
. "$(dirname "$0")/functions.sh"
requires_program mke2fs jq

store=$work/store
make_rootfs
make_image "$rootfs/usr/lib" "$work/lib.img"
make_image "$rootfs/usr/bin" "$work/bin.img"
smr -s "$store" chunk "$work/lib.img" -q
smr -s "$store" chunk "$work/bin.img" -q

# chunk_of IMAGE N: the N-th of the image's chunks that no other image has, as its file. Sets chunk, id and index.
chunk_of()
{
	local other=lib
	[ "$1" != lib ] || other=bin
	smr -s "$store" verify --json "$other" > /dev/null
	python3 - "$store/roots/r1/recipes/$1.recipe" "$store/roots/r1/recipes/$other.recipe" "$2" > "$work/chunk" <<-'END'
		import struct, sys
		def table(path):
		    data = open(path, "rb").read()
		    at, n = struct.unpack_from("<QQ", data, 64)
		    return [(struct.unpack_from("<I", data, at + 40 * i)[0], data[at + 40 * i + 8:at + 40 * i + 40].hex())
		            for i in range(n)]
		others = {i for _, i in table(sys.argv[2])}
		own = [e for e in table(sys.argv[1]) if e[1] not in others]
		print(*own[int(sys.argv[3])])
	END
	read -r index id < "$work/chunk"
	chunk=$(find "$store" -name "$id.zst")
	[ -n "$chunk" ]
}

short()
{
	echo "(${1:0:4}…${1: -4})"
}

# expect STATUS COMMAND...: standard output and error into $work/out.
expect()
{
	local want=$1 status=0
	shift
	"$@" > "$work/out" 2>&1 || status=$?
	[ "$status" -eq "$want" ] || die "status $status instead of $want: $*: $(cat "$work/out")"
}

echo "all is well"
expect 0 smr -s "$store" verify
grep -q '^2 images, .* chunks, .*: all there$' "$work/out"
expect 0 smr -s "$store" verify --data
grep -q 'all there and intact' "$work/out"
expect 0 smr -s "$store" verify lib
expect 0 smr -s "$store" verify -q
[ ! -s "$work/out" ]
smr -s "$store" verify --json | jq -e '.version == 1 and .damaged_images == 0 and .unreferenced_chunks == 0
	and (.images | length) == 2' > /dev/null

echo "missing"
chunk_of lib 3
cp "$chunk" "$work/kept"
rm "$chunk"
expect 1 smr -s "$store" verify
grep -qxF "smr: $store: lib: chunk $index $(short "$id") is missing" "$work/out"
grep -q '^smr: 1 of 2 images is damaged; ' "$work/out"
expect 0 smr -s "$store" verify bin
smr -s "$store" verify --json > "$work/json" || true
jq -e --argjson n "$index" --arg id "$id" '.damaged_images == 1
	and (.images[] | select(.name == "lib") | .damaged and .damaged_chunks == [{"chunk": $n, "id": $id, "state": "missing"}])
	and (.images[] | select(.name == "bin") | .damaged | not)' "$work/json" > /dev/null
must_say ': 1 new' smr -s "$store" chunk "$work/lib.img"
cmp "$chunk" "$work/kept"
expect 0 smr -s "$store" verify --data

echo "damaged: a flipped bit, a truncated object, another chunk's bytes, none at all"
for damage in flip truncate swap append; do
	chunk_of lib 5
	cp "$chunk" "$work/kept"
	case $damage in
	flip) printf '\xff' | dd of="$chunk" bs=1 seek=$(($(stat -c %s "$chunk") / 2)) conv=notrunc status=none ;;
	truncate) truncate -s -1 "$chunk" ;;
	swap) cp "$(find "$store" -name '*.zst' ! -name "$id.zst" -print -quit)" "$chunk" ;;
	append) printf 'x' >> "$chunk" ;;
	esac
	cmp -s "$chunk" "$work/kept" && die "not damaged"
	expect 0 smr -s "$store" verify
	expect 1 smr -s "$store" verify --data
	grep -qxF "smr: $store: lib: chunk $index $(short "$id") is damaged" "$work/out"
	must_say '1 repaired' smr -s "$store" chunk --repair "$work/lib.img"
	expect 0 smr -s "$store" verify --data
done

echo "a shared chunk damages both images, many chunks are told in short"
mkdir "$work/away"
find "$store" -name '*.zst' | sort | sed -n '1,60p' | xargs mv -t "$work/away"
expect 1 smr -s "$store" verify
grep -q 'more chunks (--json has them all)' "$work/out"
[ "$(wc -l < "$work/out")" -le 25 ]
grep -q '^smr: 2 of 2 images are damaged' "$work/out"
smr -s "$store" chunk "$work/lib.img" -q
smr -s "$store" chunk "$work/bin.img" -q
expect 0 smr -s "$store" verify --data

echo "damaged recipes"
recipe=$store/roots/r1/recipes/bin.recipe
cp "$recipe" "$work/recipe"
for at in 0 300 30; do
	printf '\xff\xff\xff' | dd of="$recipe" bs=1 seek=$at conv=notrunc status=none
	expect 1 smr -s "$store" verify
	grep -q 'bin.recipe' "$work/out"
	grep -q '^smr: 1 of 2 images is damaged' "$work/out"
	cp "$work/recipe" "$recipe"
done
: > "$recipe"
expect 1 smr -s "$store" verify
cp "$work/recipe" "$recipe"

echo "against the plain image"
expect 0 smr -s "$store" verify lib --against "$work/lib.img"
cp "$work/lib.img" "$work/x.img"
printf '\x01' | dd of="$work/x.img" bs=1 seek=1234567 conv=notrunc status=none
expect 1 smr -s "$store" verify lib --against "$work/x.img"
grep -q 'in 1 chunk, first at byte 1234567$' "$work/out"
smr -s "$store" verify lib --against "$work/x.img" --json > "$work/json" || true
jq -e '.same == false and .first_difference == 1234567 and .different_chunks == 1' "$work/json" > /dev/null
# in a hole of the image
truncate -s 20M "$work/h.img"
printf 'data' | dd of="$work/h.img" bs=1 conv=notrunc status=none
smr -s "$store" chunk "$work/h.img" -q
expect 0 smr -s "$store" verify h --against "$work/h.img"
printf '\x01' | dd of="$work/h.img" bs=1 seek=15000000 conv=notrunc status=none
expect 1 smr -s "$store" verify h --against "$work/h.img"
grep -q 'first at byte 15000000$' "$work/out"
truncate -s 15000000 "$work/h.img"
expect 1 smr -s "$store" verify h --against "$work/h.img"
grep -q 'h has 20971520 bytes' "$work/out"
expect 2 smr -s "$store" verify --against "$work/lib.img"
expect 2 smr -s "$store" verify lib bin --against "$work/lib.img"

echo "left over"
smr -s "$store" rm h -q
expect 0 smr -s "$store" verify
grep -q '^1 chunk, .* in no image$' "$work/out"

echo "over http"
start_nginx "$store"
expect 0 smr -s "$nginx_url" verify
grep -q 'does not list its chunks' "$work/out"
expect 0 smr -s "$nginx_url" verify --data
chunk_of bin 1
rm "$chunk"
expect 1 smr -s "$nginx_url" verify
grep -qF "smr: $nginx_url: bin: chunk $index $(short "$id") is missing" "$work/out"

echo "a store that cannot be asked is no damage"
stop_process "$nginx_pid" || true
expect 1 smr -s "$nginx_url" verify
if grep -q 'damaged' "$work/out"; then
	die "an unreachable store is called damaged"
fi
expect 1 smr -s "$store" verify nothing
grep -q 'no image nothing' "$work/out"
