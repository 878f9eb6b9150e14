#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reads a file in many ways and compares every byte with a reference.

usage: readcheck.py MODE FILE REFERENCE [SEED]

    sequential   whole, 1 MiB at a time, and a read at the end of file
    random       2,000 reads of 1 byte to 1 MiB at any offset
    edges        around every chunk end (512 KiB) and the end of file
    readers      16 threads, each its own random reads, in one process
    direct       O_DIRECT: aligned random reads, and the whole
    mmap         a map of the whole, touched at random
    same-chunk   200 threads, released at once, read different 4 KiB of one chunk: the one at the offset SEED
"""

import mmap
import os
import random
import sys
import threading

CHUNK = 512 << 10
MIB = 1 << 20


class Pair:
    def __init__(self, path, reference, flags=0):
        self.fd = os.open(path, os.O_RDONLY | flags)
        self.ref = os.open(reference, os.O_RDONLY)
        self.size = os.fstat(self.ref).st_size
        if os.fstat(self.fd).st_size != self.size:
            sys.exit(f"{path}: {os.fstat(self.fd).st_size} bytes instead of {self.size}")

    def check(self, offset, length):
        got, want = os.pread(self.fd, length, offset), os.pread(self.ref, length, offset)
        if got != want[:len(got)] or len(got) > len(want):
            sys.exit(f"{length} bytes at {offset} differ")
        if got != want:  # the kernel's way to tell that an error came in the middle
            sys.exit(f"{length} bytes at {offset} end after {len(got)} of {len(want)}")


def some_range(rng, size):
    length = rng.choice((1, rng.randint(1, 4096), rng.randint(1, 65536), rng.randint(1, MIB)))
    return rng.randrange(size), length


def sequential(pair, _):
    for offset in range(0, pair.size, MIB):
        pair.check(offset, MIB)
    pair.check(pair.size, 4096)
    pair.check(pair.size + 12345, 1)


def random_reads(pair, rng, count=2000):
    for _ in range(count):
        pair.check(*some_range(rng, pair.size))


def edges(pair, rng):
    for end in list(range(CHUNK, pair.size, CHUNK)) + [pair.size]:
        before = rng.randint(1, 5000)
        pair.check(end - before, rng.randint(before, before + 5000))
        pair.check(end - 1, 2)
    pair.check(pair.size - 1, MIB)


def in_threads(count, work):
    failures = []

    def guarded(number):
        try:
            work(number)
        except BaseException as failure:  # SystemExit is how a difference is told
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(str(failures[0]))


def readers(pair, rng):
    seed = rng.random()
    in_threads(16, lambda n: random_reads(pair, random.Random(f"{seed} {n}"), 250))


def direct(pair, rng):
    buffer = mmap.mmap(-1, MIB)

    def check(offset, length):
        got = os.preadv(pair.fd, [memoryview(buffer)[:length]], offset)
        if buffer[:got] != os.pread(pair.ref, length, offset):
            sys.exit(f"{length} bytes at {offset} differ with O_DIRECT")

    for offset in range(0, pair.size, MIB):
        check(offset, MIB)
    for _ in range(1000):
        check(rng.randrange(pair.size // 4096) * 4096, rng.randint(1, 256) * 4096)


def mapped(pair, rng):
    with mmap.mmap(pair.fd, 0, prot=mmap.PROT_READ) as view:
        for _ in range(2000):
            offset, length = some_range(rng, pair.size)
            if view[offset:offset + length] != os.pread(pair.ref, length, offset):
                sys.exit(f"{length} bytes at {offset} differ in the map")


def same_chunk(pair, start):
    gate = threading.Barrier(200)

    def work(number):
        gate.wait()
        pair.check(start + number % 128 * 4096, 4096)

    in_threads(200, work)


def main():
    mode, path, reference = sys.argv[1:4]
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    pair = Pair(path, reference, os.O_DIRECT if mode == "direct" else 0)
    if mode == "same-chunk":
        same_chunk(pair, seed)
        return
    modes = {"sequential": sequential, "random": random_reads, "edges": edges, "readers": readers,
             "direct": direct, "mmap": mapped}
    modes[mode](pair, random.Random(seed))


if __name__ == "__main__":
    main()
