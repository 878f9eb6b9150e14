#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Container images of Debian and npm packages that share bases, as the tags of one OCI layout, built once and kept in .cache/ for
# the measurements. Each layer is what a package manager did to a running system, taken by umoci: whiteouts, package
# databases and all.
#
# usage: images.sh            prints the directory of the layout; needs root
#
#     base                    debootstrap, python3-minimal in it
#     python   python-app     on base: apt; on that: apt, documentation removed
#     python-app-2            the same with a package more, another day
#     node                    on base: apt
#     node-web node-web-2     on node: an npm application; another release of it
#     node-build node-build-2 on node: the tools of web developers; another release
#     java     gcc            on base: apt
#     large                   on gcc: npm; 3 layers, about 500 MB
#
# Safe to start several times at once: the first builds, the others wait.
set -euo pipefail
umask 022

top=$(cd "$(dirname "$0")/.." && pwd)
cache=${SMR_TEST_CACHE:-$top/.cache}
mkdir -p "$cache"
final=$(realpath "$cache")/images-v3
layout=$final.tmp
work=$final.work

say()
{
	echo "images: $*" >&2
}

# begin FROM: the tree of a tag, to be changed. Sets tree.
begin()
{
	rm -rf "$work"
	umoci unpack --image "$layout:$1" "$work" > "$final.log" 2>&1
	tree=$work/rootfs
	from=$1
}

# end TAG: what was changed since begin is a layer.
end()
{
	say "$1"
	umoci tag --image "$layout:$from" "$1"
	umoci repack --image "$layout:$1" "$work" >> "$final.log" 2>&1
	rm -rf "$work"
}

# inside COMMAND...: in the tree, with /proc, and with this machine's name servers and proxies.
inside()
{
	[ ! -e "$tree/etc/resolv.conf" ] || mv "$tree/etc/resolv.conf" "$work/resolv.conf"
	cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
	apt-config dump | grep -i '^Acquire::.*proxy' > "$tree/etc/apt/apt.conf.d/99build" || true
	echo 'APT::Sandbox::User "root";' >> "$tree/etc/apt/apt.conf.d/99build"
	printf '#!/bin/sh\nexit 101\n' > "$tree/usr/sbin/policy-rc.d"
	chmod 755 "$tree/usr/sbin/policy-rc.d"
	# shellcheck disable=SC2016  # for the shell in there
	unshare -m --propagation slave sh -ec 'mount -t proc proc "$0/proc"; root=$0; exec chroot "$root" "$@"' \
		"$tree" "$@" >> "$final.log" 2>&1
	rm -f "$tree/etc/resolv.conf" "$tree/etc/apt/apt.conf.d/99build" "$tree/usr/sbin/policy-rc.d"
	[ ! -e "$work/resolv.conf" ] || mv "$work/resolv.conf" "$tree/etc/resolv.conf"
}

# As a Dockerfile does it, with what was downloaded and indexed for it removed again.
apt_install()
{
	inside sh -ec 'export DEBIAN_FRONTEND=noninteractive
		apt-get update -q
		apt-get install -q -y --no-install-recommends "$@"
		rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log' sh "$@"
}

# npm_install FOLDER PACKAGE...
npm_install()
{
	local folder=$tree/$1
	shift
	mkdir -p "$folder"
	(cd "$folder" && echo '{"name": "app", "version": "1.0.0", "private": true}' > package.json &&
		npm install --no-audit --no-fund --no-update-notifier --ignore-scripts --cache "$cache/npm" "$@") \
		>> "$final.log" 2>&1
	chown -R 0:0 "$folder"
	find "$folder" -name .package-lock.json -delete
	cat > "$folder/index.js" <<-'END'
		require("http").createServer((q, r) => r.end("hello\n")).listen(8080);
	END
}

build()
{
	local rootfs
	local tools=(webpack@5.88.0 typescript@5.1.6 eslint@8.44.0 @babel/core@7.22.5 react@18.2.0 react-dom@18.2.0)
	rm -rf "$layout" "$work"
	rootfs=$("$top/tests/rootfs.sh")
	umoci init --layout "$layout"
	umoci new --image "$layout:empty"
	umoci config --image "$layout:empty" --config.cmd /bin/bash
	begin empty
	cp -a "$rootfs/." "$tree"
	rm -rf "$tree"/var/cache/apt/*
	end base

	begin base
	apt_install python3 python3-requests python3-yaml python3-numpy
	end python
	begin python
	apt_install python3-flask python3-sqlalchemy python3-pil
	find "$tree/usr/share/doc" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
	end python-app
	begin python
	apt_install python3-flask python3-sqlalchemy python3-pil python3-redis
	find "$tree/usr/share/doc" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
	end python-app-2

	begin base
	apt_install nodejs
	end node
	begin node
	npm_install srv/web express@4.18.2 lodash@4.17.20 moment@2.29.3 axios@1.4.0 pg@8.10.0 winston@3.8.2 \
		ejs@3.1.9 sequelize@6.31.0
	end node-web
	begin node
	npm_install srv/web express@4.18.3 lodash@4.17.21 moment@2.29.4 axios@1.4.0 pg@8.11.0 winston@3.8.2 \
		ejs@3.1.9 sequelize@6.32.0
	end node-web-2
	begin node
	npm_install srv/build "${tools[@]}"
	end node-build
	begin node
	npm_install srv/build webpack@5.88.2 typescript@5.1.6 eslint@8.45.0 @babel/core@7.22.9 react@18.2.0 react-dom@18.2.0
	end node-build-2

	begin base
	apt_install default-jre-headless
	end java
	begin base
	apt_install gcc make
	end gcc
	begin gcc
	npm_install srv/build "${tools[@]}"
	end large
}

# Not a function's last word: set -e holds inside of build() only as long as nobody asks how it ended.
report_failure()
{
	[ $? -eq 0 ] || { say "failed; $final.log ends with:"; tail -n 15 "$final.log" >&2; }
}

exec 9> "$cache/images.lock"
flock 9
if [ ! -d "$final" ]; then
	say "building container images (some minutes, once)"
	trap report_failure EXIT
	build
	umoci rm --image "$layout:empty"
	umoci gc --layout "$layout" >> "$final.log" 2>&1
	rm -f "$final.log"
	mv "$layout" "$final"
fi
echo "$final"
