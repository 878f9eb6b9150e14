#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Ctrl-C at any point of a pull ends it at once and leaves nothing half done: no recipe, no temporary file, no layer but whole ones; the
# same command goes on from there. So it is with one that is killed.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"
requires_program jq skopeo python3

start_registry
make_layout "$work/image" 6 1500000
push "$work/image:latest" app:1
mkdir "$work/tmp"
export TMPDIR=$work/tmp

# interrupted SIGNAL SECONDS COMMAND...: into $status; SIGINT is not ignored, as it would be of a shell's job
interrupted()
{
	local signal=$1 after=$2 start
	shift 2
	status=0
	# shellcheck disable=SC2016  # python's
	start=$(python3 - "$signal" "$after" "$@" 2> "$work/said" <<-'END'
		import signal, subprocess, sys, time
		signal.signal(signal.SIGINT, signal.SIG_DFL)
		p = subprocess.Popen(sys.argv[3:], stdout=subprocess.DEVNULL)
		time.sleep(float(sys.argv[2]))
		if p.poll() is not None:
		    sys.exit("it had ended already")
		p.send_signal(getattr(signal, "SIG" + sys.argv[1]))
		start = time.monotonic()
		status = p.wait(30)
		print(int((time.monotonic() - start) * 1000), status)
	END
	) || die "$(cat "$work/said")"
	read -r took status <<< "$start"
	[ "$took" -lt 2000 ] || die "took $took ms to end after SIG$signal"
}

# nothing_remains: of images and temporary files; layers are whole
nothing_remains()
{
	local file
	if [ -e "$work/store" ]; then
		smr -s "$work/store" --json ls | jq -e '.images == []' > /dev/null || die "something was published"
	fi
	[ -z "$(ls -A "$work/tmp")" ] || die "temporary files remain: $(ls -A "$work/tmp")"
	for file in "$work/cache/layers"/*; do
		[ ! -e "$file" ] || [ "$(sha256sum < "$file" | cut -d' ' -f1)" = "${file##*/}" ] || die "half a layer is kept"
	done
}

start_front
add=(smr -s "$work/store" add -q --name app "$front/app:1")

echo "a layer that does not come"
faults '{"stall": true}'
interrupted INT 1 "${add[@]}"
[ "$status" -eq 130 ] || die "status $status: $(cat "$work/said")"
grep -q '^smr: interrupted' "$work/said"
nothing_remains

echo "layers on their way"
faults '{"rate": 800000}'
for after in 0.3 1 2.9; do
	for signal in INT TERM; do
		interrupted $signal $after "${add[@]}" --layer-cache 0
		[ "$status" -gt 128 ]
		nothing_remains
	done
	interrupted KILL $after "${add[@]}"
	nothing_remains
done
kept=$(find "$work/cache/layers" -type f | wc -l)
[ "$kept" -eq 4 ] || die "$kept layers are kept of the four that were whole"

echo "a registry that breaks every connection"
faults '{"cut": 0}'
interrupted INT 0.2 "${add[@]}" --layer-cache 0
[ "$status" -eq 130 ]
nothing_remains

echo "a credential helper that waits"
mkdir "$work/bin"
printf '#!/bin/sh\nsleep 1000\n' > "$work/bin/docker-credential-slow"
chmod +x "$work/bin/docker-credential-slow"
plain=$registry
start_htpasswd_registry anna secret
echo '{"credsStore": "slow"}' > "$DOCKER_CONFIG/config.json"
PATH=$work/bin:$PATH interrupted INT 1 smr -s "$work/store" add -q "$registry/app:1"
[ "$status" -eq 130 ] || die "status $status: $(cat "$work/said")"
nothing_remains
registry=$plain

echo "again"
faults '{}'
: > "$front_log"
"${add[@]}"
[ "$(front_count '(.target | test("/blobs/"))')" -eq $((7 - kept)) ] || die "$kept layers were kept, and the rest is not all that was downloaded"
smr -s "$work/store" verify --data app
[ -z "$(ls -A "$work/tmp")" ]
