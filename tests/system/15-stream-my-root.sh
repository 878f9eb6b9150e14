#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What Go stream-my-root writes: a text recipe ("INDEX SHA256" a line) and objects whose trailing zeros were trimmed before zstd,
# named by the SHA-256 of the untrimmed 512 KiB. It is imported, and also mounted as it is, from disk and by HTTP.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_program zstd python3

make_rootfs
make_image "$rootfs" "$work/go.img"
mkdir "$work/flat"
python3 - "$work/go.img" "$work/flat" <<'END'
import hashlib, subprocess, sys
image, flat = sys.argv[1:]
seen = set()
with open(image, "rb") as source, open(f"{flat}/go.recipe", "w") as recipe:
    index = 0
    while chunk := source.read(512 << 10):
        chunk = chunk.ljust(512 << 10, b"\0")
        trimmed = chunk.rstrip(b"\0")
        if trimmed:
            name = hashlib.sha256(chunk).hexdigest()
            recipe.write(f"{index} {name}\n")
            if name not in seen:
                seen.add(name)
                subprocess.run(["zstd", "-q", "-1", "-o", f"{flat}/{name}.zst"], input=trimmed, check=True)
        index += 1
END

smr -s "$work/store" import "$work/flat/go.recipe" --chunks "$work/flat" --name imported
smr -s "$work/store" verify --data
mount_smrfs "$work/store" "$work/mnt"
same_bytes "$work/go.img" "$work/mnt/imported.img"
umount_smrfs "$work/mnt"

start_nginx "$work/flat"
for store in "$work/flat" "$nginx_url"; do
	rm -rf "$work/cache"
	mount_smrfs "$store" "$work/mnt"
	same_bytes "$work/go.img" "$work/mnt/go.img"
	umount_smrfs "$work/mnt"
done

# wrong bytes and missing objects are no image
object=$(find "$work/flat" -name '*.zst' | sort | sed -n 5p)
mv "$object" "$work/kept.zst"
must_fail missing smr -s "$work/store2" import "$work/flat/go.recipe" --chunks "$work/flat"
head -c 500000 /dev/urandom | zstd -q > "$object"
must_fail "$(basename "$object" | head -c 4)" smr -s "$work/store2" import "$work/flat/go.recipe" --chunks "$work/flat"
[ -z "$(smr -s "$work/store2" ls --json 2> /dev/null | jq -r '.images[]?.name')" ] || die "a damaged import was published"
