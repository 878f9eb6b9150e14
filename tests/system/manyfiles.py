#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""manyfiles.py COUNT [NAME-LENGTH]: writes an archive of so many small files to standard output, 1,000 a directory, names padded to
the length. Headers are patched, not made: a million take seconds."""
import sys

count = int(sys.argv[1])
length = int(sys.argv[2]) if len(sys.argv) > 2 else 0
block = bytearray(512)
block[100:156] = b'0000644\x000000000\x000000000\x0000000000010\x0013000000000\x00        '
block[156:157] = b'0'
block[257:265] = b'ustar\x0000'
fixed = sum(block) - sum(block[148:156]) + 8 * 32
write = sys.stdout.buffer.write
parts = []
for i in range(count):
    name = b'usr/lib/d%03d/%07d' % (i // 1000, i)
    if length:
        name = b'd%03d/%s%07d' % (i // 1000, b'n' * (length - 7), i)
        # the name in the header is the last 99 bytes, the prefix the rest up to a slash: a pax record in place of both
        body = b' path=' + name + b'\n'
        n = len(body) + 3
        record = b'%d' % n + body
        head = bytearray(block)
        head[0:3] = b'pax'
        head[124:135] = b'%011o' % len(record)
        head[156:157] = b'x'
        head[148:156] = b'        '
        head[148:156] = b'%06o\x00 ' % sum(head)
        parts.append(bytes(head) + record.ljust(512, b'\0'))
        name = b'x'
    head = block[:]
    head[0:len(name)] = name
    head[148:156] = b'%06o\x00 ' % (fixed + sum(name))
    parts.append(bytes(head) + (b'%08d' % i).ljust(512, b'\0'))
    if len(parts) >= 2000:
        write(b''.join(parts))
        parts.clear()
write(b''.join(parts) + bytes(1024))
