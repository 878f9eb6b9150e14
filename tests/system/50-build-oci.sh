#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# An image of real packages in layers, with real whiteouts: `smr build` of the OCI layout gives the tree that umoci unpacks, whatever
# compresses the layers, and from a docker-archive too; the image is clean for e2fsck and the same on every run.
. "$(dirname "$0")/functions.sh"
requires_root
requires_loop
requires_program umoci skopeo e2fsck jq zstd setcap
requires_xattrs_at "$work"

make_rootfs
layout=$work/layout

# repack TAG: what was done to the bundle becomes a layer.
repack()
{
	umoci repack --image "$layout:$1" "$work/bundle" > /dev/null
	rm -rf "$work/bundle"
	umoci unpack --image "$layout:$1" "$work/bundle" > /dev/null 2>&1
}

# put_blob LAYOUT FILE: into $digest and $size
put_blob()
{
	digest=$(sha256sum < "$2" | cut -d' ' -f1)
	size=$(stat -c %s "$2")
	mv "$2" "$1/blobs/sha256/$digest"
}

# recompress LAYOUT TAG TO: the same image, its layers by zstd
recompress()
{
	local from=$1/blobs/sha256 manifest old
	mkdir -p "$3/blobs/sha256"
	cp "$1/oci-layout" "$3"
	old=$(jq -r --arg tag "$2" '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $tag).digest' "$1/index.json")
	manifest=$(cat "$from/${old#*:}")
	for old in $(jq -r '.layers[].digest' <<< "$manifest"); do
		zcat "$from/${old#*:}" | zstd -q > "$work/blob"
		put_blob "$3" "$work/blob"
		manifest=$(jq --arg old "$old" --arg new "sha256:$digest" --argjson size "$size" '
			(.layers[] | select(.digest == $old)) |= (.digest = $new | .size = $size |
				.mediaType = "application/vnd.oci.image.layer.v1.tar+zstd")' <<< "$manifest")
	done
	old=$(jq -r .config.digest <<< "$manifest")
	cp "$from/${old#*:}" "$3/blobs/sha256"
	printf %s "$manifest" > "$work/blob"
	put_blob "$3" "$work/blob"
	jq -n --arg digest "sha256:$digest" --argjson size "$size" '{schemaVersion: 2, manifests: [
		{mediaType: "application/vnd.oci.image.manifest.v1+json", $digest, $size}]}' > "$3/index.json"
}

umoci init --layout "$layout"
umoci new --image "$layout:app"
umoci config --image "$layout:app" --config.cmd /bin/bash --config.env A=b --config.workingdir /root
umoci unpack --image "$layout:app" "$work/bundle" > /dev/null 2>&1
tree=$work/bundle/rootfs
cp -a "$rootfs/." "$tree"
repack app

# Packages go and come: dpkg removes and adds files in directories of the layer below.
rm -rf "$tree/usr/share/doc" "$tree/usr/share/locale" "$tree/usr/lib/python3"
mkdir -p "$tree/usr/share/doc/new"
echo new > "$tree/usr/share/doc/new/file"
repack app

# Everything that a file can be.
odd=$tree/odd
mkdir -p "$odd/dir" "$odd/$(printf 'n%.0s' {1..250})/$(printf 'm%.0s' {1..250})"
: > "$odd/$(printf 'not-utf-8-\377\376')"
: > "$odd/$(printf 'e\314\201')"
: > "$odd/$(printf '\303\251')"
mkfifo "$odd/fifo"
mknod "$odd/null" c 1 3
mknod "$odd/disk" b 259 65537
ln -s "$(printf 't%.0s' {1..3000})" "$odd/long-link"
ln "$odd/long-link" "$odd/long-link-2"
ln "$tree/etc/passwd" "$odd/dir/passwd"
truncate -s 100M "$odd/sparse"
printf end >> "$odd/sparse"
setfattr -n user.text -v value "$odd/sparse"
setfattr -n user.binary -v 0x000a3d00ff "$odd/dir"
setcap cap_net_raw+ep "$tree/usr/bin/gpgv" 2> /dev/null || setcap cap_net_raw+ep "$tree/usr/bin/python3.11"
chown 1000000000:4000000000 "$odd/fifo"
chmod 6755 "$odd/sparse"
touch -d '1955-11-05 06:15:00.25' "$odd/dir/old"
touch -d '2105-01-01 00:00:00.123456789' "$odd/dir/new"
rm -rf "$tree/var/lib/dpkg/info"
: > "$tree/var/lib/dpkg/info"   # a file where a directory was
rm "$tree/etc/hostname" 2> /dev/null || true
mkdir "$tree/etc/hostname"      # and the other way round
repack app

smr build "oci:$layout:app" -o "$work/app.img"
e2fsck -fn "$work/app.img" > "$work/fsck" 2>&1 || { cat "$work/fsck" >&2; die "e2fsck complains"; }
rm -rf "$work/bundle"
umoci unpack --image "$layout:app" "$work/bundle" > /dev/null 2>&1
mount_ext4 "$work/app.img" "$work/mnt"
same_trees "$tree" "$work/mnt"
# nanoseconds too, and what is sparse stays so
(cd "$tree" && find . -printf '%p %T@\n' | sort) > "$work/times.a"
(cd "$work/mnt" && find . -printf '%p %T@\n' | sort) > "$work/times.b"
diff "$work/times.a" "$work/times.b" | head -n 20 > "$work/times.diff" || true
[ ! -s "$work/times.diff" ] || { cat "$work/times.diff" >&2; die "times differ"; }
[ "$(stat -c %b "$work/mnt/odd/sparse")" -le 16 ] || die "the sparse file is not"
umount_ext4 "$work/mnt" "$loop"

echo "another time, elsewhere, differently"
mkdir "$work/elsewhere"
(cd "$work/elsewhere" && umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 TMPDIR=$work \
	smr build "oci:../layout:app" -o again.img)
same_bytes "$work/app.img" "$work/elsewhere/again.img"

echo "zstd layers, and a docker-archive"
recompress "$layout" app "$work/zstd"
smr build "oci:$work/zstd" -o "$work/zstd.img"
same_bytes "$work/app.img" "$work/zstd.img"
skopeo copy -q "oci:$layout:app" "docker-archive:$work/app.tar:example/app:1"
smr build "docker-archive:$work/app.tar" -o "$work/docker.img"
same_bytes "$work/app.img" "$work/docker.img"

echo "published in one pass"
smr -s "$work/store" add "docker-archive:$work/app.tar"
smr -s "$work/store" verify --data example_app_1
smr -s "$work/store" cat -o "$work/cat.img" example_app_1
same_bytes "$work/app.img" "$work/cat.img"
smr -s "$work/store" run-config example_app_1 > "$work/run"
grep -qx "$(printf 'cmd\t/bin/bash')" "$work/run" || die "run-config does not say the command"
grep -qx "$(printf 'workdir\t/root')" "$work/run" || die "run-config does not say the directory"
smr -s "$work/store" --json add "oci:$layout:app" | jq -e '.new_chunks == 0' > /dev/null
smr -s "$work/store" info example_app_1 | grep -q '^layout *1$'

echo "two sources, one name"
mkdir "$work/example_app_1"
must_fail "already the name of" smr -s "$work/store" add "dir:$work/example_app_1"
smr -s "$work/store" add --name other "dir:$work/example_app_1"

echo "an image as it is"
smr -q -s "$work/store" add "img:$work/app.img"
smr -s "$work/store" cat -o "$work/cat.img" app
same_bytes "$work/app.img" "$work/cat.img"
smr -s "$work/store" --json add --name app "img:$work/app.img" | jq -e '.unchanged and .new_chunks == 0' > /dev/null

echo "one of several platforms"
blobs=$work/zstd/blobs/sha256
first=$(jq -r '.manifests[0].digest' "$work/zstd/index.json")
config=$(jq -r .config.digest "$blobs/${first#*:}")
arch=$(jq -r .architecture "$blobs/${config#*:}")
jq '.architecture = "s390x" | .config.Cmd = ["other"]' "$blobs/${config#*:}" > "$work/blob"
put_blob "$work/zstd" "$work/blob"
jq --arg d "sha256:$digest" --argjson s "$size" '.config.digest = $d | .config.size = $s' "$blobs/${first#*:}" > "$work/blob"
put_blob "$work/zstd" "$work/blob"
jq --arg a "$arch" --arg d "sha256:$digest" --argjson s "$size" '.manifests[0].platform = {os: "linux", architecture: $a} |
	.manifests += [.manifests[0] | .digest = $d | .size = $s | .platform.architecture = "s390x"]' \
	"$work/zstd/index.json" > "$work/index" && mv "$work/index" "$work/zstd/index.json"
smr -q -s "$work/store" add --name there --platform linux/s390x "oci:$work/zstd"
smr -q -s "$work/store" add --name here --platform "linux/$arch" "oci:$work/zstd"
smr -s "$work/store" run-config there | grep -qx "$(printf 'cmd\tother')" || die "another platform was chosen"
smr -s "$work/store" run-config here | grep -qx "$(printf 'cmd\t/bin/bash')" || die "another platform was chosen"
must_fail 'has no image for linux/riscv64; it has' smr -s "$work/store" add --platform linux/riscv64 "oci:$work/zstd"
