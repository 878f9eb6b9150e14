#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A disk is as good as a file: it can be cut, compared with, and written to.
. "$(dirname "$0")/functions.sh"
requires_loop
requires_program mke2fs

make_rootfs
make_image "$rootfs/usr/bin" "$work/bin.img"
attach_loop "$work/bin.img"
smr -s "$work/store" chunk "$loop" --name disk -q
must_say 'nothing new' smr -s "$work/store" chunk "$work/bin.img" --name disk
grep -q 'unchanged' "$work/must_say.out"
must_say 'byte for byte' smr -s "$work/store" verify disk --against "$loop"

# what was there before does not shine through the zeros
head -c "$(stat -c %s "$work/bin.img")" /dev/zero | tr '\0' x > "$work/target"
target=$(losetup -f --show "$work/target")
cleanup_fn detach_loop "$target" "$work/target"
smr -s "$work/store" cat disk -o "$target"
[ -b "$target" ]
cmp "$target" "$work/bin.img"
must_say 'byte for byte' smr -s "$work/store" verify disk --against "$target"

truncate -s 8M "$work/small"
small=$(losetup -f --show "$work/small")
cleanup_fn detach_loop "$small" "$work/small"
must_fail 'No space left' smr -s "$work/store" cat disk -o "$small"
