#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Registries that lie are refused, each with what is wrong with it, soon and in little memory; the store and the layer cache have
# nothing of it.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"
requires_program python3 curl

start_tool port "$here/reghostile.py"
curl -fsS "http://127.0.0.1:$port/cases" > "$work/cases"
[ "$(wc -l < "$work/cases")" -gt 45 ]
smr -s "$work/store" add -q "127.0.0.1:$port/fine:1"
smr -s "$work/store" --json ls | jq -cS '[.images[].name]' > "$work/before"
mkdir "$work/tmp"
export TMPDIR=$work/tmp

# memory of SANITIZE builds is their own
limit_memory()
{
	[ -n "${SANITIZE-}" ] || ulimit -v 1500000
	"$@"
}

n=0
while IFS=$'\t' read -r name text; do
	n=$((n + 1))
	options=()
	[ "$name" != bomb ] || options=(--max-size 32M)
	if [ "$text" = - ]; then
		limit_memory timeout 60 smr -s "$work/$name" add -q "127.0.0.1:$port/$name:1" || die "$name is refused"
		continue
	fi
	status=0
	start=$(now_ms)
	(limit_memory timeout 60 smr -s "$work/store" add -q "${options[@]}" "127.0.0.1:$port/$name:1") > "$work/said" 2>&1 || status=$?
	[ "$status" -eq 1 ] || die "$name: status $status: $(head -c 500 "$work/said")"
	grep -qF -- "$text" "$work/said" || die "$name: does not say '$text': $(head -c 500 "$work/said")"
	[ "$(wc -l < "$work/said")" -eq 1 ] || die "$name: more than a line: $(head -c 500 "$work/said")"
	# what seems to be a broken connection is tried again
	[ $(($(now_ms) - start)) -lt 20000 ] || die "$name: takes too long"
done < "$work/cases"
echo "$n cases"

smr -s "$work/store" --json ls | jq -cS '[.images[].name]' | cmp - "$work/before" || die "something was published"
smr -s "$work/store" verify --data > "$work/verified"
[ -z "$(ls -A "$work/tmp")" ] || die "temporary files remain: $(ls -A "$work/tmp")"
for file in "$work/cache/layers"/*; do
	[ "$(sha256sum < "$file" | cut -d' ' -f1)" = "${file##*/}" ] || die "a wrong layer is kept"
done
