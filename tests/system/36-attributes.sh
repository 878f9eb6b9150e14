#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What stat, ls, df, xattrs and lseek say about images, and that nothing can be written.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_program getfattr setfattr qemu-img jq python3

# data in chunks 0, 3 and 9 of ten; the last one is cut
truncate -s 5000000 "$work/a.img"
for at in 0 1572864 4999000; do
	head -c 1000 /dev/urandom | dd of="$work/a.img" bs=1 seek="$at" conv=notrunc status=none
done
truncate -s 3000000 "$work/holes.img"
before=$(date +%s)
smr -s "$work/store" chunk -q "$work/a.img"
smr -s "$work/store" chunk -q "$work/holes.img"
mnt=$work/mnt
mount_smrfs "$work/store" "$mnt"
file=$mnt/a.img

[ "$(stat -c '%F %a %h %u %g %s' "$file")" = "regular file 444 1 $(id -u) $(id -g) 5000000" ]
# two whole chunks of 512 KiB and what is left of the last one
[ "$(stat -c %b "$file")" -eq $(((2 * 524288 + 5000000 - 9 * 524288 + 511) / 512)) ]
[ "$(stat -c %b "$mnt/holes.img")" -eq 0 ]
mtime=$(stat -c %Y "$file")
[ "$mtime" -ge $((before - 2)) ] && [ "$mtime" -le $((before + 60)) ]
[ "$(stat -c '%F %a' "$mnt")" = "directory 555" ]
[ "$(stat -f -c '%l' "$mnt")" -eq 204 ]
[ "$(df --output=avail "$mnt" | tail -n 1)" -eq 0 ]
[ "$(find "$mnt" -name '*.img' -printf '%i\n' | sort -n | head -n 1)" -gt 1 ]

# xattrs
digest=$(getfattr --only-values -n user.smr.digest "$file" 2> /dev/null)
[ "$digest" = "sha256:$(smr -s "$work/store" info --json a | jq -r '.. | .digest? // empty' | head -n 1 | sed 's/^sha256://')" ]
[ "$(getfattr -d "$file" 2> /dev/null | grep -c =)" -eq 1 ]
must_fail 'No such attribute' getfattr -n user.other "$file"
must_fail 'No such attribute' getfattr -n user.smr.digest "$mnt"
getfattr -d "$mnt"

# holes, as everything that looks for them sees them
[ "$(qemu-img map --output=json -f raw "$file" | jq -c 'map(select(.data) | [.start, .length])')" = \
	"[[0,524288],[1572864,524288],[4718592,281408]]" ]
cat > "$work/seek.py" << 'END'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
assert os.lseek(fd, 0, os.SEEK_DATA) == 0
assert os.lseek(fd, 5, os.SEEK_HOLE) == 524288
assert os.lseek(fd, 524288, os.SEEK_HOLE) == 524288
assert os.lseek(fd, 524289, os.SEEK_DATA) == 1572864
assert os.lseek(fd, size - 1, os.SEEK_DATA) == size - 1
assert os.lseek(fd, size - 1, os.SEEK_HOLE) == size
for where in size, size + 1, 1 << 62:
    for whence in os.SEEK_DATA, os.SEEK_HOLE:
        try:
            os.lseek(fd, where, whence)
            sys.exit(f"seek to {where} worked")
        except OSError as e:
            assert e.errno == errno.ENXIO, e
END
python3 "$work/seek.py" "$file"
cp --sparse=auto "$file" "$work/copy"
same_bytes "$work/copy" "$work/a.img"
[ "$(stat -c %b "$work/copy")" -lt 5000 ]

# reads at the end, and beyond
[ "$(tail -c 10 "$file" | sha256sum)" = "$(tail -c 10 "$work/a.img" | sha256sum)" ]
[ "$(dd if="$file" bs=4096 skip=1220 status=none | wc -c)" -eq $((5000000 - 1220 * 4096)) ]
[ "$(dd if="$file" bs=4096 skip=1221 status=none 2> /dev/null | wc -c)" -eq 0 ]
[ "$(dd if="$file" bs=4096 skip=1220 iflag=direct status=none | wc -c)" -eq $((5000000 - 1220 * 4096)) ]

# nothing can be written
refused()
{
	must_fail 'Read-only file system' "$@"
}
refused touch "$mnt/new"
refused mkdir "$mnt/new"
refused rm -f "$file"
refused mv "$file" "$mnt/b"
refused chmod 600 "$file"
refused truncate -s 1 "$file"
refused ln "$file" "$mnt/b"
refused ln -s x "$mnt/b"
refused dd if=/dev/zero of="$file" count=1 conv=notrunc
refused setfattr -n user.x -v 1 "$file"
umount_smrfs "$mnt"
