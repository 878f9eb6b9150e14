#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# An image of `smr build`: clean for e2fsck, mounted by this kernel (ro, and ro,noload) and by the older one of the guest, with the right
# contents; a directory of 100,000 entries is looked up by its index in both; with --size there is room to write.
. "$(dirname "$0")/functions.sh"
requires_loop
requires_guest
requires_program e2fsck debugfs python3

make_rootfs
mkdir -p "$work/tree/wide"
cp -a "$rootfs/etc" "$work/tree"
cp -a "$rootfs/usr/bin" "$work/tree"
python3 - "$work/tree/wide" <<-'END'
	import os, sys
	os.chdir(sys.argv[1])
	for i in range(100000):
	    os.symlink(str(i), f'name-{i:06}') if i % 1000 else open(f'name-{i:06}', 'w').write(str(i))
END
tar -C "$work/tree" --sort=name -cf "$work/tree.tar" .
smr -q build "tar:$work/tree.tar" -o "$work/x.img"
e2fsck -fn "$work/x.img" > "$work/e2fsck" 2>&1 || { cat "$work/e2fsck" >&2; die "e2fsck complains"; }
debugfs -R 'htree_dump /wide' "$work/x.img" > "$work/htree" 2> /dev/null
grep -q 'Indirect levels: [01]' "$work/htree" || die "the wide directory has no index"

# How many blocks a path takes: every lookup reads the index and one leaf of the directory's several hundred blocks.
blocks=$(debugfs -R 'stat /wide' "$work/x.img" 2> /dev/null | sed -n 's/.*Size: \([0-9]*\).*/\1/p' | head -n 1)
leaves=$(sed -n 's/^Entry #.* block //p' "$work/htree" | sort -u | wc -l)
echo "wide: $((blocks / 4096)) blocks, $leaves leaves"
[ "$leaves" -ge $((blocks * 9 / 40960)) ] || die "not all leaves are in the index"

echo "here"
attach_loop "$work/x.img"
mkdir "$work/mnt"
cleanup_fn umount_if_mounted "$work/mnt"
for options in ro ro,noload; do
	mount -t ext4 -o $options "$loop" "$work/mnt"
	[ "$(cat "$work/mnt/wide/name-042000")" = 42000 ] || die "another content"
	[ "$(readlink "$work/mnt/wide/name-099999")" = 99999 ] || die "another target"
	[ ! -e "$work/mnt/wide/name-100000" ] || die "a name that is not there"
	[ "$(find "$work/mnt/wide" -mindepth 1 | wc -l)" -eq 100000 ] || die "names are missing"
	umount "$work/mnt"
done
losetup -d "$loop"

echo "in the guest"
(cd "$work/tree" && find bin etc -type f -size +0 -print0 | sort -z | xargs -0 sha256sum) > "$work/sums"
cat > "$work/script" <<END
uname -r
mount -t ext4 -o ro,noload /dev/vda /mnt
sectors() { awk '{ print \$3 }' /sys/block/vda/stat; }
before=\$(sectors)
for i in 000077 005000 031415 099998; do [ -L /mnt/wide/name-\$i ] || [ -f /mnt/wide/name-\$i ] || exit 1; done
[ ! -e /mnt/wide/name-100000 ] || exit 1
echo "lookups: \$(((\$(sectors) - before) / 2))"
cd /mnt
sha256sum -c > /tmp/result <<'SUMS' || { grep -v ': OK\$' /tmp/result; exit 1; }
$(cat "$work/sums")
SUMS
echo "checked: \$(wc -l < /tmp/result)"
[ "\$(cat wide/name-042000)" = 42000 ] && [ "\$(readlink wide/name-099999)" = 99999 ] && echo contents
END
guest_run "$work/script" -drive "file=$work/x.img,format=raw,readonly=on,if=virtio" > "$work/said" ||
	{ cat "$work/said"; die "the guest is not content"; }
head -n 1 "$work/said"
grep -qx "checked: $(wc -l < "$work/sums")" "$work/said" && grep -qx contents "$work/said" || { cat "$work/said"; die "not all was checked"; }
kib=$(sed -n 's/^lookups: //p' "$work/said")
echo "five lookups read $kib KiB of a directory of $((blocks / 1024)) KiB"
[ "$kib" -lt $((blocks / 1024 / 2)) ] || die "lookups read the directory"

echo "with room"
smr -q build --size 1G "dir:$work/tree/etc" -o "$work/large.img"
[ "$(stat -c %s "$work/large.img")" -ge $((1 << 30)) ] || die "it is smaller"
[ "$(du -m "$work/large.img" | cut -f1)" -lt 100 ] || die "free space takes space"
e2fsck -fn "$work/large.img" > "$work/e2fsck" 2>&1 || { cat "$work/e2fsck" >&2; die "e2fsck complains"; }
loop=$(losetup -f --show "$work/large.img")
cleanup_fn detach_loop "$loop" "$work/large.img"
mount -t ext4 "$loop" "$work/mnt"
head -c 500M /dev/zero > "$work/mnt/much"
mkdir "$work/mnt/more"
for ((i = 0; i < 3000; i++)); do : > "$work/mnt/more/$i"; done
rm "$work/mnt/passwd"
umount "$work/mnt"
losetup -d "$loop"
e2fsck -fn "$work/large.img" > "$work/e2fsck" 2>&1 || { cat "$work/e2fsck" >&2; die "e2fsck complains after writing"; }
