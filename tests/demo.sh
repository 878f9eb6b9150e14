#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The whole way once, for somebody who has never seen it: a container image becomes a disk image in chunks, a web server serves
# them, smrfs mounts them, and the container's program runs from the mount. ./dev demo builds and starts it.
#
# usage: demo.sh BUILD-DIRECTORY      needs no root (then fuse2fs takes the place of the loop device)
# shellcheck disable=SC2119  # nginx_bytes and nginx_requests need no argument
. "$(dirname "$0")/system/functions.sh"

build=$(realpath "${1:?usage: demo.sh BUILD-DIRECTORY}")
PATH=$build/chunker/cmd:$build/fs:$PATH
name=debian_hello
bold='' dim='' off=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$'\033[1m' dim=$'\033[2m' off=$'\033[0m'
fi

step()
{
	printf '\n%s%s%s\n' "$bold" "$1" "$off"
	shift
	[ $# -eq 0 ] || printf '%s\n' "$@"
}

# show COMMAND ARG...: as one would type it. show_as TEXT COMMAND ARG...: where that reads better otherwise.
show()
{
	show_as "$*" "$@"
}

show_as()
{
	printf '%s    $ %s%s\n' "$dim" "$1" "$off"
	"${@:2}" | sed 's/^/    /'
}

human()
{
	numfmt --to=si --suffix=B --format=%.1f "$1" | sed 's/\([0-9]\)\([kKMGTB]\)/\1 \2/; s/ K/ k/'
}

# Run from inside of the mounted system, so nothing of this machine takes part.
in_image()
{
	if [ "$(id -u)" -eq 0 ]; then
		chroot "$@"
	elif unshare -r true 2> /dev/null; then
		unshare -r chroot "$@"
	else
		local root=$1 program=$2 loader
		shift 2
		loader=$(echo "$root"/lib64/ld-linux-*.so.*)
		PYTHONHOME=$root/usr "$loader" --library-path "$root/lib/$(uname -m)-linux-gnu" \
			"$root/usr/bin/$program" "$@"
	fi
}

mount_store()
{
	show smrfs "$nginx_url" mnt -o cache=cache < /dev/null
	cleanup_fn unmount_quietly "$work/mnt"
}

mount_image()
{
	local image=mnt/$name.img
	mkdir -p root
	if [ "$(id -u)" -eq 0 ] && losetup -f > /dev/null 2>&1; then
		show_as "losetup -r -f --show --direct-io=on $image" true
		attach_loop "$work/$image"
		echo "    $loop"
		show mount -o ro,noload "$loop" root
	else
		show fuse2fs -o ro "$image" root
	fi
	cleanup_fn unmount_quietly "$work/root"
}

unmount_quietly()
{
	is_mounted "$1" || return 0
	unmount "$1" 2> /dev/null || umount -l "$1" 2> /dev/null || fusermount3 -u -z "$1" 2> /dev/null
}

# The daemon ends a moment after its mount; the next one takes over the cache then.
unmount_all()
{
	if [ -n "${loop-}" ]; then
		show umount root
		show losetup -d "$loop"
		show umount mnt
		loop=
	else
		show_as "fusermount3 -u root" unmount root
		show_as "fusermount3 -u mnt" unmount mnt
	fi
}

fetched()
{
	printf '    fetched: %s in %s requests\n' "$(human "$(nginx_bytes)")" "$(nginx_requests)"
}

# run PROGRAM ARG... from the image
run()
{
	local quoted=$1 arg
	for arg in "${@:2}"; do
		case $arg in
		*[!a-zA-Z0-9/._-]*) quoted+=" '$arg'" ;;
		*) quoted+=" $arg" ;;
		esac
	done
	show_as "chroot root $quoted" in_image root "$@"
}

# What run-config says, by hand: smr starts no containers.
run_programs()
{
	run sed -n 's/^PRETTY_NAME=//p' /usr/lib/os-release
	run python3 /srv/hello.py
}

requires_fuse
requires_program jq
start=$(now_ms)
cd "$work"
umask 022

step "1. A container image" "Debian's smallest with python3; on that a layer that adds a program and removes documentation." \
	"Made of this machine's own packages, as an OCI layout (kept in .cache/)."
layout=$("$top/tests/demo-image.sh") || die "no container image"
# shellcheck source=tests/layout.sh
. "$top/tests/layout.sh"
cp -r "$layout" debian
layers_size=0
while read -r digest size _; do
	printf '    layer sha256:%s…  %10s\n' "${digest:0:12}" "$(human "$size")"
	layers_size=$((layers_size + size))
done < <(layout_layers debian hello)

step "2. Add it to a store" \
	"The layers are merged into one ext4 file system, which is cut into pieces of 512 KiB. Each is compressed and" \
	"stored under its SHA-256. Nothing is unpacked or mounted for that, and no root is needed."
show smr -s store add oci:debian:hello
store_size=$(du -sb store | cut -f1)

step "3. What it is" "A container's settings come along."
show smr -s store ls
show smr -s store run-config $name

step "4. A web server" "Any will do: the store is just files. Here it is nginx, on this machine."
start_nginx store
printf '    %s serves %s\n' "$nginx_url" "$(human "$store_size")"

step "5. Mount the store" "Nothing was downloaded yet, and there is the image again, in its full size:"
mkdir -p mnt
mount_store
show ls -lsh mnt
image_size=$(stat -c %s mnt/$name.img)
fetched

step "6. Mount the image" "The kernel reads a few blocks of it; only the chunks that hold them are fetched."
mount_image
fetched

step "7. Run programs from it"
run_programs
fetched
first=$(nginx_bytes)

step "8. Once more, from the cache" "Everything is unmounted and mounted again. What was fetched once is local now."
unmount_all
mount_store
mount_image
run_programs
again=$(($(nginx_bytes) - first))
unmount_all

step "What happened"
printf '    the layers, compressed %10s   (what a pull would fetch)\n' "$(human "$layers_size")"
printf '    the image              %10s   (ext4)\n' "$(human "$image_size")"
printf '    its chunks, compressed %10s\n' "$(human "$store_size")"
printf '    fetched to run         %10s   (%s %% of them)\n' "$(human "$first")" $((first * 100 / store_size))
printf '    fetched the next time  %10s   (asking what is new)\n' "$(human "$again")"
printf '    cache on disk          %10s   (not compressed, so that it can be mapped)\n' "$(human "$(du -sB1 cache | cut -f1)")"
printf '    time                   %8s.%s s   (the demo without building)\n' $((($(now_ms) - start) / 1000)) \
	$((($(now_ms) - start) % 1000 / 100))
printf '\nEverything is cleaned up. README.md says how to use it for real.\n'
