#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# `cmake --install` puts programs and man pages where packagers expect them, and every program has a page.
. "$(dirname "$0")/functions.sh"
requires_program cmake

DESTDIR=$work/root cmake --install "$BUILD_DIR" --prefix /usr > "$work/log"
for program in smr smrfs; do
	"$work/root/usr/bin/$program" --version > /dev/null || die "$program does not run from where it was installed"
	ls "$work/root/usr/share/man"/man[18]/$program.[18] > /dev/null || die "$program has no man page"
done

# what is installed names nothing of the machine that built it
(cd "$work/root" && find . -type f | sort) > "$work/files"
printf '%s\n' ./usr/bin/smr ./usr/bin/smrfs ./usr/share/bash-completion/completions/smr \
	./usr/share/man/man1/smr.1 ./usr/share/man/man8/smrfs.8 > "$work/expected"
diff "$work/expected" "$work/files"
