#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The miss path: an empty cache each time, a web server on loopback, behind a link of 1 Gbit/s, and with 30 ms before each
# response.
. "$(dirname "$0")/lib.sh"
requires_fuse
requires_root
requires_netns
requires_program curl tc zstd

make_bench_store
mkdir -p "$work/mnt"
cleanup_fn umount_if_mounted "$work/mnt"
delay=0.030
readers=8

# ---- what is measured ----

# mount_cold URL OPTIONS [COMMAND...]: with an empty cache; wants mnt to be free.
mount_cold()
{
	local from=$1 options=$2
	shift 2
	rm -rf "$work/cold"
	mkdir -m 0700 "$work/cold"
	"$@" smrfs "$from" "$work/mnt" -o "cache=$work/cold,$options"
	cold_file=$work/mnt/bench.img
	# the recipe belongs to opening the image, not to reading it
	dd if="$cold_file" of=/dev/null bs=1 count=0 status=none
	stat "$cold_file" > /dev/null
}

umount_cold()
{
	umount "$work/mnt"
	# the daemon holds the cache until all of it is on disk
	wait_for 120 flock -n "$work/cold/lock" true
}

# The objects of the store as curl's configuration; `to` is what follows each.
url_list()
{
	local from=$1 to=$2
	(cd "$store" && find . -path '*/chunks/*' -type f) | sed "s|^\.|url = \"$from|; s|\$|\"|; a $to"
}

# curl_all LIST [COMMAND...]: into files in an empty folder, or nowhere, as the list says.
curl_all()
{
	rm -rf "$work/fetched"
	mkdir "$work/fetched"
	(cd "$work/fetched" && benchtool run "${@:2}" curl -sS --no-progress-meter --fail --parallel \
		--parallel-max 16 -K "$work/urls.$1")
}

read_all()
{
	benchtool run dd if="$cold_file" of=/dev/null bs=1M status=none
}

wire_bytes=$(find "$store" -path '*/chunks/*' -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.0f", n }')

serve "$store" 127.0.0.1 0
near=$url
url_list "$near" remote-name > "$work/urls.near"
url_list "$near" 'output = "/dev/null"' > "$work/urls.nowhere"

near_ours() { mount_cold "$near" timeout=60; sample near.ours read_all; umount_cold; }
near_curl() { sample near.curl curl_all near; }
near_nowhere() { sample near.nowhere curl_all nowhere; }
# What a cold read does beside fetching: the objects as chunks on disk, each with its hash known.
near_unpacked() { sample near.unpacked benchtool run "$work/unpack"; }
cat > "$work/unpack" <<-END
	#!/bin/sh -e
	rm -rf "$work/fetched"
	mkdir "$work/fetched"
	cd "$work/fetched"
	curl -sS --no-progress-meter --fail --parallel --parallel-max 16 -K "$work/urls.near"
	ls | xargs -n 64 -P "$(nproc)" zstd -dq --rm
	ls | xargs -n 64 -P "$(nproc)" sha256sum > /dev/null
END
chmod +x "$work/unpack"

make_link
serve "$store" 10.99.0.1 $delay "${server_run[@]}"
far=$url
url_list "$far" remote-name > "$work/urls.far"

far_ours() { mount_cold "$far" insecure,timeout=60 "${client_run[@]}"; sample far.ours read_all; umount_cold; }
far_curl() { sample far.curl curl_all far "${client_run[@]}"; }

serve "$store" 127.0.0.1 $delay
slow=$url
head -n 400 "$work/urls.nowhere" | sed "s|$near|$slow|" > "$work/urls.slow"

# Reads a second, and the median read in ms, of chunks that no two reads share.
seed=1
scattered()
{
	mount_cold "$slow" timeout=60
	sample "$1" benchtool cold "$cold_file" "$image" "$2" "$3" "$seed"
	umount_cold
	seed=$((seed + 1))
}
one_reader() { scattered one 1 64; }
many_readers() { scattered many "$readers" 64; }

# The origin's own answer, body included, on a connection that is open: ms. One after the other.
origin_answer()
{
	curl -sS --fail -w '%{time_total}\n' -K "$work/urls.slow" | awk '{ print $1 * 1000 }' | middle
}
answer_alone() { sample answer origin_answer; }

interleave near_ours near_curl near_nowhere near_unpacked
interleave far_ours far_curl
interleave one_reader many_readers answer_alone
keep cold

link_share() { awk -v t="$(median "$1")" -v b="$wire_bytes" 'BEGIN { printf "%.4f", b * 8 / t / 1e9 }'; }

table "cold: an empty cache, $(calc "$wire_bytes / 1e6" | cut -d. -f1) MB of objects over HTTP"
compare_times "sequential, loopback / curl --parallel into files" near.ours near.curl '>=' 0.9 figure s
compare_times "sequential, loopback / curl --parallel to /dev/null" near.ours near.nowhere - '' figure s
compare_times "sequential, loopback / curl, then zstd -d and sha256sum" near.ours near.unpacked - '' figure s
row "share of a 1 Gbit/s link, 30 ms a response" "$(figure far.ours s)" "-" "$(link_share far.ours)" '>=' 0.8
row "    curl --parallel into files on that link" "$(figure far.curl s)" "-" "$(link_share far.curl)" - ''
compare "scattered, $readers readers / 1, 30 ms a response" many one '>=' 6 figure /s %.0f
paste "$samples/one.2" "$samples/answer" | awk '{ print $1 - $2 }' > "$samples/extra"
row "first read of a cold chunk - origin's answer <= 3 ms" "$(figure one.2 ms)" "$(figure answer ms)" \
	"$(median extra)" '<=' 3
