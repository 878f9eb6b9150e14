# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034  # what functions set, parts use
# What the parts of the benchmark share. On top of the functions of the system tests: data, rounds, and the table.
. "$(dirname "${BASH_SOURCE[0]}")/../system/functions.sh"

build=$(realpath "${1:?usage: ${0##*/} BUILD-DIRECTORY}")
PATH=$build/chunker/cmd:$build/fs:$build/tests/bench:$PATH
rounds=${BENCH_ROUNDS:-5}
samples=$work/samples
mkdir -p "$samples"

# ---- data ----

# What images hold: programs, libraries, sources, documents, fonts, many small files.
packages=(chromium firefox-esr libreoffice-core libreoffice-common golang-1.19-go golang-1.19-src
	openjdk-17-jre-headless gcc-12 libllvm14 fonts-noto-cjk python3-scipy texlive-latex-extra)
data_mb=1600
image_mib=3072

# unpack_packages TREE: on top of what is there, until it holds data_mb.
unpack_packages()
{
	local tree=$1 package deb
	for package in "${packages[@]}"; do
		[ "$(du -s -B 1000000 "$tree" | cut -f1)" -lt "$data_mb" ] || return 0
		echo "bench: unpacking $package" >&2
		mkdir -p "$tree.debs"
		(cd "$tree.debs" && apt-get download -q "$package" > /dev/null 2>&1) || {
			echo "bench: no package $package; going on without" >&2
			continue
		}
		for deb in "$tree.debs"/*.deb; do
			dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$tree"
		done
		rm -rf "$tree.debs"
	done
}

# The image: image_mib MiB with data_mb MB in it. Sets image; kept in .cache/.
make_bench_image()
{
	local dir=$SMR_TEST_CACHE/bench-v1
	image=$dir/bench.img
	[ ! -f "$image" ] || return 0
	requires_root # the tree belongs to root
	make_rootfs
	mkdir -p "$dir"
	rm -rf "$dir/tree"
	cp -a "$rootfs" "$dir/tree"
	unpack_packages "$dir/tree"
	make_image "$dir/tree" "$image.tmp" "$image_mib"
	mv "$image.tmp" "$image"
	rm -rf "$dir/tree"
}

# The image's store. Sets store.
make_bench_store()
{
	make_bench_image
	store=$work/store
	smr -q -s "$store" chunk "$image" --name bench > /dev/null
}

# ---- rounds ----

# sample NAME COMMAND ARG...: runs it; the words it prints become samples of NAME, NAME.2, NAME.3, ...
sample()
{
	local name=$1 words i
	shift
	read -r -a words < <("$@") || true
	[ ${#words[@]} -gt 0 ] || die "printed no figure: $*"
	echo "${words[0]}" >> "$samples/$name"
	for ((i = 1; i < ${#words[@]}; i++)); do
		echo "${words[i]}" >> "$samples/$name.$((i + 1))"
	done
}

# Jiffies of all CPUs so far: busy ones, and all.
jiffies()
{
	awk '/^cpu / { for (i = 2; i <= 9; i++) all += $i; print all - $5 - $6, all }' /proc/stat
}

# Waits until the machine has little else to do, at most BENCH_PATIENCE seconds; then goes on all the same, and says so in
# the table.
wait_quiet()
{
	local deadline=$((SECONDS + ${BENCH_PATIENCE:-20})) busy all busy_before all_before
	while :; do
		read -r busy_before all_before < <(jiffies)
		sleep 0.3
		read -r busy all < <(jiffies)
		[ $(((busy - busy_before) * 100)) -gt $(((all - all_before) * 15)) ] || return 0
		if [ "$SECONDS" -ge "$deadline" ]; then
			disturbed=$((disturbed + 1))
			return 0
		fi
	done
}
disturbed=0

# interleave FUNCTION...: all functions in turn, `rounds` times. Each calls sample.
interleave()
{
	local round function
	for ((round = 0; round < rounds; round++)); do
		for function; do
			wait_quiet
			"$function"
		done
	done
}

middle()
{
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

median()
{
	middle < "$samples/$1"
}

# ratio A B: the median of the rounds' own ratios A/B, so that what disturbs a whole round does not count.
ratio()
{
	paste "$samples/$1" "$samples/$2" | awk '{ printf "%.4f\n", $1 / $2 }' | middle
}

# calc EXPRESSION: awk's arithmetic.
calc()
{
	awk "BEGIN { printf \"%.4f\n\", $* }"
}

# ---- the table ----

table()
{
	printf '\n%s\n' "$1"
	[ "$disturbed" -eq 0 ] || echo "    (the machine was busy with other things in $disturbed measurements)"
	printf '    %-52s %14s %14s %8s %8s\n' '' ours reference ratio target
}

# row WHAT OURS REFERENCE RATIO COMPARISON TARGET: the comparison is >= or <=, or - where there is no target.
row()
{
	local mark=''
	if [ "$5" != - ] && ! awk "BEGIN { exit !($4 $5 $6) }"; then
		mark='  MISSED'
	fi
	printf '    %-52s %14s %14s %8.3f %8s%s\n' "$1" "$2" "$3" "$4" "${5#-}${6-}" "$mark"
}

rate()
{
	awk -v v="$(median "$1")" 'BEGIN { printf "%.2f GB/s", v / 1e9 }'
}

# figure NAME UNIT [FORMAT]
figure()
{
	# shellcheck disable=SC2059  # the format is ours
	printf "${3:-%.2f} %s" "$(median "$1")" "$2"
}

# compare WHAT A B COMPARISON TARGET SHOW ARG...: a row of two samples and their ratio.
compare()
{
	local what=$1 a=$2 b=$3 how=$4 target=$5
	shift 5
	row "$what" "$("$1" "$a" "${@:2}")" "$("$1" "$b" "${@:2}")" "$(ratio "$a" "$b")" "$how" "$target"
}

# keep PART: the figures of all rounds, for whoever wants to look closer.
keep()
{
	[ -z "${BENCH_KEEP-}" ] || { mkdir -p "$BENCH_KEEP/$1" && cp "$samples"/* "$BENCH_KEEP/$1/"; }
}

# compare_times: as compare, of two times, for who wants a ratio of speeds.
compare_times()
{
	local what=$1 a=$2 b=$3 how=$4 target=$5
	shift 5
	row "$what" "$("$1" "$a" "${@:2}")" "$("$1" "$b" "${@:2}")" "$(ratio "$b" "$a")" "$how" "$target"
}

# ---- origins ----

# The module that lets nginx wait before it answers; unpacked, like nginx itself where that is not installed.
echo_module()
{
	local dir=$SMR_TEST_CACHE/nginx-echo-v1 module
	module=$dir/usr/lib/nginx/modules/ngx_http_echo_module.so
	if [ ! -f "$module" ]; then
		mkdir -p "$dir"
		(cd "$dir" && apt-get download -q libnginx-mod-http-echo > /dev/null 2>&1 &&
			dpkg -x libnginx-mod-http-echo_*.deb . && rm -f ./*.deb) ||
			die "apt-get download libnginx-mod-http-echo failed"
	fi
	echo "$module"
}

# serve DIRECTORY ADDRESS DELAY [COMMAND...]: nginx on a free port of ADDRESS, each response DELAY seconds late (0: at once),
# started through COMMAND (a network namespace). Sets url.
serve()
{
	local root=$1 address=$2 delay=$3 module='' locations dir pid
	shift 3
	requires_program nginx
	root=$(realpath "$root")
	dir=$(mktemp -d "$work/nginx.XXXX")
	locations="root $root;"
	if [ "$delay" != 0 ]; then
		module="load_module $(echo_module);"
		locations="location / { echo_sleep $delay; echo_exec @file; } location @file { root $root; }"
	fi
	free_port
	cat > "$dir/nginx.conf" <<-END
		$module
		user root;
		worker_processes 2;
		daemon off;
		pid $dir/pid;
		error_log $dir/error.log;
		events { worker_connections 4096; }
		http {
			access_log off;
			client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3;
			uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
			sendfile on; tcp_nopush on; keepalive_requests 1000000; etag on;
			default_type application/octet-stream;
			server { listen $address:$port backlog=4096; $locations }
		}
	END
	"$@" nginx -e "$dir/error.log" -p "$dir" -c "$dir/nginx.conf" > "$dir/output" 2>&1 &
	pid=$!
	cleanup_fn stop_process "$pid"
	url=http://$address:$port
	wait_for 10 test -s "$dir/pid"
}

# ---- a network of its own: the origin in one namespace, the client in another, 1 Gbit/s from one to the other ----

# make_link: sets server_run and client_run, which start a command on either side; the server is 10.99.0.1.
make_link()
{
	local server=smr-bench-s$$ client=smr-bench-c$$
	for space in "$server" "$client"; do
		ip netns add "$space"
		cleanup_fn ip netns del "$space"
		ip -n "$space" link set lo up
	done
	ip -n "$server" link add wire type veth peer name wire netns "$client"
	ip -n "$server" addr add 10.99.0.1/24 dev wire
	ip -n "$client" addr add 10.99.0.2/24 dev wire
	ip -n "$server" link set wire up
	ip -n "$client" link set wire up
	# 1 ms of burst is what a network card's queue holds; the limit is a switch's buffer
	tc -n "$server" qdisc add dev wire root tbf rate 1gbit burst 128kb limit 4mb
	# nsenter, not ip netns exec: that has a mount namespace of its own, which would hide the mount from us
	server_run=(nsenter "--net=/run/netns/$server")
	client_run=(nsenter "--net=/run/netns/$client")
}
