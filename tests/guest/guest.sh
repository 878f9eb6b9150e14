#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs a shell script in a small virtual machine: Debian's kernel, busybox, and the drivers that the tests need
# (virtio disk and network, ext4, nbd, loop). Works without KVM and without root.
#
# usage: guest.sh SCRIPT [QEMU-OPTION...]     e.g. guest.sh check.sh -drive file=x.img,format=raw,readonly=on,if=virtio
#        guest.sh --prepare                   only builds what is kept in .cache/
#
# Prints the script's output and exits with its status; 124 when the guest did not end in GUEST_TIMEOUT (default 180) seconds,
# 125 when it ended without a word. In the guest the host is 10.0.2.2. The kernel's messages go to GUEST_CONSOLE, if set.
set -euo pipefail
umask 022

here=$(cd "$(dirname "$0")" && pwd)
cache=${SMR_TEST_CACHE:-$here/../../.cache}
guest=$cache/guest-v1
modules=(virtio_pci virtio_blk virtio_net ext4 nbd loop)

say()
{
	echo "guest: $*" >&2
}

# The kernel package is only unpacked: installing it would make this machine boot it.
unpack_kernel()
{
	local to=$1 package
	package=$(apt-cache depends linux-image-amd64 |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	[ -n "$package" ] || { say "apt knows no package linux-image-amd64"; return 1; }
	say "downloading and unpacking $package (70 MB, once)"
	(cd "$to" && apt-get download "$package" > apt.log 2>&1) || { cat "$to/apt.log" >&2; return 1; }
	dpkg -x "$to"/linux-image-*.deb "$to/kernel"
	rm -f "$to"/linux-image-*.deb "$to/apt.log"
}

# Everything but the script, as a cpio archive. Modules are numbered in the order to load them.
build_initramfs()
{
	local to=$1 version file n=100 name
	local root=$to/root
	version=$(basename "$to"/kernel/lib/modules/*)
	mkdir -p "$root/bin" "$root/modules.d"
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$here/init" "$root/init"
	chmod 755 "$root/init"
	/sbin/depmod -b "$to/kernel" "$version"
	/sbin/modprobe -d "$to/kernel" -S "$version" --show-depends -a "${modules[@]}" |
		sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' > "$to/order"
	while read -r file; do
		name=$((n += 1))-$(basename "$file")
		cp "$file" "$root/modules.d/$name"
		echo "$name" >> "$root/modules"
	done < "$to/order"
	(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -1) > "$to/initramfs"
	mv "$to"/kernel/boot/vmlinuz-* "$to/vmlinuz"
	rm -rf "$root" "$to/kernel" "$to/order"
}

prepare()
{
	mkdir -p "$cache"
	exec 9> "$cache/guest.lock"
	flock 9
	if [ ! -d "$guest" ] || [ "$here/init" -nt "$guest/initramfs" ]; then
		rm -rf "$guest" "$guest.tmp"
		mkdir -p "$guest.tmp"
		unpack_kernel "$guest.tmp"
		build_initramfs "$guest.tmp"
		mv "$guest.tmp" "$guest"
	fi
	exec 9>&-
}

# The script travels in an archive behind the first one; the kernel reads both.
main()
{
	local script=$1 work status=0 said
	shift
	work=$(mktemp -d)
	# shellcheck disable=SC2064  # the value of now
	trap "rm -rf '$work'" EXIT
	cp "$script" "$work/script"
	(cd "$work" && echo script | cpio --quiet -o -H newc -R 0:0 | gzip -1) > "$work/last"
	cat "$guest/initramfs" "$work/last" > "$work/initramfs"
	timeout --foreground -k 5 "${GUEST_TIMEOUT:-180}" qemu-system-x86_64 \
		-accel "${GUEST_ACCEL:-tcg}" -m 512 -smp 1 -no-reboot -nodefaults -display none -monitor none \
		-kernel "$guest/vmlinuz" -initrd "$work/initramfs" \
		-append "console=ttyS0 quiet panic=-1 random.trust_cpu=on" \
		-serial "file:${GUEST_CONSOLE:-$work/console}" -serial "file:$work/output" \
		-nic user,model=virtio-net-pci "$@" < /dev/null || status=$?
	[ "$status" -eq 0 ] || say "qemu ended with status $status"
	[ -f "$work/output" ] || exit 125
	sed -e '/^guest-status: /d' "$work/output"
	said=$(sed -n 's/^guest-status: \([0-9]*\)$/\1/p' "$work/output" | tail -n 1)
	[ "$status" -eq 0 ] || exit "$status"
	if [ -z "$said" ]; then
		say "the guest ended without a status; its console:"
		tail -n 30 "${GUEST_CONSOLE:-$work/console}" >&2
		exit 125
	fi
	exit "$said"
}

case "${1-}" in
'' | --help) sed -n '3,10s/^# \{0,1\}//p' "$0"; [ -n "${1-}" ] || exit 2 ;;
--prepare) prepare ;;
*) prepare; main "$@" ;;
esac
