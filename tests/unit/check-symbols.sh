#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Holds the libraries to one name, one thing: of two functions with one name a linker takes whichever
# library comes first, and says nothing.
#
# usage: check-symbols.sh LIBRARY...       0: as it should be; 1: each name that is defined twice is printed
set -euo pipefail
export LC_ALL=C

[ $# -gt 0 ] || { echo "usage: check-symbols.sh LIBRARY..." >&2; exit 2; }
# "LIBRARY:OBJECT:ADDRESS TYPE NAME"
twice=$(nm -A -g --defined-only "$@" | awk '$2 ~ /^[ABCDGRST]$/ {
	sub("^.*/", "", $1)
	sub(":[0-9a-f]*$", "", $1)
	where[$3] = where[$3] " " $1
	n[$3]++
}
END {
	for (name in n)
		if (n[name] > 1)
			print name ":" where[name]
}' | sort)
[ -z "$twice" ] || { echo "$twice"; exit 1; }
echo "every name is defined once"
