#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# No file of the host is touched but the source, the spool and the result, whatever an archive says: the paths that the program hands
# to the kernel for a hostile source are among those that it hands over for a harmless one in the same place.
. "$(dirname "$0")/functions.sh"
requires_no_sanitizer
requires_program strace python3 jq
strace -qq -e trace=none true 2> /dev/null || skip "strace may not trace here"

mkdir "$work/cases" "$work/tmp" "$work/out" "$work/victim"
export TMPDIR=$work/tmp
echo untouched > "$work/victim/file"

# paths FILE: what the calls in it name, a line each, without numbers of processes and descriptors
paths()
{
	grep -aoE '"([^"\\]|\\.)*"' "$1" | sed -E 's/[0-9]+/N/g' | sort -u
}

# traced SOURCE: status into $status, paths into $work/paths
traced()
{
	status=0
	strace -f -qq -s 8192 -e trace=%file,connect,bind,execve,chroot,mount -o "$work/trace" \
		smr -q build "$1" -o "$work/out/x.img" 2> "$work/message" || status=$?
	rm -f "$work/out/x.img"
	[ "$status" -le 1 ] || die "status $status: $(cat "$work/message")"
	paths "$work/trace" > "$work/paths"
}

# harmless SOURCE: may touch what it touches
harmless()
{
	traced "$1"
	[ "$status" -eq 0 ] || die "a harmless source is refused: $(cat "$work/message")"
	grep -qF '/out/x.img' "$work/paths" || die "nothing was traced"
	cp "$work/paths" "$work/allowed"
}

# no_other_paths WHAT
no_other_paths()
{
	comm -13 "$work/allowed" "$work/paths" > "$work/other"
	[ ! -s "$work/other" ] || { cat "$work/other" >&2; die "$1 touches other files"; }
}

echo "archives"
"$here/hostile.py" "$work/cases" > "$work/list"
mkdir "$work/benign"
echo x > "$work/benign/file"
tar -C "$work/benign" -cf "$work/x.tar" .
harmless "tar:$work/x.tar"
n=0
while IFS=$'\t' read -r file _; do
	cp "$work/cases/$file" "$work/x.tar"
	traced "tar:$work/x.tar"
	no_other_paths "$file"
	n=$((n + 1))
done < "$work/list"
echo "$n archives"
# and one that points at a file that it could reach
ln -s "$work/victim" "$work/benign/link"
mkdir "$work/benign/dir"
tar -C "$work/benign" -cf "$work/x.tar" .
rm "$work/benign/link"
mkdir "$work/benign/link"
echo touched > "$work/benign/link/file"
tar -C "$work/benign" -rf "$work/x.tar" --no-recursion link/file
traced "tar:$work/x.tar"
[ "$status" -eq 0 ] || die "refused: $(cat "$work/message")"
no_other_paths "a symlink to the host"

echo "docker archives"
mkdir "$work/docker"
tar -C "$work/benign" -cf "$work/docker/layer.tar" file
diff_id=$(sha256sum < "$work/docker/layer.tar" | cut -d' ' -f1)
# docker_archive CONFIG LAYER: names in its manifest.json
docker_archive()
{
	jq -n --arg d "sha256:$diff_id" '{os: "linux", architecture: "amd64", rootfs: {type: "layers", diff_ids: [$d]}}' > "$work/docker/config.json"
	jq -n --arg c "$1" --arg l "$2" '[{Config: $c, RepoTags: null, Layers: [$l]}]' > "$work/docker/manifest.json"
	tar -C "$work/docker" -cf "$work/x.tar" .
}
docker_archive config.json layer.tar
harmless "docker-archive:$work/x.tar"
for name in "$work/victim/file" ../victim/file ../../../../../../../../etc/passwd /etc/passwd . .. ''; do
	docker_archive config.json "$name"
	traced "docker-archive:$work/x.tar"
	[ "$status" -eq 1 ] || die "layer '$name' is not refused"
	no_other_paths "layer $name"
	docker_archive "$name" layer.tar
	traced "docker-archive:$work/x.tar"
	[ "$status" -eq 1 ] || die "config '$name' is not refused"
	no_other_paths "config $name"
done
mkdir "$work/docker/id"
for target in "$work/victim/file" ../../victim/file ../layer.tar; do
	ln -sfn "$target" "$work/docker/id/layer.tar"
	docker_archive config.json id/layer.tar
	traced "docker-archive:$work/x.tar"
	no_other_paths "a layer that is a symlink to $target"
done
[ "$status" -eq 0 ] || die "a layer that is a symlink to another is refused: $(cat "$work/message")"

[ "$(cat "$work/victim/file")" = untouched ] && [ "$(ls "$work/victim")" = file ] || die "the victim was touched"
[ -z "$(find "$work/out" "$work/tmp" -mindepth 1)" ] || die "something is left behind"
