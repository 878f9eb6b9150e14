#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Ten mounts and the daemon: each chunk is fetched once, and the status says who has what open. Killed or ended, the daemon leaves the mounts
# as they are: one of them owns the cache from then on, which the commands ask in its place.
. "$(dirname "$0")/functions.sh"
. "$here/cached.sh"
requires_fuse
requires_program jq

head -c 8M /dev/urandom > "$work/base"
for image in a b; do
	{ cat "$work/base"; head -c 2M /dev/urandom; } > "$work/$image.img"
	smr -s "$work/store" chunk -q --chunk-size 64K "$work/$image.img"
done
start_nginx "$work/store"
start_cached --size 100M

for i in {0..9}; do
	mount_smrfs "$nginx_url" "$work/mnt$i" -o cache_size=100M
done
read_all()
{
	local i image pid readers=()
	for i in {0..9}; do
		for image in a b; do
			drop_page_cache "$work/mnt$i/$image.img"
			cmp "$work/mnt$i/$image.img" "$work/$image.img" &
			readers+=($!)
		done
	done
	for pid in "${readers[@]}"; do
		wait "$pid" || die "a mount reads other bytes"
	done
}
read_all
chunks=$(((8 + 2 * 2) * 16))
[ "$(nginx_requests /chunks/)" -eq "$chunks" ] || die "$(nginx_requests /chunks/) requests for $chunks chunks"
[ "$(head -n 1 "$work/cache/lock")" = "$cached_pid" ]

ask status --json > "$work/json"
jq -e --arg url "$nginx_url" --argjson chunks "$chunks" '
	.cache.chunks == $chunks and .fetches.chunks == $chunks and
	(.images | map({name, mounted, local_chunks}) ==
		[{name: "a", mounted: 10, local_chunks: 160}, {name: "b", mounted: 10, local_chunks: 160}]) and
	all(.images[]; .pool_gets + .origin_gets >= 160 and .failed_gets == 0) and
	([.clients[] | select(.name | startswith("smrfs"))] | length == 10 and all(.answered > 0 and .in_flight == 0)) and
	(.stores | length == 1) and .stores[0].url == $url and .stores[0].origin.gets >= $chunks and
	.stores[0].origin.latency.p50_us > 0 and .stores[0].origin.latency.p99_us >= .stores[0].origin.latency.p50_us and
	.pool.gets + .stores[0].origin.gets == ([.clients[].answered] | add) and
	([.pool.latency.buckets[][1]] | add) == .pool.gets
' "$work/json" > /dev/null || die "$(cat "$work/json")"
ask status > "$work/text"
grep -qE "% from $nginx_url \(median [0-9]" "$work/text" || die "$(cat "$work/text")"
grep -qE '^a +10 +10\.5 MB +10\.5 MB$' "$work/text" || die "$(cat "$work/text")"

# somebody's mount goes: so does the client
umount_smrfs "$work/mnt9"
nine()
{
	[ "$(status_of '[.clients[] | select(.name | startswith("smrfs"))] | length')" = 9 ]
}
wait_for 5 nine
[ "$(image_of a mounted)" = 9 ]

kill_cached
mount_smrfs "$nginx_url" "$work/mnt9"
read_all
owner=$(status_of .cache.pid)
[ "$owner" = "$(head -n 1 "$work/cache/lock")" ]
case " ${smrfs_pids[*]} " in
*" $owner "*) ;;
*) die "the cache is owned by $owner, which is no mount" ;;
esac
must_fail "in use by process $owner" smr-cached --cache "$work/cache"
must_say 'a: all 160 chunks are here, 0 of them new' ask hydrate --wait -s "$nginx_url" a
[ "$(nginx_requests /chunks/)" -eq "$chunks" ] || die "chunks were fetched again"

# without mounts, the daemon owns it again; its clean end is noticed by those that came meanwhile
for i in {0..9}; do
	umount_smrfs "$work/mnt$i"
done
start_cached --size 100M
for i in {0..9}; do
	mount_smrfs "$nginx_url" "$work/mnt$i" -o cache_size=100M
done
[ "$(head -n 1 "$work/cache/lock")" = "$cached_pid" ]
read_all
stop_cached
read_all
[ "$(nginx_requests /chunks/)" -eq "$chunks" ] || die "chunks were fetched again after the daemon had ended"
for i in {0..9}; do
	umount_smrfs "$work/mnt$i"
done
