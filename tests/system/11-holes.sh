#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What is zero shows as holes, to lseek, stat, qemu-img map and cp, without a chunk being fetched.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_program qemu-img jq python3

# data in chunks 2, 3 and 9 of 20.5; zeros that are written count as holes too
truncate -s $((41 * 262144)) "$work/x.img"
dd if=/dev/urandom of="$work/x.img" bs=512k seek=2 count=2 conv=notrunc status=none
dd if=/dev/urandom of="$work/x.img" bs=1k seek=$((9 * 512 + 100)) count=7 conv=notrunc status=none
dd if=/dev/zero of="$work/x.img" bs=512k seek=12 count=2 conv=notrunc status=none
smr -s "$work/store" chunk "$work/x.img"
start_nginx "$work/store"
mount_smrfs "$nginx_url" "$work/mnt"

[ "$(stat -c %s "$work/mnt/x.img")" = $((41 * 262144)) ] || die "the size is wrong"
[ "$(stat -c %b "$work/mnt/x.img")" = $((3 * 1024)) ] || die "st_blocks is $(stat -c %b "$work/mnt/x.img"), not three chunks"

extents=$(qemu-img map --output=json -f raw "$work/mnt/x.img" | jq -c '[.[] | select(.data) | [.start, .length]]')
[ "$extents" = '[[1048576,1048576],[4718592,524288]]' ] || die "qemu-img map shows $extents"

python3 - "$work/mnt/x.img" <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
C = 524288
size = os.fstat(fd).st_size
def data(at): return os.lseek(fd, at, os.SEEK_DATA)
def hole(at): return os.lseek(fd, at, os.SEEK_HOLE)
assert data(0) == 2 * C and data(2 * C + 5) == 2 * C + 5 and data(4 * C) == 9 * C
assert hole(0) == 0 and hole(2 * C) == 4 * C and hole(9 * C + 7) == 10 * C and hole(size - 1) == size - 1
for bad in (lambda: data(10 * C), lambda: data(size), lambda: hole(size), lambda: hole(size + 9)):
    try:
        bad()
    except OSError as e:
        assert e.errno == 6, e  # ENXIO
    else:
        sys.exit("lseek beyond the last data should fail")
END
[ "$(nginx_requests /chunks/)" -eq 0 ] || die "looking at holes fetched chunks"

cp --sparse=auto "$work/mnt/x.img" "$work/copy.img"
same_bytes "$work/copy.img" "$work/x.img"
[ "$(stat -c %b "$work/copy.img")" -le $((3 * 1024 + 64)) ] || die "the copy is not sparse"
umount_smrfs "$work/mnt"
