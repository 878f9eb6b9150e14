#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A million files: within the memory that was promised, and right.
. "$(dirname "$0")/functions.sh"
requires_program e2fsck
requires_no_sanitizer
[ "$(df --output=avail -BG "$work" | tail -n 1 | tr -dc 0-9)" -ge 12 ] || skip "12 GB of disk are not free"

"$BUILD_DIR/tests/system/ext4tree" many 1000000 "$work/many.img" 2> "$work/said"
cat "$work/said"
peak=$(sed -n 's/^peak \([0-9]*\) KiB$/\1/p' "$work/said")
[ "$peak" -le $((512 * 1024)) ] || die "took $peak KiB of memory"
e2fsck -fn "$work/many.img" > "$work/e2fsck" 2>&1 || { cat "$work/e2fsck" >&2; die "e2fsck complains"; }
requires_loop
mount_ext4 "$work/many.img" "$work/mnt"
[ "$(cat "$work/mnt/usr/lib/node_modules/package-49999/file-0999999.js")" = 'module.exports = 999999' ] ||
	die "the last file is not what it was"
[ "$(find "$work/mnt" -type f | wc -l)" -eq 1000000 ] || die "files are missing"
