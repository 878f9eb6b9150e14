#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A virtual machine uses an image of the mount as its disk: it mounts the ext4 and reads the right files.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_guest

make_rootfs
make_image "$rootfs" "$work/system.img"
smr -s "$work/store" chunk "$work/system.img"
start_nginx "$work/store"
mount_smrfs "$nginx_url" "$work/mnt"

(cd "$rootfs" && find usr/bin etc -type f -size +0 -print0 | sort -z | xargs -0 sha256sum) > "$work/sums"
cat > "$work/script" <<END
mount -t ext4 -o ro,noload /dev/vda /mnt
cd /mnt
sha256sum -c > /tmp/result <<'SUMS' || { grep -v ': OK\$' /tmp/result; exit 1; }
$(cat "$work/sums")
SUMS
echo "checked: \$(wc -l < /tmp/result)"
# the whole disk too, as the guest's block layer sees it
echo "disk: \$(sha256sum < /dev/vda)"
END
guest_run "$work/script" -drive "file=$work/mnt/system.img,format=raw,readonly=on,if=virtio" > "$work/said" ||
	{ cat "$work/said"; die "the guest is not content"; }
grep -qx "checked: $(wc -l < "$work/sums")" "$work/said" || { cat "$work/said"; die "not all files were checked"; }
grep -qx "disk: $(sha256sum < "$work/system.img")" "$work/said" || { cat "$work/said"; die "the disk differs"; }
umount_smrfs "$work/mnt"
