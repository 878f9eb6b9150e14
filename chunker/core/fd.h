/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors: whole reads and writes, atomic file replacement. Every descriptor opened here is CLOEXEC.
 * All functions retry EINTR and may be called from any thread.
 */
#ifndef CORE_FD_H
#define CORE_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "error.h"

/* Reads until `n` bytes or end of file. Returns 0 and the bytes read in *ret_n, or a negative errno. */
int fd_read(int fd, void *data, size_t n, size_t *ret_n);
int fd_pread(int fd, void *data, size_t n, uint64_t offset, size_t *ret_n);
/* Writes all of it, or returns a negative errno (some bytes may have been written). */
int fd_write(int fd, const void *data, size_t n);
int fd_pwrite(int fd, const void *data, size_t n, uint64_t offset);

/* Writes `n` bytes at `offset` of a file whose range is a hole, skipping 4 KiB pages that are all zero. The
 * caller sets the file's size. */
int fd_pwrite_sparse(int fd, const void *data, size_t n, uint64_t offset);

/* Appends a whole file to `b`. -EFBIG when it is larger than the buffer's maximum. */
int fd_read_file(int dirfd, const char *path, struct buf *b);

/* Replaces `path` below `dirfd` atomically: temporary file, fsync of the file, rename, fsync of the
 * directory. `mode` as in open(2). A reader sees the old file or the whole new one, after a power cut
 * too. */
int fd_replace_file(int dirfd, const char *path, const void *data, size_t n, mode_t mode);

/* mkdir -p of `path` below `dirfd`; existing directories are fine. -ENOTDIR when something else is there. */
int fd_mkdirs(int dirfd, const char *path, mode_t mode);

/* A name for a temporary file in the same directory as `path`, unique to this process and call:
 * "<path>.tmp.<pid>.<counter>". 0 or -ENAMETOOLONG. */
int fd_temp_name(const char *path, char *ret, size_t ret_size);

/* An anonymous file with these bytes, sealed against every change. Returns the descriptor or a negative
 * errno. */
int fd_sealed_memfd(const char *name, const void *data, size_t n);

#endif
