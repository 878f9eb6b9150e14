#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Options, help, configuration and exit statuses of smr.
. "$(dirname "$0")/functions.sh"
requires_program jq

verbs=(chunk import ls info cat verify diff rm)

# expect STATUS COMMAND...
expect()
{
	local want=$1 status=0
	shift
	"$@" > "$work/out" 2> "$work/err" || status=$?
	[ "$status" -eq "$want" ] || die "status $status instead of $want: $*: $(cat "$work/err")"
}

# expect_usage TEXT COMMAND...: status 2, one line that says it, nothing on standard output
expect_usage()
{
	local text=$1
	shift
	expect 2 "$@"
	grep -qF -- "$text" "$work/err" || die "does not say '$text': $* says: $(cat "$work/err")"
	[ "$(wc -l < "$work/err")" -eq 1 ]
	[ ! -s "$work/out" ]
}

echo "help"
expect 0 smr --help
for verb in "${verbs[@]}"; do
	grep -q "^  $verb " "$work/out" || die "$verb is not in the help"
done
expect 0 smr help
expect 0 smr help diff
grep -q '^usage: .* diff ' "$work/out"
expect_usage "no command 'nothing'" smr help nothing
expect 0 smr --version
grep -qE '^smr [0-9]+\.[0-9]+\.[0-9]+$' "$work/out"
for verb in "${verbs[@]}"; do
	expect 0 env SMR_STORE=/my/store smr "$verb" --help
	[ ! -s "$work/err" ]
	grep -q "^usage: smr \[-s STORE\] $verb " "$work/out"
	grep -q "^  smr -s /my/store $verb" "$work/out"
	grep -qE '^  store +/my/store$' "$work/out"
	[ "$(awk 'length > 100' "$work/out")" = '' ] || die "$verb --help is too wide"
	expect 0 smr "$verb" -h
done
expect 0 smr chunk --help
grep -qE "^  jobs +$(nproc)$" "$work/out"
grep -qE '^  level +3$' "$work/out"
expect 0 smr add --help
grep -qE '^  level +6$' "$work/out"

echo "the example of the help works"
head -c 3000000 /dev/urandom > "$work/debian.img"
expect 0 env SMR_STORE="$work/store" smr chunk --help
(cd "$work" && eval "$(sed -n 's/^  \(smr -s .*\)/\1/p' "$work/out")" > "$work/example")
for verb in info 'cat' 'verify' 'rm'; do
	expect 0 env SMR_STORE="$work/store" smr "$verb" --help
	(cd "$work" && eval "$(sed -n 's/^  \(smr -s .*\)/\1/p' "$work/out")" > "$work/example") || die "the example of $verb"
done

echo "usage errors"
expect_usage 'which command' smr
expect_usage "no command 'frobnicate'" smr frobnicate
expect_usage '-Z' smr -Z ls
expect_usage 'no store is given' smr ls
export SMR_STORE=$work/store
expect_usage 'FILE.img is missing' smr chunk
expect_usage "unexpected 'b'" smr chunk a b
expect_usage 'needs a value' smr chunk a --name
expect_usage '--bogus' smr chunk a --bogus
expect_usage '--json=yes' smr ls --json=yes
expect_usage '1 to 22' smr chunk --level 23 a
expect_usage '1 to 256' smr chunk -j 0 a
expect_usage 'not a size' smr chunk --chunk-size large a
expect_usage 'power of two' smr chunk --chunk-size 3M a
expect_usage 'cannot be the name' smr chunk --name .. a
expect_usage '--chunks' smr import x.recipe
expect_usage 'A B is missing' smr diff a
expect_usage '--json needs -o' smr cat debian --json
expect_usage 'NAME... is missing' smr rm

echo "options on either side of the verb"
expect 0 smr --json ls
jq -e .version "$work/out" > /dev/null
expect 0 smr ls --json -s "$work/store"
expect 1 smr -s "$work/none" ls
expect 0 smr -s "$work/none" ls -s "$work/store"
expect 0 smr info -- debian
expect 0 smr verify debian --data

echo "trouble is 1, of diff 2"
expect 1 smr info nothing
expect 2 smr diff debian nothing
for full in ls 'info debian' 'verify' 'diff debian debian --json' 'ls --json' '--help'; do
	status=0
	# shellcheck disable=SC2086  # words
	smr $full > /dev/full 2> "$work/err" || status=$?
	[ "$status" -ge 1 ] || die "smr $full > /dev/full succeeds"
	grep -q 'No space left' "$work/err"
done
status=0
smr ls >&- 2> "$work/err" || status=$?
[ "$status" -eq 1 ]

echo "configuration: flag, environment, file"
unset SMR_STORE
cat > "$work/conf" <<-END
	store = $work/store  # a comment
	level = 7
	jobs = 3
	chunk_size = 1M
END
export SMR_CONF=$work/conf
expect 0 smr info debian
expect 0 smr chunk --help
grep -qE '^  level +7$' "$work/out"
grep -qE '^  jobs +3$' "$work/out"
grep -q '1024 KiB' "$work/out"
SMR_STORE=$work/none expect 1 smr ls
expect 0 smr -s "$work/new" chunk "$work/debian.img" --json
jq -e '.chunk_size == 1048576' "$work/out" > /dev/null
echo 'level = many' >> "$work/conf"
expect 1 smr ls
grep -q "conf:5" "$work/err"
expect 0 smr ls --help
sed -i 's/^level = 7/level = 99/; $d' "$work/conf"
expect 1 smr chunk "$work/debian.img"
grep -q 'level' "$work/err"
