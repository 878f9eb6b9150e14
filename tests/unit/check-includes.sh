#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Holds the sources to the one direction in which folders may depend, and foreign libraries to their one place:
#
#   core <- store <- { build <- cmd,  cached <- { fs, nbd } }        nothing else
#
# usage: check-includes.sh TREE       0: as it should be; 1: each offending line is printed
#        check-includes.sh --self-test
set -euo pipefail
export LC_ALL=C

check()
{
	local tree=$1 sources
	mapfile -t sources < <(cd "$tree" && find chunker cached fs nbd -name '*.[ch]' 2>/dev/null | sort)
	[ ${#sources[@]} -gt 0 ] || { echo "$tree: no sources found" >&2; return 1; }
	(cd "$tree" && awk '
	BEGIN {
		# what each folder may include beside itself
		may["chunker/core"] = ""
		may["chunker/store"] = "chunker/core"
		may["chunker/build"] = "chunker/core chunker/store"
		may["chunker/cmd"] = "chunker/core chunker/store chunker/build"
		may["cached"] = "chunker/core chunker/store"
		may["fs"] = may["nbd"] = "chunker/core chunker/store cached"
		# who may include a foreign header: header pattern -> pattern of the including path
		only["^lmdb[.]h$"] = "^cached/index[.]c$"
		only["^curl/"] = "^chunker/store/transport[.]c$"
		only["^(archive|archive_entry)[.]h$"] = "^chunker/build/"
		only["^(ext2fs|e2p|et)/"] = "^chunker/build/"
		only["^systemd/"] = "^cached/serve"
		only["^(fuse.*[.]h|fuse3/.*|linux/fuse[.]h)$"] = "^fs/"
	}
	function complain(why) {
		printf "%s:%d: %s\n", FILENAME, FNR, why
		bad = 1
	}
	function folder(path) {
		sub("/[^/]*$", "", path)
		return path
	}
	# "a/b/../c" -> "a/c"; what leaves the tree keeps its ".."
	function resolve(path,    n, parts, i, out, depth, stack) {
		n = split(path, parts, "/")
		for (i = 1; i <= n; i++) {
			if (parts[i] == "" || parts[i] == ".")
				continue
			if (parts[i] == ".." && depth > 0 && stack[depth] != "..")
				depth--
			else
				stack[++depth] = parts[i]
		}
		for (i = 1; i <= depth; i++)
			out = out (i > 1 ? "/" : "") stack[i]
		return out
	}
	function check_own(header,    from, to, allowed, n, i) {
		from = folder(FILENAME)
		to = folder(resolve(from "/" header))
		if (!(from in may)) {
			complain(from " is not a folder of the design")
			return
		}
		n = split(from " " may[from], allowed, " ")
		for (i = 1; i <= n; i++)
			if (to == allowed[i])
				return
		complain(from " may not include from " to ": " header)
	}
	/^[ \t]*#[ \t]*include/ {
		rest = $0
		sub(/^[ \t]*#[ \t]*include[ \t]*/, "", rest)
		if (rest !~ /^("[^"]+"|<[^>]+>)/) {
			complain("an include that cannot be checked: " rest)
			next
		}
		header = substr(rest, 2)
		sub(/[">].*$/, "", header)
		for (pattern in only)
			if (header ~ pattern && FILENAME !~ only[pattern])
				complain(header " may be included only by " only[pattern])
		if (rest ~ /^"/)
			check_own(header)
		else if (header ~ /^(chunker|cached|fs|nbd|core|store|build|cmd)\// || header ~ /[.][.]/)
			complain("own headers are included by \"relative path\": " header)
	}
	END { exit bad }' "${sources[@]}")
}

# Trees of one file each: what must be refused, and what must not.
self_test()
{
	local work failed=0 verdict path line want
	work=$(mktemp -d)
	# shellcheck disable=SC2064  # the value of now
	trap "rm -rf '$work'" EXIT
	while IFS='|' read -r want path line; do
		rm -rf "$work/tree"
		mkdir -p "$work/tree/$(dirname "$path")"
		echo "$line" > "$work/tree/$path"
		verdict=refused
		check "$work/tree" > "$work/out" && verdict=accepted
		if [ "$verdict" != "$want" ]; then
			echo "self-test: $path with '$line' was $verdict"
			failed=1
		elif [ "$verdict" = refused ] && ! grep -q "^$path:1: " "$work/out"; then
			echo "self-test: the complaint about $path does not name the line:"
			cat "$work/out"
			failed=1
		fi
	done <<-'END'
		accepted|chunker/core/a.c|#include "buf.h"
		accepted|chunker/store/a.c|#include "../core/buf.h"
		accepted|chunker/store/transport.c|#include <curl/curl.h>
		accepted|chunker/build/a.c|#include <ext2fs/ext2fs.h>
		accepted|chunker/cmd/a.c|#include "../build/cutter.h"
		accepted|cached/a.c|#include "../chunker/store/store.h"
		accepted|cached/index.c|#include <lmdb.h>
		accepted|fs/a.c|#include "../cached/image.h"
		accepted|fs/a.h|#include <fuse_lowlevel.h>
		accepted|nbd/a.c|#include "../cached/./image.h"
		accepted|fs/a.c|// #include "../chunker/build/cutter.h"
		refused|chunker/core/a.c|#include "../store/store.h"
		refused|chunker/core/a.h|#include "../../cached/cache.h"
		refused|chunker/store/a.c|#include "../build/cutter.h"
		refused|chunker/store/a.c|#include "../../cached/../cached/pool.h"
		refused|chunker/build/a.c|#include "../cmd/cmd.h"
		refused|chunker/build/a.c|#include "../../cached/pool.h"
		refused|chunker/cmd/a.c|#include "../../cached/engine.h"
		refused|cached/a.c|  #  include "../chunker/build/cutter.h"
		refused|cached/a.c|#include "../fs/fs.h"
		refused|fs/a.c|#include "../nbd/nbd.h"
		refused|nbd/a.c|#include "../fs/fs.h"
		refused|fs/a.c|#include "../../elsewhere/x.h"
		refused|fs/sub/a.c|#include "x.h"
		refused|cached/pool.c|#include <lmdb.h>
		refused|cached/index.h|#include <lmdb.h>
		refused|cached/engine.c|#include <systemd/sd-daemon.h>
		refused|chunker/store/http.c|#include <curl/curl.h>
		refused|chunker/store/http.c|#include "curl/easy.h"
		refused|cached/a.c|#include <archive.h>
		refused|chunker/cmd/a.c|#include <ext2fs/ext2_fs.h>
		refused|cached/a.c|#include <fuse3/fuse_lowlevel.h>
		refused|nbd/a.c|#include <fuse.h>
		refused|cached/a.c|#include <linux/fuse.h>
		refused|cached/a.c|#include <chunker/core/buf.h>
		refused|cached/a.c|#include HEADER
	END
	[ "$failed" -eq 0 ] && echo "self-test: all verdicts are right"
	return "$failed"
}

case "${1-}" in
--self-test) self_test ;;
'' | -*) echo "usage: ${0##*/} TREE | --self-test" >&2; exit 2 ;;
*) check "$1" && echo "includes keep to the design" ;;
esac
