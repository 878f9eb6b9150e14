#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A real root file system of Debian packages, built once and kept in .cache/, for tests and the demo.
#
# usage: rootfs.sh            prints the directory that holds the tree
#
# As root it is debootstrap's minimal system (configured, owned by root). Without root, or where debootstrap
# cannot work, the packages are unpacked only: enough to run programs from. Either way python3 is inside.
# Safe to start several times at once: the first builds, the others wait.
set -euo pipefail
umask 022

top=$(cd "$(dirname "$0")/.." && pwd)
cache=${SMR_TEST_CACHE:-$top/.cache}
kind=full
[ "$(id -u)" -eq 0 ] || kind=unpacked
tree=$cache/rootfs-$kind-v1

say()
{
	echo "rootfs: $*" >&2
}

# Mirror and suite that this machine's apt uses.
mirror_and_suite()
{
	local codename
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	# shellcheck disable=SC2016  # apt fills these in
	apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		awk -v want="$codename" '$2 == want { print; exit }'
}

build_full()
{
	local to=$1 mirror suite
	read -r mirror suite < <(mirror_and_suite) || true
	[ -n "${suite-}" ] || { say "apt knows no mirror of this release"; return 1; }
	say "debootstrap --variant=minbase $suite (about half a minute, once)"
	if ! debootstrap --variant=minbase --include=python3-minimal "$suite" "$to" "$mirror" \
		> "$to.log" 2>&1; then
		say "debootstrap failed (last lines of $to.log):"
		tail -n 5 "$to.log" >&2
		return 1
	fi
	rm -f "$to.log"
	# Downloads and lists are half of it, and no image would carry them.
	rm -rf "$to"/var/cache/apt/archives/*.deb "$to"/var/lib/apt/lists/* "$to"/var/cache/debconf/*-old
}

# The packages and all that they depend on, one name a line.
closure()
{
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances "$@" | grep -E '^[a-z0-9]' | grep -v ':' | sort -u
}

build_unpacked()
{
	local to=$1 debs=$1.debs dir deb packages
	say "unpacking packages (a few seconds, once)"
	mkdir -p "$to" "$debs"
	mapfile -t packages < <(closure base-files base-passwd bash coreutils dash findutils grep sed gzip \
		tar util-linux procps libc-bin perl-base python3-minimal)
	(cd "$debs" && apt-get download "${packages[@]}") > "$to.log" 2>&1 || {
		say "apt-get download failed:"
		tail -n 5 "$to.log" >&2
		return 1
	}
	rm -f "$to.log"
	for dir in bin sbin lib lib64; do
		mkdir -p "$to/usr/$dir"
		ln -s "usr/$dir" "$to/$dir"
	done
	for deb in "$debs"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x --keep-directory-symlink --no-same-owner -C "$to"
	done
	printf 'root:x:0:0:root:/root:/bin/bash\n' > "$to/etc/passwd"
	printf 'root:x:0:\n' > "$to/etc/group"
	chmod -R u+rwX "$to"
	rm -rf "$debs"
}

mkdir -p "$cache"
exec 9> "$cache/rootfs.lock"
flock 9
if [ ! -d "$tree" ]; then
	rm -rf "$tree".tmp*
	if [ "$kind" = unpacked ] || ! build_full "$tree.tmp"; then
		rm -rf "$tree".tmp*
		build_unpacked "$tree.tmp"
	fi
	mv "$tree.tmp" "$tree"
fi
echo "$tree"
