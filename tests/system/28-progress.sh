#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Progress is for terminals only, comes after a second, fits the terminal, and leaves it as it was.
. "$(dirname "$0")/functions.sh"
requires_program script mke2fs

make_rootfs
make_image "$rootfs" "$work/root.img"

# on_terminal COLUMNS COMMAND: what the terminal was sent, into $work/typescript. The store is new each time, and the
# level one that takes seconds.
on_terminal()
{
	rm -rf "$work/store"
	script -qefc "stty cols $1; $2" /dev/null > "$work/typescript" < /dev/null
}

# Each drawing of the line, without colour.
drawings()
{
	tr '\r' '\n' < "$work/typescript" | sed 's/\x1b\[[0-9]*m//g; s/\x1b\[K$//' | grep -aE '^ ? ?(chunk|[0-9]).*B' | grep -avE '^ ? ?chunks|: '
}

slow="smr -s $work/store chunk -j 1 --level 12 $work/root.img"

echo "a line with a bar, erased at the end, and then the summary"
TERM=xterm on_terminal 80 "$slow"
drawings > "$work/lines"
grep -aqE '^  chunk  #*\.*  [0-9.]+ [kMG]B  [0-9.]+ [kMG]?B/s$' "$work/lines"
tr '\n' '~' < "$work/typescript" | grep -aq $'\r\x1b\\[K[^\x1b]*root@sha256:' || die "the line is not erased"
grep -aq $'\x1b\\[36m' "$work/typescript" || die "no colour"

echo "narrow terminals"
for columns in 46 30 20 9; do
	TERM=xterm on_terminal $columns "$slow"
	drawings > "$work/lines"
	[ -s "$work/lines" ] || die "nothing on $columns columns"
	[ "$(awk -v n=$columns 'length >= n' "$work/lines")" = '' ] || die "too wide for $columns columns"
done

echo "block characters where the locale has them"
if LC_ALL=C.UTF-8 locale charmap 2> /dev/null | grep -qx UTF-8; then
	LC_ALL=C.UTF-8 TERM=xterm on_terminal 80 "$slow"
	grep -aq '█' "$work/typescript"
	grep -aq '░' "$work/typescript"
fi

echo "NO_COLOR, -q, a dumb terminal, no terminal, and what takes no second"
NO_COLOR=1 TERM=xterm on_terminal 80 "$slow"
[ -n "$(drawings)" ]
if grep -aq $'\x1b\\[[0-9]*m' "$work/typescript"; then
	die "NO_COLOR is not obeyed"
fi
TERM=xterm on_terminal 80 "$slow -q"
[ ! -s "$work/typescript" ]
TERM=dumb on_terminal 80 "$slow"
[ -z "$(drawings || true)" ]
TERM=xterm on_terminal 80 "$slow 2> $work/err"
[ ! -s "$work/err" ]
TERM=xterm on_terminal 80 "$slow -q; smr -s $work/store chunk $work/root.img --name again"
[ -z "$(drawings || true)" ]

echo "nobody gets an image on a terminal"
must_fail 'not for a terminal' script -qefc "smr -s $work/store cat root" /dev/null
