# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034  # what functions set, tests use
# What the system tests share. A test begins with
#
#     . "$(dirname "$0")/functions.sh"
#     requires_root
#
# and then has: an empty folder $work that is removed at the end; stop at the first failing command, with its line;
# everything that these functions start, mount or attach is taken down in reverse order, however the test ends.
#
# Exit status 77 is a skip. With CI=true a missing program is a failure: ./dev deps has to install it.

set -Eeuo pipefail
umask 022

# where the test's own files are
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
export SMR_TEST_CACHE=${SMR_TEST_CACHE:-$top/.cache}
# nothing of the machine's own configuration takes part
export SMR_CONF='' LC_ALL=C
unset SMR_STORE SMR_CACHE http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
PATH=$PATH:/usr/sbin:/sbin
PATH=$PATH:$SMR_TEST_CACHE/nginx-v1/usr/sbin:$SMR_TEST_CACHE/docker-registry-v1/usr/bin # where ./dev unpacks them

# ---- ending ----

declare -a cleanups=()

# cleanup_fn COMMAND ARG...: run at the end, the last one first.
cleanup_fn()
{
	cleanups+=("$(printf '%q ' "$@")")
}

run_cleanups()
{
	local status=$? i
	trap - EXIT ERR
	trap '' INT TERM
	set +eu
	for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do
		eval "${cleanups[i]}"
	done
	exit "$status"
}

report_failure()
{
	local status=$? i
	[ "$BASH_SUBSHELL" -eq 0 ] || return "$status"
	echo "FAIL: \`$1\` ended with status $status, at" >&2
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		echo "    ${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]} (${FUNCNAME[i]})" >&2
	done
	return "$status"
}

trap run_cleanups EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'report_failure "$BASH_COMMAND"' ERR

die()
{
	echo "FAIL: $*" >&2
	exit 1
}

# A reason that the machine gives and no package could cure.
skip()
{
	echo "skipped: $*"
	exit 77
}

# ---- what a test needs ----

requires_program()
{
	local program
	for program; do
		if ! command -v "$program" > /dev/null; then
			[ "${CI-}" != true ] || die "$program is not installed (./dev deps installs it)"
			skip "$program is not installed"
		fi
	done
}

requires_root()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

requires_fuse()
{
	requires_program fusermount3
	{ : <> /dev/fuse; } 2> /dev/null || skip "/dev/fuse cannot be opened"
}

requires_loop()
{
	requires_root
	requires_program losetup
	losetup -f > /dev/null 2>&1 || skip "no loop devices here"
}

requires_netns()
{
	requires_root
	requires_program ip unshare
	unshare -n true 2> /dev/null || skip "network namespaces cannot be made here"
}

# own_mounts [ARG...]: from here on, mounts are seen by this test and what it starts only; others may still take down theirs. Call it
# first: it starts the test anew, with these arguments.
own_mounts()
{
	local status=0
	[ -z "${IN_OWN_MOUNTS-}" ] || return 0
	requires_root
	requires_program unshare
	unshare -m true 2> /dev/null || skip "mount namespaces cannot be made here"
	IN_OWN_MOUNTS=1 unshare -m --propagation slave "$0" "$@" || status=$?
	exit "$status"
}

# Sanitizers make programs slow, and some things mean little then.
requires_no_sanitizer()
{
	[ -z "${SANITIZE-}" ] || skip "not under -fsanitize=$SANITIZE"
}

requires_xattrs_at()
{
	requires_program setfattr
	local probe=$1/.xattr-probe
	: > "$probe"
	setfattr -n user.probe -v x "$probe" 2> /dev/null || skip "$1 holds no user xattrs"
	rm -f "$probe"
}

# ---- waiting and timing ----

# wait_for SECONDS COMMAND ARG...: until the command succeeds.
wait_for()
{
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || die "still not true: $*"
		sleep 0.05
	done
}

now_ms()
{
	echo $((${EPOCHREALTIME/./} / 1000))
}

# within SECONDS COMMAND ARG...: the command's status, but a failure if it takes longer.
within()
{
	local limit=$1 start status=0
	shift
	start=$(now_ms)
	timeout -k 1 "$((limit + 20))" "$@" || status=$?
	local took=$(($(now_ms) - start))
	[ "$took" -le $((limit * 1000)) ] || die "took $took ms instead of at most $limit s: $*"
	return "$status"
}

# must_fail TEXT COMMAND ARG...: the command fails, and says TEXT.
must_fail()
{
	local text=$1 status=0
	shift
	"$@" > "$work/must_fail.out" 2>&1 || status=$?
	[ "$status" -ne 0 ] || die "succeeded, should not: $*"
	grep -qF -- "$text" "$work/must_fail.out" ||
		die "does not say '$text': $* says: $(head -c 500 "$work/must_fail.out")"
}

# must_say TEXT COMMAND ARG...: the command succeeds, and says TEXT. (`| grep -q` would end before the command has.)
must_say()
{
	local text=$1
	shift
	"$@" > "$work/must_say.out" 2>&1 || die "status $?: $*: $(head -c 500 "$work/must_say.out")"
	grep -qF -- "$text" "$work/must_say.out" ||
		die "does not say '$text': $* says: $(head -c 500 "$work/must_say.out")"
}

# ---- processes ----

# stop_process PID: TERM, KILL after five seconds, and a wait. Fine if it is gone.
stop_process()
{
	local pid=$1 i
	kill -TERM "$pid" 2> /dev/null
	for ((i = 0; i < 100; i++)); do
		kill -0 "$pid" 2> /dev/null || break
		sleep 0.05
	done
	kill -KILL "$pid" 2> /dev/null
	wait "$pid" 2> /dev/null || true
}

# takes_signals PID PROGRAM: it runs and waits for signals (smr blocks and reads them), or it is gone. Before, one would simply kill it.
takes_signals()
{
	local name='' key value state='' blocked=0
	while read -r key value; do
		case $key in
		Name:) name=$value ;;
		State:) state=${value%% *} ;;
		SigBlk:) blocked=$value ;;
		esac
	done 2> /dev/null < "/proc/$1/status" || return 0
	[ "$state" = Z ] || { [ "$name" = "$2" ] && ((0x$blocked >> 14 & 1)); } # SIGTERM
}

# signal_after SECONDS SIGNAL PROGRAM ARG...: counted from when it takes signals. Its status into $status, output and messages into
# $work/signalled.out and .err. Background jobs of a script ignore SIGINT, and what nohup starts SIGHUP; env undoes it.
signal_after()
{
	local delay=$1 signal=$2 pid try
	shift 2
	env --default-signal=INT,HUP "$@" > "$work/signalled.out" 2> "$work/signalled.err" &
	pid=$!
	for ((try = 0; try < 10000; try++)); do
		! takes_signals "$pid" "$1" || break
		sleep 0.002
	done
	sleep "$delay"
	kill "-$signal" "$pid" 2> /dev/null || true
	status=0
	wait "$pid" || status=$?
}

# signal_in_time MS K N SIGNAL:STATUS UNDO PROGRAM ARG...: signals it at K of N parts of the time that it is thought to take. That is a
# guess on a machine with neighbours: where the program has ended well by then, UNDO puts things back and half the delay is tried,
# until the program ends by the signal.
signal_in_time()
{
	local ms=$(($1 * $2 / $3)) signal=${4%:*} want=${4#*:} undo=$5 try
	shift 5
	for ((try = 0; try < 12; try++)); do
		signal_after "$((ms / 1000)).$(printf %03d $((ms % 1000)))" "$signal" "$@"
		[ "$status" -ne "$want" ] || return 0
		[ "$status" -eq 0 ] || die "status $status after SIG$signal: $(cat "$work/signalled.err")"
		"$undo"
		ms=$((ms / 2))
	done
	die "SIG$signal never came in time: $*"
}

# free_port: a loopback port that nobody listens on, below the range that clients draw theirs from. Into $port.
free_port()
{
	while :; do
		port=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
		(: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null || return 0
	done
}

# ---- origins ----

# start_nginx DIRECTORY [CERTIFICATE KEY]: serves it, by https (HTTP/2 offered) with a certificate.
# Sets nginx_url, nginx_log (method, path, status, bytes a line) and nginx_pid.
start_nginx()
{
	local root tls='' scheme=http try
	root=$(realpath "$1")
	requires_program nginx
	if [ $# -eq 3 ]; then
		scheme=https
		tls="ssl_certificate $(realpath "$2"); ssl_certificate_key $(realpath "$3");"
	fi
	local dir
	dir=$(mktemp -d "$work/nginx.XXXX")
	nginx_log=$dir/access.log
	for try in 1 2 3 4 5; do
		free_port
		cat > "$dir/nginx.conf" <<-END
			$([ "$(id -u)" -ne 0 ] || echo 'user root;')
			worker_processes 2;
			daemon off;
			pid $dir/pid;
			error_log $dir/error.log;
			events { worker_connections 4096; }
			http {
				log_format counted '\$request_method \$uri \$status \$body_bytes_sent';
				access_log $nginx_log counted;
				client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3;
				uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
				sendfile on; tcp_nopush on; keepalive_requests 1000000; etag on;
				default_type application/octet-stream;
				server {
					listen 127.0.0.1:$port backlog=4096 $([ $scheme = http ] || echo 'ssl http2');
					$tls
					root $root;
				}
			}
		END
		nginx -e "$dir/error.log" -p "$dir" -c "$dir/nginx.conf" > "$dir/output" 2>&1 &
		nginx_pid=$!
		while kill -0 "$nginx_pid" 2> /dev/null; do
			if [ -s "$dir/pid" ] && (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
				cleanup_fn stop_process "$nginx_pid"
				nginx_url=$scheme://127.0.0.1:$port
				return 0
			fi
			sleep 0.02
		done
	done
	cat "$dir/output" "$dir/error.log" >&2
	die "nginx does not start (tried $try times)"
}

# shellcheck disable=SC2120  # the argument is optional
# nginx_requests [REGEX]: how many requests for matching paths were answered; nginx_bytes: with how many bytes.
nginx_requests()
{
	awk -v re="${1-}" '$2 ~ re { n++ } END { print n + 0 }' "$nginx_log"
}

nginx_bytes()
{
	awk -v re="${1-}" '$2 ~ re { n += $4 } END { printf "%.0f\n", n }' "$nginx_log"
}

# make_certificate: a certificate for 127.0.0.1 that is its own authority: $work/cert.pem, $work/key.pem.
make_certificate()
{
	requires_program openssl
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 \
		-addext subjectAltName=IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/cert.pem" 2> /dev/null
}

# start_origin DIRECTORY: the origin with faults (origin.py). Sets origin_url, origin_control and origin_pid.
start_origin()
{
	local data control
	requires_program python3 curl jq
	python3 "$here/origin.py" "$1" > "$work/origin.ports" 2> "$work/origin.log" &
	origin_pid=$!
	cleanup_fn stop_process "$origin_pid"
	wait_for 10 test -s "$work/origin.ports"
	read -r data control < "$work/origin.ports"
	origin_url=http://127.0.0.1:$data
	origin_control=http://127.0.0.1:$control
}

# origin_fault MODE [MATCH-REGEX [KEY=NUMBER...]]: the modes are listed in origin.py; origin_fault stall '/chunks/' count=2
origin_fault()
{
	local rule key
	rule=$(jq -cn --arg mode "$1" --arg match "${2-}" '{$mode, $match}')
	for key in "${@:3}"; do
		rule=$(jq -c --arg k "${key%%=*}" --arg v "${key#*=}" '.[$k] = ($v | tonumber? // $v)' <<< "$rule")
	done
	curl -fsS -d "$rule" "$origin_control/rule" > /dev/null
}

# origin_do clear|down|up|reset
origin_do()
{
	curl -fsS -X POST "$origin_control/$1" > /dev/null
}

# origin_requests [REGEX]: requests for matching paths that have ended.
origin_requests()
{
	curl -fsS "$origin_control/log" | jq --arg re "${1-}" '[.[] | select(.path | test($re))] | length'
}

# origin_stat KEY: requests, bytes, connections, in_flight, max_in_flight
origin_stat()
{
	curl -fsS "$origin_control/stats" | jq ".$1"
}

# ---- smrfs ----

declare -A smrfs_pids=()

# Reads mountinfo: asking the mount itself could hang on what is being tested.
is_mounted()
{
	awk -v mnt="$1" '$5 == mnt { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# mount_smrfs STORE MOUNTPOINT [-o OPTIONS] [ARG...]: in the foreground of a background job, so that its pid is known:
# smrfs_pids[MOUNTPOINT]. The cache is $work/cache unless the options name one. Its stderr goes to $work/smrfs.log.
mount_smrfs()
{
	local store=$1 mnt options='' pid
	shift
	mkdir -p "$1"
	mnt=$(realpath "$1")
	shift
	if [ "${1-}" = -o ]; then
		options=$2
		shift 2
	fi
	case ",$options" in
	*,cache=*) ;;
	*) options=cache=$work/cache${options:+,$options} ;;
	esac
	smrfs -f "$store" "$mnt" -o "$options" "$@" 2>> "$work/smrfs.log" &
	pid=$!
	smrfs_pids[$mnt]=$pid
	cleanup_fn drop_smrfs "$mnt" "$pid"
	wait_for 30 smrfs_is_up "$mnt" "$pid"
}

smrfs_is_up()
{
	if ! kill -0 "$2" 2> /dev/null; then
		cat "$work/smrfs.log" >&2
		die "smrfs ended before it had mounted"
	fi
	is_mounted "$1"
}

unmount()
{
	local i
	if [ "$(id -u)" -eq 0 ]; then
		umount "$1"
		return
	fi
	# fuse2fs holds its image open for a moment after its own mount is gone
	for ((i = 0; i < 50; i++)); do
		fusermount3 -u "$1" 2> /dev/null && return
		sleep 0.1
	done
	fusermount3 -u "$1"
}

# umount_smrfs MOUNTPOINT: a clean end; a failure if smrfs does not end with status 0 (sanitizers report that way).
umount_smrfs()
{
	local mnt pid status=0
	mnt=$(realpath "$1")
	pid=${smrfs_pids[$mnt]}
	unmount "$mnt"
	wait "$pid" || status=$?
	unset "smrfs_pids[$mnt]"
	if [ "$status" -ne 0 ]; then
		cat "$work/smrfs.log" >&2
		die "smrfs ended with status $status"
	fi
}

# kill_smrfs MOUNTPOINT: kill -9, and the dead mount taken away.
kill_smrfs()
{
	local mnt=$1 pid=${smrfs_pids[$1]}
	kill -KILL "$pid"
	wait "$pid" 2> /dev/null || true
	unset "smrfs_pids[$mnt]"
	if [ "$(id -u)" -eq 0 ]; then
		umount -l "$mnt"
	else
		fusermount3 -u -z "$mnt"
	fi
}

# For cleanup: whatever state it is in.
drop_smrfs()
{
	if is_mounted "$1"; then
		unmount "$1" 2> /dev/null || umount -l "$1" 2> /dev/null || fusermount3 -u -z "$1" 2> /dev/null
	fi
	stop_process "$2"
}

# drop_page_cache FILE...: the kernel forgets what it holds of the files.
drop_page_cache()
{
	local file
	for file; do
		dd if="$file" iflag=nocache count=0 status=none
	done
}

# ---- images and loop devices ----

# make_rootfs: a real root file system, not to be written to. Sets rootfs.
make_rootfs()
{
	rootfs=$("$top/tests/rootfs.sh") || die "no root file system"
}

# make_image TREE FILE [SIZE-IN-MIB]: ext4 with the tree in it. Without a size, a fifth and 32 MiB are free.
make_image()
{
	local tree=$1 file=$2 mib=${3-}
	[ -n "$mib" ] || mib=$(($(du -sm --apparent-size "$tree" | cut -f1) * 6 / 5 + 32))
	rm -f "$file"
	truncate -s "${mib}M" "$file"
	mke2fs -q -t ext4 -b 4096 -m 0 -O ^has_journal,^resize_inode,^metadata_csum -L smr \
		-E lazy_itable_init=0,nodiscard -d "$tree" "$file"
}

# attach_loop FILE: read-only, direct I/O. Sets loop.
attach_loop()
{
	loop=$(losetup -r -f --show --direct-io=on "$1")
	cleanup_fn detach_loop "$loop" "$1"
}

# Only if it is still this file's: the device could be somebody else's by now.
detach_loop()
{
	losetup -j "$2" 2> /dev/null | grep -q "^$1:" && losetup -d "$1"
}

# mount_ext4 FILE MOUNTPOINT: through a loop device. Sets loop.
mount_ext4()
{
	attach_loop "$1"
	mkdir -p "$2"
	mount -t ext4 -o ro,noload "$loop" "$2"
	cleanup_fn umount_if_mounted "$(realpath "$2")"
}

umount_ext4()
{
	umount "$1"
	losetup -d "$2"
}

umount_if_mounted()
{
	is_mounted "$1" || return 0
	umount "$1" 2> /dev/null || umount -l "$1"
}

# guest_run SCRIPT [QEMU-OPTION...]: see tests/guest/guest.sh
guest_run()
{
	requires_guest
	"$top/tests/guest/guest.sh" "$@"
}

requires_guest()
{
	[ "$(uname -m)" = x86_64 ] || skip "the guest is for x86_64"
	requires_program qemu-system-x86_64 busybox cpio modprobe
}

# ---- comparing ----

same_bytes()
{
	cmp "$1" "$2" || die "$1 and $2 differ"
}

# Everything about a tree that must survive, a line for each fact, in an order that only depends on it. Times are
# whole seconds: mke2fs -d keeps no more.
describe_tree()
{
	(
		cd "$1"
		find . -mindepth 1 -path ./lost+found -prune -o \
			\( -type d -printf '%p %y %m %U %G %Ts\n' -o -printf '%p %y %m %U %G %n %s %Ts %l\n' \) | sort
		echo "-- devices"
		find . \( -type b -o -type c \) -exec stat -c '%n %t:%T' {} + | sort
		echo "-- hard links"
		find . -type f -links +1 -printf '%i %p\n' | sort -k2 |
			awk '{ if (!($1 in first)) first[$1] = $2; print $2, "is", first[$1] }'
		echo "-- xattrs"
		find . -mindepth 1 -path ./lost+found -prune -o -print0 | sort -z |
			xargs -0 -r getfattr -h -d -m - -e hex 2> /dev/null |
			awk '/^# file: / { file = $3; next } NF { print file, $0 }' | sort
		echo "-- contents"
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum
	)
}

# same_trees A B: content, type, mode, owner, times, links, devices, xattrs.
same_trees()
{
	describe_tree "$1" > "$work/tree.a"
	describe_tree "$2" > "$work/tree.b"
	diff -u "$work/tree.a" "$work/tree.b" | head -n 40 > "$work/tree.diff" || true
	[ ! -s "$work/tree.diff" ] || { cat "$work/tree.diff" >&2; die "$1 and $2 differ"; }
}

work=$(mktemp -d "${TMPDIR:-/var/tmp}/smr-test.XXXXXX")
work=$(realpath "$work")
cleanup_fn rm -rf --one-file-system "$work"
