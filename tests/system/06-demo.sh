#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The demo runs, fetches a part of the image and says how much; and Ctrl-C in its middle leaves nothing mounted or attached.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_no_sanitizer

export TMPDIR=$work
"$top/tests/demo.sh" "$BUILD_DIR" > "$work/said" 2>&1 || { cat "$work/said"; die "the demo failed"; }
grep -q "hello from a python3" "$work/said" || { cat "$work/said"; die "no program ran"; }

leftovers()
{
	grep -F "$work/" /proc/self/mountinfo
	losetup -a 2> /dev/null | grep -F "$work/"
	find "$work" -mindepth 1 -maxdepth 1 -name 'smr-test.*'
}

[ -z "$(leftovers)" ] || die "the demo left: $(leftovers)"
share=$(sed -n 's/.*fetched to run .*(\([0-9]*\) % of them).*/\1/p' "$work/said")
if [ "$share" -lt 1 ] || [ "$share" -gt 60 ]; then
	cat "$work/said"
	die "fetched $share % of the chunks"
fi

# Interrupted when the image is mounted. Background jobs of a shell ignore SIGINT; python's child does not.
cat > "$work/interrupt.py" <<'END'
import os, signal, subprocess, sys, time
demo = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0,
                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
for line in demo.stdout:
    if line.startswith(b"7. "):
        os.killpg(demo.pid, signal.SIGINT)
        break
sys.exit(demo.wait() != 130)
END
python3 "$work/interrupt.py" "$top/tests/demo.sh" "$BUILD_DIR" || die "an interrupted demo does not end with status 130"
wait_for 10 test -z "$(leftovers)"
