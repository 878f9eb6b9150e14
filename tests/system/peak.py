#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""peak.py FILE COMMAND ARG...: runs it; the KiB of memory that it had at most go into FILE."""
import resource
import subprocess
import sys

status = subprocess.call(sys.argv[2:])
with open(sys.argv[1], 'w') as f:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=f)
sys.exit(status)
