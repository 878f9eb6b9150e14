#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Archives that nobody should accept: hostile.py DIRECTORY writes NAME.tar for each case, and prints "NAME<TAB>TEXT", where TEXT is
in the message that refuses it. Cases whose TEXT is "-" must be accepted: the same tricks where they do no harm."""
import gzip
import struct
import sys

out = sys.argv[1]


def header(name, size=0, kind=b'0', link=b'', mode=0o644, uid=0, magic=b'ustar\x0000', prefix=b'', sum_off=0, raw=None):
    def octal(v, n):
        return (b'%0*o' % (n - 1, v)) + b'\0'
    h = bytearray(512)
    h[0:len(name)] = name
    h[100:108] = octal(mode, 8)
    h[108:116] = octal(uid, 8)
    h[116:124] = octal(0, 8)
    h[124:136] = octal(size, 12)
    h[136:148] = octal(0, 12)
    h[156:157] = kind
    h[157:157 + len(link)] = link
    h[257:265] = magic
    h[345:345 + len(prefix)] = prefix
    for at, value in (raw or {}).items():
        h[at:at + len(value)] = value
    h[148:156] = b' ' * 8
    h[148:156] = b'%06o\0 ' % (sum(h) + sum_off)
    return bytes(h)


def member(name, data=b'', **k):
    size = k.pop('size', len(data))
    return header(name, size, **k) + data + b'\0' * (-len(data) % 512)


def record(key, value):
    body = b' ' + key + b'=' + value + b'\n'
    n = len(body)
    while len(b'%d' % n) + len(body) != n:
        n = len(b'%d' % n) + len(body)
    return b'%d' % n + body


def pax(*pairs):
    return member(b'pax', b''.join(record(k, v) for k, v in pairs), kind=b'x')


def base256(v, n):
    b = bytearray((v & ((1 << (8 * n)) - 1)).to_bytes(n, 'big'))
    b[0] = (b[0] | 0x80) if v >= 0 else 0xff
    return bytes(b)


END = b'\0' * 1024


def case(name, text, *parts, end=END, suffix='.tar'):
    with open(f'{out}/{name}{suffix}', 'wb') as f:
        f.write(b''.join(parts) + end)
    print(f'{name}{suffix}\t{text}')


ok = member(b'fine', b'x')
# names
case('dotdot', "'../etc/passwd'", ok, member(b'../etc/passwd'))
case('dotdot-inside', "'a/../../b'", ok, member(b'a/../../b'))
case('dotdot-last', "'a/..'", member(b'a/..', kind=b'5'))
case('absolute', "'/etc/passwd': the name is absolute", member(b'/etc/passwd'))
case('nul', 'has a NUL in it', pax((b'path', b'a\0b')), member(b'x'))
case('nul-link', 'has a NUL in it', pax((b'linkpath', b'a\0b')), member(b'x', kind=b'2', link=b'y'))
case('empty-name', 'is empty', member(b''))
case('name-4096', 'more than 4095 bytes', pax((b'path', b'/'.join([b'd' * 99] * 41)[:4096])), member(b'x'))
case('name-256', 'more than 255 bytes', pax((b'path', b'n' * 256)), member(b'x'))
case('name-255', '-', pax((b'path', b'n' * 255)), member(b'x'))
case('target-4096', 'more than 4095 bytes', pax((b'linkpath', b'n' * 4096)), member(b'x', kind=b'2', link=b'y'))
case('root-file', 'the root is no directory', member(b'.'))
case('root-link', 'the root', ok, member(b'./', kind=b'1', link=b'fine'))
# links
up = member(b'up', kind=b'2', link=b'../../..')
case('symlink-escape', "'up/etc/passwd': a symlink in it leads out", up, member(b'up/etc/passwd', b'x'))
case('symlink-unused', '-', up)
case('symlink-absolute', '-', member(b'abs', kind=b'2', link=b'/etc'), member(b'abs/x', b'x'))
case('symlink-cycle', 'go in circles', member(b'a', kind=b'2', link=b'b'), member(b'b', kind=b'2', link=b'a'), member(b'a/x'))
case('hardlink-escape', "'../../etc/shadow'", member(b'h', kind=b'1', link=b'../../etc/shadow'))
case('hardlink-absolute', "'/etc/shadow': the name is absolute", member(b'h', kind=b'1', link=b'/etc/shadow'))
case('hardlink-through-symlink', "'up/etc/shadow'", up, member(b'h', kind=b'1', link=b'up/etc/shadow'))
case('hardlink-missing', 'there is no such file', member(b'h', kind=b'1', link=b'nowhere'))
case('hardlink-self', 'there is no such file', member(b'h', kind=b'1', link=b'h'))
case('hardlink-self-there', 'is a link to itself', member(b'h'), member(b'h', kind=b'1', link=b'h'))
case('hardlink-twice', 'for the second time', ok, member(b'h', kind=b'1', link=b'fine'), member(b'h', kind=b'1', link=b'fine'))
case('hardlink-cycle', 'there is no such file', member(b'a', kind=b'1', link=b'b'), member(b'b', kind=b'1', link=b'a'))
case('hardlink-directory', 'hard link to the directory', member(b'd/', kind=b'5'), member(b'h', kind=b'1', link=b'd'))
case('hardlink-symlink', '-', member(b's', kind=b'2', link=b'nowhere'), member(b'h', kind=b'1', link=b's'))
case('below-a-file', 'is no directory', ok, member(b'fine/x'))
# whiteouts
case('whiteout-root', 'a whiteout of', member(b'.wh.'))
case('whiteout-dot', 'a whiteout of', member(b'd/.wh..'))
case('whiteout-dotdot', 'a whiteout of', member(b'.wh...'))
case('whiteout-escape', "'../.wh.etc'", member(b'../.wh.etc'))
case('whiteout-absolute', "'/.wh.etc': the name is absolute", member(b'/.wh.etc'))
case('whiteout-through-symlink', "'up/.wh.etc': a symlink in it leads out", up, member(b'up/.wh.etc'))
case('in-a-whiteout', 'is in a whiteout', member(b'.wh.d/file'))
case('whiteout-of-nothing', '-', member(b'.wh.nothing'), member(b'no/dir/.wh..wh..opq'))
# malformed
case('bad-sum', "behind 'fine': a header has a wrong sum", ok, header(b'x', sum_off=1))
case('bad-octal', 'no valid size', member(b'x', raw={124: b'12x45678901\0'}))
case('negative-size', 'negative size', member(b'x', raw={124: base256(-1, 12)}))
case('size-8-EiB', 'is cut off', member(b'x', raw={124: base256((1 << 63) - 512, 12)}))
case('pax-size-8-EiB', "'x' has no valid size", pax((b'size', b'9223372036854775808')), member(b'x'))
case('pax-size-lie', 'wrong sum', pax((b'size', b'512')), member(b'x', b'', size=0), member(b'y', b'z' * 600), end=b'z' * 512)
case('uid-2-40', "has a uid beyond 32 bits", member(b'x', raw={108: base256(1 << 40, 8)}))
case('pax-gid', "has a gid beyond 32 bits", pax((b'gid', b'4294967296')), member(b'x'))
case('big-uid', '-', pax((b'uid', b'4294967294')), member(b'x'))
case('cut-in-header', 'is cut off', ok, header(b'x')[:300], end=b'')
case('cut-in-data', "in or behind 'x'", member(b'x', b'y' * 600)[:700], end=b'')
case('cut-between', 'no end mark', ok, end=b'')
case('cut-extension', 'is cut off', pax((b'path', b'x' * 300)), end=b'')
case('lone-zero-block', 'single block of zeros', b'\0' * 512, ok)
case('trailing', 'behind the end of the archive', ok, END, b'something')
case('nothing', 'no end mark', end=b'')
case('garbage', 'wrong sum', b'garbage' * 1000)
case('pax-length', 'wrong length', member(b'p', b'99 path=x\n', kind=b'x'), member(b'x'))
case('pax-length-huge', 'wrong length', member(b'p', b'99999999999999999999 path=x\n', kind=b'x'), member(b'x'))
case('pax-no-newline', 'wrong length', member(b'p', b'9 path=xy', kind=b'x'), member(b'x'))
case('pax-no-key', 'no key', member(b'p', b'6 =xy\n', kind=b'x'), member(b'x'))
case('pax-nul-key', 'no valid key', pax((b'path\0', b'y')), member(b'x'))
case('pax-mtime', 'no valid value', pax((b'mtime', b'1.x')), member(b'x'))
case('pax-mtime-huge', 'no valid value', pax((b'mtime', b'99999999999999999999')), member(b'x'))
case('pax-2-MiB', 'more than 1048576 bytes', pax((b'comment', b'c' * (2 << 20))), member(b'x'))
case('pax-chain', 'headers for a member', *[pax((b'comment', b'c'))] * 70, member(b'x'))
case('long-name-2-MiB', 'more than 1048576 bytes', member(b'L', b'c' * (2 << 20), kind=b'L'), member(b'x'))
case('unknown-type', "is of type 'M'", member(b'x', kind=b'M'))
case('device-number', 'device number', member(b'd', kind=b'3', raw={329: b'7777777\0'}))
case('xattr-name', 'no file can have', pax((b'SCHILY.xattr.user.' + b'n' * 260, b'v')), member(b'x'))
case('xattr-value', 'no file can have', pax((b'SCHILY.xattr.user.n', b'v' * 70000)), member(b'x'))
case('xattr-base64', 'no valid value', pax((b'LIBARCHIVE.xattr.user.n', b'****')), member(b'x'))
# sparse
gnu = dict(kind=b'S', magic=b'ustar  \0')


def region(offset, n):
    return b'%011o\0%011o\0' % (offset, n)


case('sparse-8-EiB', 'more than 16 TiB', member(b'x', b'y' * 512, raw={
    386: region(0, 512), 483: base256((1 << 63) - 1, 12)}, **gnu))
case('sparse-beyond', 'no valid map', member(b'x', b'y' * 512, raw={386: region(1024, 512), 483: b'%011o\0' % 512}, **gnu))
case('sparse-overlap', 'no valid map', member(b'x', b'y' * 1024, raw={
    386: region(0, 512) + region(256, 512), 483: b'%011o\0' % 4096}, **gnu))
case('sparse-sum', 'no valid map', member(b'x', b'y' * 512, raw={386: region(0, 1024), 483: b'%011o\0' % 4096}, **gnu))
case('sparse-good', '-', member(b'x', b'y' * 512, raw={386: region(4096, 512), 483: b'%011o\0' % 65536}, **gnu))
v1 = ((b'GNU.sparse.major', b'1'), (b'GNU.sparse.minor', b'0'), (b'GNU.sparse.name', b'x'), (b'GNU.sparse.realsize', b'65536'))
case('sparse-1.0-good', '-', pax(*v1), member(b'y', b'1\n4096\n512\n'.ljust(512, b'\0') + b'y' * 512))
case('sparse-1.0-count', 'more than 1048576 pieces', pax(*v1), member(b'y', b'99999999\n0\n0\n'.ljust(512, b'\0')))
case('sparse-1.0-endless', 'no valid map', pax(*v1), member(b'y', (b'1' * 512)))
case('sparse-1.0-cut', 'no valid map', pax(*v1), member(b'y', b'9\n4096\n512\n'.ljust(512, b'\n')[:9] + b'5' * 12))
case('sparse-0.1-odd', 'no valid value', pax((b'GNU.sparse.size', b'65536'), (b'GNU.sparse.map', b'0,512,1024')), member(b'y', b'y' * 512))
# compression
good = gzip.compress(ok + END, mtime=0)
case('gzip-good', '-', good, end=b'', suffix='.tgz')
case('gzip-members', '-', gzip.compress(ok, mtime=0), gzip.compress(END, mtime=0), end=b'', suffix='.tgz')
case('gzip-sum', 'gzip data is damaged', good[:-8], struct.pack('<I', 1), good[-4:], end=b'', suffix='.tgz')
case('gzip-length', 'gzip data is damaged', good[:-4], struct.pack('<I', 1), end=b'', suffix='.tgz')
case('gzip-cut', 'is cut off', good[:-5], end=b'', suffix='.tgz')
case('gzip-trailing', 'gzip data is damaged', good, b'trailing', end=b'', suffix='.tgz')
