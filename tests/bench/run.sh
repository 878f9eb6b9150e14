#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Measures, as ratios: each figure of ours beside that of something known, taken in turns in the same run, so that a slow
# machine is slow for both. Prints a table for each part, medians of the rounds; what misses its target is marked.
#
# usage: run.sh BUILD-DIRECTORY [PART]...      all by default, `list` names them
#
# BENCH_ROUNDS      how often each is measured (5)
# BENCH_PATIENCE    seconds to wait for a busy machine before each measurement (20)
# BENCH_KEEP        a directory that gets the figures of every round
#
# The data are Debian and npm packages, downloaded once (about 600 MB) and kept in .cache/.
set -euo pipefail

build=$(realpath "${1:?usage: run.sh BUILD-DIRECTORY [PART]...}")
shift
here=$(cd "$(dirname "$0")" && pwd)
parts=()

usage()
{
	cat <<-'END'
		parts:
		  fuse      reading through the mount, pool warm
		  chunk     smr chunk of a large image
		  cold      reading with an empty cache, near and far from the origin
		  many      a store with a thousand recipes
		  evict     the local cache by itself: eviction, start, memory
		  build     smr build of a container image
		  share     what images that share layers take together
		  walk      attaching, mounting and listing an image, far from the origin
	END
}

[ $# -gt 0 ] || set -- fuse chunk cold many evict build share walk
for part; do
	case $part in
	a) parts+=(fuse) ;;
	b) parts+=(chunk) ;;
	c) parts+=(cold) ;;
	d) parts+=(many) ;;
	e) parts+=(evict) ;;
	fuse | chunk | cold | many | evict | build | share | walk) parts+=("$part") ;;
	list) usage; exit 0 ;;
	*) echo "run.sh: no part '$part'" >&2; usage >&2; exit 2 ;;
	esac
done

cmake --build "$build" --target bench > /dev/null
status=0
for part in "${parts[@]}"; do
	rc=0
	"$here/$part.sh" "$build" || rc=$?
	[ "$rc" -eq 0 ] || [ "$rc" -eq 77 ] || status=1
done
exit "$status"
