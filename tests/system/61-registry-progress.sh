#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Who waits for a download sees how far it is, and what of it was downloaded before is in the summary.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"
requires_program jq script skopeo

start_registry
make_layout "$work/image" 4 1500000
push "$work/image:latest" app:1
start_front
faults '{"rate": 500000}'
TERM=xterm script -qefc "stty cols 80; smr -s $work/store add $front/app:1" /dev/null > "$work/typescript" < /dev/null
tr '\r' '\n' < "$work/typescript" | sed 's/\x1b\[[0-9]*m//g; s/\x1b\[K$//' > "$work/lines"
[ "$(grep -aE '^  download  #*\.*  [0-9.]+ [kM]B  [0-9.]+ [kM]?B/s$' "$work/lines" | sort -u | wc -l)" -ge 5 ] ||
	{ cat "$work/lines" >&2; die "no progress"; }
grep -aq '^  layers  4, 4 files' "$work/lines" || { cat "$work/lines" >&2; die "no summary"; }

# the second time nothing is downloaded, whatever the registry's pace
faults '{"rate": 100000}'
within 5 smr -s "$work/store" add "$front/app:1" > "$work/said"
grep -q '^  layers  4 (4 kept from before), 4 files' "$work/said"
smr -s "$work/store" --json add --layer-cache 0 "$registry/app:1" --name other | jq -e '.layers == 4 and .kept_layers == 0' > /dev/null
