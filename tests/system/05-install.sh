#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# `cmake --install` puts programs, man pages and units where packagers expect them; every program has a page, units start what was
# installed, and that of the daemon lets it do little else than its work.
. "$(dirname "$0")/functions.sh"
requires_program cmake

DESTDIR=$work/root cmake --install "$BUILD_DIR" --prefix /usr > "$work/log"
for program in smr smrfs smr-cached; do
	"$work/root/usr/bin/$program" --version > /dev/null || die "$program does not run from where it was installed"
	ls "$work/root/usr/share/man"/man[18]/$program.[18] > /dev/null || die "$program has no man page"
done

# what is installed names nothing of the machine that built it
(cd "$work/root" && find . -type f | sort) > "$work/files"
printf '%s\n' ./usr/bin/smr ./usr/bin/smr-cached ./usr/bin/smrfs \
	./usr/lib/systemd/system/smr-cached.service ./usr/lib/systemd/system/smr-cached.socket \
	./usr/lib/systemd/system/smrfs@.service ./usr/lib/sysusers.d/smr.conf ./usr/lib/tmpfiles.d/smr.conf \
	./usr/share/bash-completion/completions/smr ./usr/share/bash-completion/completions/smr-cached \
	./usr/share/man/man1/smr.1 ./usr/share/man/man8/smr-cached.8 ./usr/share/man/man8/smrfs.8 > "$work/expected"
diff "$work/expected" "$work/files"

units=$work/root/usr/lib/systemd/system
grep -qx 'ExecStart=/usr/bin/smr-cached --cache /var/cache/smr' "$units/smr-cached.service"
grep -q '^ExecStart=/usr/bin/smrfs ' "$units/smrfs@.service"

# completion answers in the words of --help
completions()
{
	PATH=$work/root/usr/bin:$PATH bash -c '
		. "$1"
		shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		compopt() { :; }
		_smr_cached
		echo "${COMPREPLY[*]}"' - "$work/root/usr/share/bash-completion/completions/smr-cached" "$@"
}
[ "$(completions smr-cached '')" = 'status pin unpin hydrate scrub' ] || die "completes to: $(completions smr-cached '')"
[ "$(completions smr-cached hydrate --w)" = --wait ]
[ "$(completions smr-cached --min)" = --min-free ]

systemd-analyze security --help > "$work/help" 2> /dev/null || true
if grep -q -- --offline "$work/help"; then
	systemd-analyze security --offline=yes --threshold=15 --no-pager "$units/smr-cached.service" > "$work/security" ||
		die "$(tail -n 1 "$work/security")"
	# they refer to programs and pages that are not installed on this machine, and it says so; nothing else may be wrong
	systemd-analyze verify --recursive-errors=no --man=no "$units/smr-cached.service" "$units/smr-cached.socket" \
		"$units/smrfs@x.service" 2> "$work/verify" || true
	grep -F "$units" "$work/verify" > "$work/wrong" || true
	grep -E '(smr-cached|smrfs).*(Unknown|Failed to parse|Invalid|ignoring)' "$work/verify" >> "$work/wrong" || true
	[ ! -s "$work/wrong" ] || die "$(cat "$work/wrong")"
fi
if command -v systemd-sysusers > /dev/null; then
	mkdir -p "$work/root/etc"
	systemd-sysusers --root="$work/root" > "$work/log" 2>&1 || die "$(cat "$work/log")"
	grep -q '^smr:.*:/var/cache/smr:' "$work/root/etc/passwd"
fi
