#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The container image of the demo, made of Debian packages as a Dockerfile would, built once and kept in .cache/:
#
#     layer 1   the root file system of rootfs.sh
#     layer 2   the package figlet and a program; documentation, manuals and translations removed by whiteouts
#
# usage: demo-image.sh        prints the directory, an OCI image layout with the tag "hello"; needs no root
set -euo pipefail
umask 022

here=$(cd "$(dirname "$0")" && pwd)
cache=${SMR_TEST_CACHE:-$here/../.cache}
# shellcheck source=tests/layout.sh
. "$here/layout.sh"

rootfs=$("$here/rootfs.sh")
cache=$(realpath "$cache")
final=$cache/demo-${rootfs##*/}-v1
layout=$final.tmp

# tar_of TREE: as root owns it, whoever unpacked it.
tar_of()
{
	local owner=(--numeric-owner)
	[ "$(id -u)" -eq 0 ] || owner=(--owner=0 --group=0)
	tar -C "$1" -c "${owner[@]}" --sort=name --format=pax --pax-option=delete=atime,delete=ctime .
}

unpack_figlet()
{
	local debs=$layout.debs
	rm -rf "$debs"
	mkdir -p "$debs"
	(cd "$debs" && apt-get -q -o APT::Sandbox::User=root download figlet) > "$layout.log" 2>&1 || {
		echo "demo: apt-get download figlet failed:" >&2
		tail -n 5 "$layout.log" >&2
		return 1
	}
	dpkg-deb -x "$debs"/figlet_*.deb "$1"
	rm -rf "$debs" "$layout.log"
}

application()
{
	local tree=$1 folder
	mkdir -p "$tree/srv"
	cat > "$tree/srv/hello.py" <<-'END'
		import os
		image = os.popen("figlet-figlet -f slant smrfs").read()
		print(image + "hello from a python3 that was not here", 6 * 7, "seconds ago")
	END
	# what is below is gone, what this layer brings stays
	for folder in doc man locale; do
		mkdir -p "$tree/usr/share/$folder"
		: > "$tree/usr/share/$folder/.wh..wh..opq"
	done
	: > "$tree/etc/.wh.issue"
	: > "$tree/var/log/.wh.dpkg.log"
}

exec 9> "$cache/demo.lock"
flock 9
if [ ! -d "$final" ]; then
	rm -rf "$layout"*
	layout_new "$layout"
	tree=$layout.tree
	mkdir -p "$tree/etc" "$tree/var/log"
	unpack_figlet "$tree"
	application "$tree"
	layers=("$(tar_of "$rootfs" | layout_layer "$layout" gzip)" "$(tar_of "$tree" | layout_layer "$layout" gzip)")
	layout_image "$layout" hello \
		'{"Cmd":["python3","/srv/hello.py"],"Env":["PATH=/usr/bin:/bin"],"WorkingDir":"/srv"}' "${layers[@]}"
	rm -rf "$tree"
	mv "$layout" "$final"
fi
echo "$final"
