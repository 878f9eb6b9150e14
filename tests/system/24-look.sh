#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What smr ls, info and diff say, in text and in JSON, against figures that are counted here.
. "$(dirname "$0")/functions.sh"
requires_program mke2fs jq

store=$work/store
c=$((512 * 1024))

# numbered FILE SLOT:VALUE...: an image whose chunk SLOT is filled with VALUE
numbered()
{
	local file=$1 pair
	shift
	truncate -s $((20 * c)) "$file"
	for pair; do
		# shellcheck disable=SC2016
		awk -v v="${pair#*:}" 'BEGIN { for (i = 0; i < 65536; i++) printf "%07d\n", v }' |
			dd of="$file" bs=$c seek="${pair%:*}" conv=notrunc iflag=fullblock status=none
	done
}

wire_bytes()
{
	smr -s "$store" verify --json "$@" | jq .stored_size
}

echo "an empty store"
mkdir "$work/nothing"
must_fail 'is not a store' smr -s "$work/nothing" ls
must_fail 'is not a store' smr -s "$work/nowhere" ls

numbered "$work/one.img" 0:1 1:2 5:3 19:4
numbered "$work/two.img" 0:1 3:3 4:5 5:6 6:7
smr -s "$store" chunk "$work/one.img" -q
smr -s "$store" chunk "$work/two.img" -q

echo "ls"
smr -s "$store" ls > "$work/out"
head -n 1 "$work/out" | grep -qE '^NAME +SIZE +DATA +CHUNKS +OWN +CREATED +SOURCE$'
[ "$(wc -l < "$work/out")" -eq 3 ]
grep -qE '^one +10\.5 MB +2\.1 MB +4 +[0-9.]+ k?B +20[0-9-]+ [0-9:]+ +-$' "$work/out"
if grep -q ' $' "$work/out"; then
	die "a line ends with a space"
fi
smr -s "$store" ls --json > "$work/json"
jq -e --argjson size $((20 * c)) --argjson data $((4 * c)) '.version == 1 and (.images | map(.name)) == ["one", "two"]
	and (.images[0] | .image_size == $size and .data_size == $data and .chunks == 4 and .chunk_size == 524288
	and .source == "" and (.created | test("^20..-..-..T..:..:..Z$")) and (.digest | length) == 64)' "$work/json" > /dev/null
both=$(wire_bytes)
one=$(wire_bytes one)
two=$(wire_bytes two)
jq -e --argjson one $((both - two)) --argjson two $((both - one)) \
	'(.images[0].own_size == $one) and (.images[1].own_size == $two)' "$work/json" > /dev/null

echo "info"
smr -s "$store" info one > "$work/out"
digest=$(jq -r '.images[0].digest' "$work/json")
grep -qx "pin  *one@sha256:$digest" "$work/out"
grep -q '(10485760 bytes)' "$work/out"
grep -q 'in 4 chunks of 512 KiB' "$work/out"
smr -s "$store" info "one@sha256:$digest" --json | jq -e --arg d "$digest" --argjson s "$one" --argjson own $((both - two)) \
	'.version == 1 and .digest == $d and .stored_size == $s and .own_size == $own and .slots == 20 and .chunks == 4
	and .layout == 0 and .source == null and .config == null' > /dev/null
must_fail 'no image three' smr -s "$store" info three

# expect_diff STATUS A B
expect_diff()
{
	local status=0
	smr -s "$store" diff "$2" "$3" > "$work/out" 2> "$work/err" || status=$?
	[ "$status" -eq "$1" ] || die "diff $2 $3 ends with $status: $(cat "$work/err")"
}

echo "diff"
expect_diff 1 one two
grep -qE '^shared +2 +chunks +[0-9.]+ k?B$' "$work/out"
grep -qE '^- one only +2 +chunks ' "$work/out"
grep -qE '^\+ two only +3 +chunks ' "$work/out"
smr -s "$store" diff one two --json > "$work/json" || true
jq -e --argjson a $((both - two)) --argjson b $((both - one)) '.version == 1 and .size_of == "stored" and .same_data == false
	and .shared.chunks == 2 and .a_only == {"chunks": 2, "size": $a} and .b_only == {"chunks": 3, "size": $b}' "$work/json" > /dev/null
expect_diff 0 one one
[ ! -s "$work/out" ]
smr -s "$store" chunk "$work/one.img" --name same -q
expect_diff 0 one same
numbered "$work/moved.img" 1:1 0:2 5:3 19:4
smr -s "$store" chunk "$work/moved.img" -q
expect_diff 1 one moved
grep -q 'the same chunks, in other places' "$work/out"
truncate -s $((21 * c)) "$work/moved.img"
smr -s "$store" chunk --chunk-size 64K "$work/one.img" --name fine -q 2> "$work/err"
expect_diff 1 one fine
grep -q 'nothing can be shared' "$work/out"
expect_diff 2 one nothing
grep -q '^smr: .*no image nothing' "$work/err"

echo "over http: the same, but for sizes that would take a request for each chunk"
start_nginx "$store"
smr -s "$nginx_url" ls --json | jq -e '(.images | length) == 5 and all(.images[]; .own_size == null)' > /dev/null
smr -s "$nginx_url" ls > "$work/out"
grep -qE '^one +10\.5 MB +2\.1 MB +4 +- +20' "$work/out"
smr -s "$nginx_url" info one --json | jq -e --arg d "$digest" '.digest == $d and .stored_size == null' > /dev/null
smr -s "$nginx_url" diff one two --json > "$work/json" || true
jq -e --argjson b $((3 * c)) '.size_of == "data" and .b_only.size == $b' "$work/json" > /dev/null
