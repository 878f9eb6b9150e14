#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The status in its three forms says what happened: what is here, from where, how fast, what failed.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_program jq

make_random_image one 2
make_random_image two 1
start_origin "$work/store"
start_cached --size 100M --store "main=$origin_url"
ask hydrate -q --wait one
ask pin -q two

# JSON: exact
ask status --json > "$work/json"
jq -e --arg dir "$work/cache" --arg url "$origin_url" --argjson pid "$cached_pid" '
	.version == 1 and .cache.directory == $dir and .cache.pid == $pid and .cache.size == 104857600 and
	.cache.chunks == 32 and .cache.bytes == 2097152 and .cache.full == 0 and .cache.condemned_bytes == 0 and
	.fetches.chunks == 32 and .fetches.in_flight == 0 and .gets.in_flight == 0 and .evicted.chunks == 0 and
	.errors == {missing: 0, corrupt: 0, unreachable: 0, pool_corrupt: 0, last_hour: 0} and
	(.stores | length) == 1 and .stores[0].url == $url and
	(.images | map(.name)) == ["one", "two"] and
	(.images[0] | .chunks == 32 and .local_chunks == 32 and .bytes == 2097152 and .local_bytes == 2097152 and .pinned == 0) and
	(.images[1] | .chunks == 16 and .local_chunks == 0 and .pinned == 1) and
	(.clients | length) == 1 and .clients[0].name == "smr-cached status" and .clients[0].uid == '"$(id -u)"'
' "$work/json" > /dev/null || die "$(cat "$work/json")"

# what goes wrong is counted by kind
origin_fault status '/chunks/' status=404
must_fail '16 of 16 chunks could not be fetched' ask hydrate --wait two
[ "$(status_of .errors.missing)" = 16 ]
[ "$(status_of .errors.last_hour)" = 16 ]
origin_do clear
origin_fault bitflip '/chunks/'
must_fail '16 of 16 chunks could not be fetched' ask hydrate --wait two
[ "$(status_of .errors.corrupt)" = 16 ]
origin_do clear
ask hydrate -q --wait two
[ "$(image_of two local_chunks)" = 16 ]

# for people
ask status > "$work/text"
grep -qE "^cache    $work/cache   3\.[0-9]+ MB of 105 MB, 48 chunks   up " "$work/text"
grep -qE '^errors   32 in the last hour; since the start 16 missing, 16 corrupt, 0 unreachable' "$work/text"
grep -qE '^one +0 +2\.1 MB +2\.1 MB$' "$work/text"
grep -qE '^two +0 +1 MB +1 MB, pinned$' "$work/text"

# for Prometheus: each line is one of its grammar; each metric is announced once, before it; histograms ascend up to their count
ask status --prometheus > "$work/metrics"
awk '
	/^# HELP [a-z_]+ ./ { next }
	/^# TYPE [a-z_]+ (counter|gauge|histogram)$/ { if ($3 in type) fail("twice"); type[$3] = $4; next }
	/^#/ { fail("comment") }
	!/^[a-z_]+(\{[a-z]+="([^"\\]|\\["\\n])*"(,[a-z]+="([^"\\]|\\["\\n])*")*\})? [0-9]+(\.[0-9]+)?$/ { fail("form") }
	{
		name = $1
		sub(/\{.*/, "", name)
		base = name
		sub(/_(bucket|sum|count)$/, "", base)
		if (!(name in type) && type[base] != "histogram")
			fail("unannounced")
		if (type[name] == "counter" && name !~ /_total$/)
			fail("counter")
		series = $0
		sub(/ [^ ]*$/, "", series)
		if (series in seen)
			fail("again")
		seen[series] = 1
		if (name == base "_bucket") {
			if (series ~ /le="\+Inf"/) last = $NF
			sub(/,le=.*/, "", series)
			if (series == before && $NF < n) fail("descends")
			before = series
			n = $NF
		}
		if (name == base "_count" && $NF != last) fail("count")
	}
	function fail(why) { print why ": " $0; bad = 1; exit }
	END { exit bad }' "$work/metrics" || die "not of the text format"
grep -qx 'smr_pool_chunks 48' "$work/metrics"
grep -qx 'smr_errors_total{kind="missing"} 16' "$work/metrics"
grep -q "^smr_image_local_chunks{image=\"one\",digest=\"[0-9a-f]*\",store=\"$origin_url\"} 32\$" "$work/metrics"
stop_cached
