#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What Go stream-my-root has cut comes over unchanged, and serves as a store as it lies: its recipes are lines of text,
# its chunks zstd frames of 512 KiB without their trailing zeros, named by the SHA-256 of all 512 KiB.
. "$(dirname "$0")/functions.sh"
requires_program mke2fs jq python3 zstd

# by_its_rules IMAGE RECIPE CHUNKS
by_its_rules()
{
	python3 - "$@" <<-'END'
		import hashlib, os, subprocess, sys
		size = 512 << 10
		os.makedirs(sys.argv[3], exist_ok=True)
		with open(sys.argv[1], "rb") as image, open(sys.argv[2], "w") as recipe:
		    for index in range(1 << 30):
		        chunk = image.read(size)
		        if not chunk:
		            break
		        chunk = chunk.ljust(size, b"\0")
		        short = chunk.rstrip(b"\0")
		        if not short:
		            continue
		        name = hashlib.sha256(chunk).hexdigest()
		        recipe.write("%d %s\n" % (index, name))
		        path = "%s/%s.zst" % (sys.argv[3], name)
		        if not os.path.exists(path):
		            subprocess.run(["zstd", "-q", "-o", path], input=short, check=True)
	END
}

make_rootfs
make_image "$rootfs/usr/bin" "$work/bin.img" 150
by_its_rules "$work/bin.img" "$work/bin.img.recipe" "$work/go"
n=$(find "$work/go" -name '*.zst' | wc -l)

echo "import"
smr -s "$work/store" import "$work/bin.img.recipe" --chunks "$work/go" --json |
	jq -e --argjson n "$n" '.version == 1 and .name == "bin" and .new_chunks == $n' > /dev/null
smr -s "$work/store" cat bin | cmp - "$work/bin.img"
smr -s "$work/store" verify --data -q
# objects go over as they are
find "$work/go" -name '*.zst' -print0 | while IFS= read -r -d '' object; do
	cmp "$object" "$(find "$work/store" -name "${object##*/}")"
done
must_say 'nothing new' smr -s "$work/store" import "$work/bin.img.recipe" --chunks "$work/go"
# the same recipe as from the image itself, and the same chunks
must_say 'unchanged' smr -s "$work/store" chunk "$work/bin.img"

echo "the size: that of the ext4, or what is said"
size=$(stat -c %s "$work/bin.img")
smr -s "$work/store" info bin --json | jq -e --argjson s "$size" '.image_size == $s' > /dev/null
smr -s "$work/store" import "$work/bin.img.recipe" --chunks "$work/go" --name large --size 1G -q
smr -s "$work/store" info large --json | jq -e '.image_size == 1073741824' > /dev/null
must_fail 'behind the image' smr -s "$work/store" import "$work/bin.img.recipe" --chunks "$work/go" --name small --size 1M
head -c 3000000 "$work/bin.img" | tail -c +4097 > "$work/raw.img"
by_its_rules "$work/raw.img" "$work/raw.recipe" "$work/go"
must_fail '--size' smr -s "$work/store" import "$work/raw.recipe" --chunks "$work/go"
smr -s "$work/store" import "$work/raw.recipe" --chunks "$work/go" --size "$(stat -c %s "$work/raw.img")" -q
smr -s "$work/store" cat raw | cmp - "$work/raw.img"

echo "a missing or wrong chunk refuses the image"
object=$(find "$work/go" -name '*.zst' -size +100k | sort | sed -n 3p)
id=$(basename "$object" .zst)
cp "$object" "$work/kept"
grep -q "$id" "$work/bin.img.recipe"
for damage in missing flipped truncated other; do
	case $damage in
	missing) rm "$object" ;;
	flipped) printf '\xff\xfe' | dd of="$object" bs=1 seek=50000 conv=notrunc status=none ;;
	truncated) truncate -s -10 "$object" ;;
	other) zstd -q -f -o "$object" < /etc/passwd ;;
	esac
	must_fail "(${id:0:4}…${id: -4})" smr -s "$work/fresh-$damage" import "$work/bin.img.recipe" --chunks "$work/go"
	[ -z "$(find "$work/fresh-$damage" -name '*.recipe')" ]
	[ -z "$(find "$work/fresh-$damage" -name "$id.zst")" ]
	cp "$work/kept" "$object"
	smr -s "$work/fresh-$damage" import "$work/bin.img.recipe" --chunks "$work/go" -q
	smr -s "$work/fresh-$damage" verify --data -q
done

echo "what is no recipe"
echo 'junk' > "$work/junk.recipe"
must_fail 'line 1' smr -s "$work/store" import "$work/junk.recipe" --chunks "$work/go"
must_fail 'No such file' smr -s "$work/store" import "$work/none.recipe" --chunks "$work/go"
must_fail 'is not a store' smr -s "$work/store" import "$work/bin.img.recipe" --chunks "$work/none"

echo "the directory as a store, local and served"
cp "$work/bin.img.recipe" "$work/go/"
smr -s "$work/go" cat bin | cmp - "$work/bin.img"
must_say 'all there and intact' smr -s "$work/go" verify --data
must_say 'bin ' smr -s "$work/go" ls
must_fail 'only read' smr -s "$work/go" chunk "$work/bin.img"
start_nginx "$work/go"
smr -s "$nginx_url" cat bin -o "$work/out.img"
same_bytes "$work/out.img" "$work/bin.img"
smr -s "$work/store2" import "$work/bin.img.recipe" --chunks "$nginx_url" -q
smr -s "$work/store2" verify bin --against "$work/bin.img" -q
