#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A directory of 100,000 entries has an index that the kernel uses, and the features are those of layout 1.
. "$(dirname "$0")/functions.sh"
requires_program e2fsck debugfs dumpe2fs
image=$work/wide.img

"$BUILD_DIR/tests/system/ext4tree" wide 100000 "$image"
e2fsck -fn "$image" > "$work/e2fsck" 2>&1 || { cat "$work/e2fsck" >&2; die "e2fsck complains"; }

features='ext_attr dir_index sparse_super2 filetype extent 64bit flex_bg large_file huge_file dir_nlink extra_isize'
dumpe2fs -h "$image" > "$work/super" 2> /dev/null
has()
{
	grep -qE "^$1:[[:space:]]+$2\$" "$work/super" || { cat "$work/super" >&2; die "the superblock does not say $1: $2"; }
}
has 'Filesystem features' "$features"
has 'Filesystem volume name' stream
has 'Filesystem flags' 'unsigned_directory_hash '
has 'Filesystem state' clean
has 'Errors behavior' Continue
has 'Default directory hash' half_md4
has 'Reserved block count' 0
has 'Block size' 4096
has 'Inode size' 256
has 'Last checked' 'Thu Jan  1 00:00:00 1970'

debugfs -R 'htree_dump /' "$image" > "$work/htree" 2> /dev/null
grep -q 'Indirect levels: 0' "$work/htree" || die "no index"
[ "$(grep -c '^Entry #' "$work/htree")" -gt 300 ] || die "an index of few blocks"

# The kernel finds a name without reading the directory: what it read is a fraction of the directory's 1.5 MB.
requires_loop
mount_ext4 "$image" "$work/mnt"
drop_page_cache "$image"
sectors()
{
	awk '{ print $3 }' "/sys/block/${loop#/dev/}/stat"
}
before=$(sectors)
for name in 77 5000 99999 31415; do
	stat -c %n "$work/mnt/$name" > /dev/null
done
read_kib=$((($(sectors) - before) / 2))
echo "four lookups read $read_kib KiB"
[ "$read_kib" -lt 700 ] || die "four lookups read $read_kib KiB"
! stat "$work/mnt/100000" 2> /dev/null || die "a name that is not there"
