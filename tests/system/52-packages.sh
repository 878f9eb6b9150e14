#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Three images of real packages that share their bases (debootstrap, apt with removals, an npm app), and a fourth whose layers are
# made by hand for what packages do not have. Each is added, mounted through smrfs, and every path compared with what umoci
# unpacks: type, mode, owner, links, size, content, mtime in ns, xattrs, devices.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_loop
requires_program umoci setcap apt-get chroot e2fsck jq bsdtar
requires_no_sanitizer
requires_xattrs_at "$work"

describe=("$BUILD_DIR/tests/system/ext4tree" describe)
make_rootfs
[ -x "$rootfs/usr/bin/dpkg" ] || skip "the root file system has no dpkg: it is unpacked only"
layout=$work/layout
tree=$work/bundle/rootfs

umoci init --layout "$layout"
umoci new --image "$layout:base"
umoci unpack --image "$layout:base" "$work/bundle" > /dev/null 2>&1
cp -a "$rootfs/." "$tree"
umoci repack --refresh-bundle --image "$layout:base" "$work/bundle" > /dev/null

echo "apt: packages come, packages go"
mkdir "$work/debs"
(cd "$work/debs" && apt-get download libcap2 libcap2-bin iputils-ping libidn2-0 libunistring2 file libmagic1 libmagic-mgc \
	> "$work/apt.log" 2>&1) || { cat "$work/apt.log"; skip "apt-get cannot download"; }
cp "$work"/debs/*.deb "$tree/tmp"
chroot "$tree" sh -c 'export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
	dpkg --install --force-depends /tmp/*.deb && rm /tmp/*.deb
	dpkg --purge --force-depends tzdata libcap2-bin && rm -rf /usr/share/doc/[a-l]* /usr/share/man' > "$work/dpkg.log" 2>&1 ||
	{ cat "$work/dpkg.log"; die "dpkg does not work"; }
getcap "$tree/bin/ping" | grep -q cap_net_raw || setcap cap_net_raw+ep "$tree/bin/ping"
umoci repack --refresh-bundle --image "$layout:apt" "$work/bundle" > /dev/null

echo "npm: an app on top"
mkdir -p "$tree/srv/app"
if command -v npm > /dev/null && npm install --silent --no-audit --no-fund --ignore-scripts --cache "$work/npm" \
	--prefix "$tree/srv/app" express@4 > "$work/npm.log" 2>&1; then
	rm -rf "$work/npm"
else
	echo "no npm here: Python's library instead"
	cp -a "$tree"/usr/lib/python3* "$tree/srv/app"
fi
umoci repack --refresh-bundle --image "$layout:app" "$work/bundle" > /dev/null
rm -rf "$work/bundle"
umoci stat --image "$layout:app" --json | jq -r '.history[] | select(.layer) | .layer.size' | tr '\n' ' '

echo "layers by hand"
# layer TAG TAR-OPTION...: what is in $work/new, as a layer
layer()
{
	local tag=$1
	shift
	tar --format=pax --xattrs --xattrs-include='*' --sparse --numeric-owner -C "$work/new" -cf "$work/layer.tar" "$@"
	umoci raw add-layer --image "$layout:$tag" "$work/layer.tar" > /dev/null
	rm -rf "$work/new" "$work/layer.tar"
	mkdir -p "$work/new"
	cd "$work/new"
}
umoci new --image "$layout:hand"
mkdir -p "$work/new"
cd "$work/new"
mkdir -p opq1/sub opq2/sub opq3 d-f d-l l-d.real merge/deep
for f in opq1/old opq1/sub/old opq2/old opq2/sub/old opq3/old d-f/x d-l/x l-d.real/x merge/deep/old merge/gone f-d f-f hard1; do
	echo "lower $f" > "$f"
done
ln -s l-d.real l-d
ln hard1 hard2
ln -s nowhere soft1
ln soft1 soft2
mkfifo f-p
layer hand .
# An opaque directory: the mark first, in the middle, last; what is in the layer stays, what was below goes.
mkdir -p opq1/sub opq2/sub opq3 merge/deep f-d l-d
echo new > opq1/new
echo new > opq1/sub/new
echo new > opq2/a
echo new > opq2/sub/z
echo new > merge/deep/new
echo new > f-d/inside
echo new > l-d/inside
echo new > d-f
echo new > f-p
ln -s merge d-l
mknod f-f c 5 1
touch opq1/.wh..wh..opq opq2/.wh..wh..opq opq3/.wh..wh..opq merge/.wh.gone .wh.hard1 .wh.soft1
chmod 2751 merge
touch -d '1969-12-31 23:59:58.75' merge
layer hand opq1/.wh..wh..opq opq1/new opq1/sub opq2/a opq2/.wh..wh..opq opq2/sub opq3 f-d l-d d-f f-p d-l f-f merge \
	.wh.hard1 .wh.soft1 --no-recursion opq2
# Across layers: links to files of lower layers, and everything that is rare, by another archiver.
long=$(printf 'long-name-%.0s' {1..24})
mkdir -p "$long/$long" links
ln -s "$(printf '../%.0s' {1..900})x" links/far
echo x > "$long/$long/$(printf 'not-utf-8-\377')"
echo x > links/one
ln links/one links/two
truncate -s 64M links/sparse
printf middle | dd of=links/sparse bs=1 seek=20000000 conv=notrunc status=none
truncate -s 5G links/empty
setfattr -n user.long -v "$(printf 'v%.0s' {1..3000})" links/one
setcap cap_sys_admin,cap_chown+ep links/one
mknod links/block b 511 65600
chown 3000000000:70000 links/two
touch -d '1910-01-01 00:00:00' links/block
touch -d '2200-02-02 02:02:02.020202' links/far -h
bsdtar --format=pax --xattrs --numeric-owner -cf "$work/layer.tar" . 2> /dev/null
umoci raw add-layer --image "$layout:hand" "$work/layer.tar" > /dev/null
cd "$work"
rm -rf "$work/new" "$work/layer.tar"

for tag in base apt app hand; do
	smr -q -s "$work/store" add "oci:$layout:$tag"
done
smr -s "$work/store" ls
mount_smrfs "$work/store" "$work/smr"
for tag in apt app hand; do # the base is in both
	echo "$tag"
	image=$work/smr/layout_$tag.img
	e2fsck -fn "$image" > "$work/e2fsck" 2>&1 || { cat "$work/e2fsck" >&2; die "e2fsck complains of $tag"; }
	umoci unpack --image "$layout:$tag" "$work/bundle" > /dev/null 2>&1
	mount_ext4 "$image" "$work/mnt"
	"${describe[@]}" "$work/mnt" > "$work/is"
	"${describe[@]}" "$tree" > "$work/should"
	diff "$work/should" "$work/is" | head -n 20 > "$work/diff" || true
	[ ! -s "$work/diff" ] || { cat "$work/diff" >&2; die "$tag is not what umoci unpacks"; }
	[ "$(wc -l < "$work/is")" -gt "$([ "$tag" = hand ] && echo 30 || echo 3000)" ] || die "nearly nothing was compared"
	if [ "$tag" = hand ]; then
		[ "$(stat -c %b "$work/mnt/links/sparse")" -le 16 ] || die "the sparse file is not"
		[ "$(stat -c %b "$work/mnt/links/empty")" -eq 0 ] || die "the empty file has blocks"
		[ -e "$work/mnt/opq1/sub/new" ] && [ ! -e "$work/mnt/opq2/sub/old" ] || die "opaque directories"
	fi
	umount_ext4 "$work/mnt" "$loop"
	rm -rf "$work/bundle"
done
umount_smrfs "$work/smr"

echo "sockets come from directories only"
mkdir "$work/dir"
cp -a "$rootfs/etc" "$work/dir"
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$work/dir/socket"
chown 70000:70000 "$work/dir/socket"
smr -q build "dir:$work/dir" -o "$work/dir.img"
mount_ext4 "$work/dir.img" "$work/mnt"
"${describe[@]}" "$work/mnt" > "$work/is"
"${describe[@]}" "$work/dir" > "$work/should"
diff "$work/should" "$work/is" || die "dir: differs"
umount_ext4 "$work/mnt" "$loop"
