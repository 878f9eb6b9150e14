#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A frontend that comes later joins the one that owns the cache; when that is unmounted, the next one owns it, and nothing is fetched
# again. -o socket= names another meeting place.
. "$(dirname "$0")/functions.sh"
requires_fuse

head -c 8M /dev/urandom > "$work/a.img"
smr -s "$work/store" chunk -q --chunk-size 128K "$work/a.img"
start_nginx "$work/store"

owner()
{
	head -n 1 "$work/cache/lock"
}

is_owner()
{
	[ "$(owner)" = "${smrfs_pids[$1]}" ]
}

read_all()
{
	drop_page_cache "$1/a.img"
	same_bytes "$1/a.img" "$work/a.img"
}

mount_smrfs "$nginx_url" "$work/first"
is_owner "$work/first" || die "the first mount does not own its cache"
[ "$(stat -c '%F %a' "$work/cache/cached.sock")" = 'socket 660' ] || die "$(stat "$work/cache/cached.sock")"
head -c 4M "$work/first/a.img" | cmp - <(head -c 4M "$work/a.img")
mount_smrfs "$nginx_url" "$work/second"
is_owner "$work/first" || die "the second mount took the cache over"
read_all "$work/second"
read_all "$work/first"
[ "$(nginx_requests /chunks/)" -eq 64 ] || die "$(nginx_requests /chunks/) chunks were fetched, not 64"

umount_smrfs "$work/first"
wait_for 5 is_owner "$work/second"
mount_smrfs "$nginx_url" "$work/third"
read_all "$work/second"
read_all "$work/third"
[ "$(nginx_requests /chunks/)" -eq 64 ] || die "chunks were fetched again after the owner had gone"
umount_smrfs "$work/third"
umount_smrfs "$work/second"

# a socket elsewhere: whoever names it joins, whatever cache directory it would have made
mount_smrfs "$nginx_url" "$work/first" -o "socket=$work/meet"
mount_smrfs "$nginx_url" "$work/second" -o "socket=$work/meet,cache=$work/other"
read_all "$work/second"
[ ! -e "$work/other" ] || die "a cache of its own was made"
# who looks for the owner at the cache's own socket is told whose it is
must_fail "in use by process ${smrfs_pids[$work/first]}" smrfs -f "$nginx_url" "$work/third" -o "cache=$work/cache"
umount_smrfs "$work/second"
umount_smrfs "$work/first"
[ "$(nginx_requests /chunks/)" -eq 64 ] || die "chunks were fetched again"
