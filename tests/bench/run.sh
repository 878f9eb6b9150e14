#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Measures, as ratios: each figure of ours beside that of something known, taken in turns in the same run, so that a slow
# machine is slow for both. Prints a table for each part, medians of the rounds; what misses its target is marked.
#
# usage: run.sh BUILD-DIRECTORY [fuse|chunk|cold|many|evict]...      all by default; a, b, c, d, e are the same
#
# BENCH_ROUNDS      how often each is measured (5)
# BENCH_PATIENCE    seconds to wait for a busy machine before each measurement (20)
# BENCH_KEEP        a directory that gets the figures of every round
#
# The data are Debian packages, downloaded once (about 350 MB) and kept in .cache/.
set -euo pipefail

build=$(realpath "${1:?usage: run.sh BUILD-DIRECTORY [PART]...}")
shift
here=$(cd "$(dirname "$0")" && pwd)
parts=()

[ $# -gt 0 ] || set -- fuse chunk cold many evict
for part; do
	case $part in
	a | fuse) parts+=(fuse) ;;
	b | chunk) parts+=(chunk) ;;
	c | cold) parts+=(cold) ;;
	d | many) parts+=(many) ;;
	e | evict) parts+=(evict) ;;
	*) echo "run.sh: no part '$part': fuse, chunk, cold, many, evict" >&2; exit 2 ;;
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
