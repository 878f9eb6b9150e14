#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A real ext4 image is cut, published and found again; the same image again writes nothing; the recipe depends on
# name, bytes and chunk size only.
. "$(dirname "$0")/functions.sh"
requires_program mke2fs jq

store=$work/store
recipe=$store/roots/r1/recipes/root.recipe

# Every file below the store with its inode and times: what a write would change.
fingerprint()
{
	find "$store" -type f ! -path '*/tmp/*' -printf '%p %i %s %T@ %C@\n' | sort
}

make_rootfs
make_image "$rootfs" "$work/root.img"

smr -s "$store" chunk "$work/root.img" --json > "$work/first.json"
jq -e '.version == 1 and .name == "root" and .new_chunks == .distinct_chunks and .new_chunks > 100
	and .unchanged == false and .replaced == false' "$work/first.json" > /dev/null
[ "$(jq .image_size "$work/first.json")" = "$(stat -c %s "$work/root.img")" ]
[ "$(jq .new_chunks "$work/first.json")" = "$(find "$store" -name '*.zst' | wc -l)" ]
[ "$(jq .new_bytes "$work/first.json")" = "$(find "$store" -name '*.zst' -printf '%s\n' | awk '{ n += $1 } END { print n }')" ]
digest=$(jq -r .digest "$work/first.json")
smr -s "$store" cat root | cmp - "$work/root.img"

echo "the same image again"
fingerprint > "$work/before"
smr -s "$store" chunk "$work/root.img" > "$work/out"
grep -q 'unchanged' "$work/out"
grep -q 'nothing new' "$work/out"
fingerprint | diff "$work/before" -

echo "another path, holes filled in, other threads and level: the same recipe"
mkdir "$work/other"
cp --sparse=never "$work/root.img" "$work/other/root.img"
smr -s "$work/store2" chunk -j 7 --level 1 "$work/other/root.img" --json | jq -e --arg d "$digest" '.digest == $d' > /dev/null
cmp "$recipe" "$work/store2/roots/r1/recipes/root.recipe"
smr -s "$work/store3" chunk -j 1 "$work/root.img" -q
cmp "$recipe" "$work/store3/roots/r1/recipes/root.recipe"

echo "another name: the same chunks, another recipe"
smr -s "$store" chunk "$work/root.img" --name other --json |
	jq -e --arg d "$digest" '.new_chunks == 0 and .digest != $d' > /dev/null

echo "a name that is there already is replaced, and that is said"
cp "$work/root.img" "$work/other/root.img"
printf 'changed' | dd of="$work/other/root.img" bs=1 seek=70000000 conv=notrunc status=none
must_say "root existed with other content (sha256:${digest:0:8}" smr -s "$store" chunk "$work/other/root.img"
grep -q ': 1 new' "$work/must_say.out"
smr -s "$store" cat root | cmp - "$work/other/root.img"

echo "other chunk sizes"
for size in 64K 4M; do
	smr -s "$work/store-$size" chunk --chunk-size "$size" "$work/root.img" -q
	smr -s "$work/store-$size" cat root | cmp - "$work/root.img"
	# the store goes on as it began
	smr -s "$work/store-$size" chunk "$work/root.img" --name again --json | jq -e '.new_chunks == 0' > /dev/null
done
must_fail 'power of two' smr -s "$store" chunk --chunk-size 100K "$work/root.img"
must_say 'nothing will be shared' smr -s "$store" chunk --chunk-size 1M "$work/root.img" --name coarse

echo "an image that no chunk size divides, and one of nothing but a hole"
head -c 1234567 "$work/root.img" > "$work/odd.img"
smr -s "$store" chunk "$work/odd.img" -q
smr -s "$store" cat odd | cmp - "$work/odd.img"
truncate -s 5T "$work/hole.img"
within 5 smr -s "$store" chunk "$work/hole.img" -q
smr -s "$store" info hole --json | jq -e '.chunks == 0 and .image_size == 5497558138880' > /dev/null

echo "what is no image is refused"
: > "$work/empty.img"
mkfifo "$work/fifo.img"
must_fail 'is empty' smr -s "$store" chunk "$work/empty.img"
must_fail 'neither a regular file nor a block device' timeout 5 smr -s "$store" chunk "$work/fifo.img"
must_fail 'neither a regular file nor a block device' smr -s "$store" chunk "$work"
must_fail 'No such file' smr -s "$store" chunk "$work/none.img"
cp "$work/odd.img" "$work/a b.img"
must_fail '--name' smr -s "$store" chunk "$work/a b.img"
must_fail 'cannot be the name' smr -s "$store" chunk "$work/odd.img" --name ../x

echo "what nobody could mount is cut with a warning"
printf 'QFI\xfbxxxx' > "$work/q.img"
must_say 'qemu-img convert' smr -s "$store" chunk "$work/q.img"
smr -s "$store" cat q | cmp - "$work/q.img"

echo "an image that changes meanwhile is not published"
cp "$work/root.img" "$work/busy.img"
(
	for ((i = 0; i < 400; i++)); do
		printf x | dd of="$work/busy.img" bs=1 seek=$((RANDOM * 1000)) conv=notrunc status=none
		sleep 0.01
	done
) &
writer=$!
cleanup_fn stop_process "$writer" || true
must_fail 'while it was being read' smr -s "$store" chunk --level 9 "$work/busy.img"
stop_process "$writer" || true
must_fail 'no image busy' smr -s "$store" info busy
