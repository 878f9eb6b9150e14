/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool: one immutable file per chunk, in pool form, under its id.
 *
 *     CACHE/pool/ab/<id>            0400, directories 0700, sparse: pages of zeros are not written
 *     CACHE/pool/ab/.tmp.PID.N      being written; swept at the next scan
 *
 * A file gets its name by rename after its bytes were verified and written, so what has a name was once right. Whether it
 * still is, is told by its stamp: inode number and ctime, which every later write, truncation or replacement changes. A
 * file whose stamp is not the recorded one is hashed again before it is used. Nothing is fsynced: after a crash
 * the records are gone (index.h), so everything is hashed again.
 *
 * Any thread. One process at a time (engine.h holds a lock): the temporaries of all others are taken for dead.
 */
#ifndef CACHED_POOL_H
#define CACHED_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../chunker/core/chunkid.h"
#include "../chunker/core/error.h"

struct pool;

struct pool_stamp {
	uint64_t ino;
	int64_t ctime_ns;
	uint32_t size;  /* bytes: the chunk size */
	uint32_t bytes; /* on disk: st_blocks * 512 */
};

/* Trust compares everything but `bytes`, which delayed allocation may still change. */
bool pool_stamp_equal(const struct pool_stamp *a, const struct pool_stamp *b);

/* Opens CACHE/pool below `cache_fd`, making it if absent. -EPERM: either is owned by somebody else, or writable by others.
 * -ENOTSUP: on FUSE (a cache on a mount of its own would deadlock). */
int pool_open(int cache_fd, struct pool **ret, struct smr_error *err);
void pool_close(struct pool *p); /* NULL is fine */

/* A read-only descriptor and the file's stamp. -ENOENT; -EBADMSG: not a regular file, or larger than any chunk. */
int pool_get(
	const struct pool *p, const struct chunkid *id, int *ret_fd, struct pool_stamp *ret_stamp);
/* Writes verified bytes; a file of that name is replaced. The descriptor is read-only. -ENOSPC, -EDQUOT, -EROFS, -EIO:
 * nothing remains of the attempt. */
int pool_put(struct pool *p, const struct chunkid *id, const void *data, size_t n, int *ret_fd,
	struct pool_stamp *ret_stamp);
/* Reads all of a chunk file and compares its hash: 0 or -EBADMSG (short, long and unreadable files too). `scratch` holds n bytes. */
int pool_verify(int fd, const struct chunkid *id, void *scratch, size_t n);
/* 0, also when it is not there. */
int pool_remove(const struct pool *p, const struct chunkid *id);
/* Visits every chunk file, sweeps temporaries of dead writers; other files are left alone. Stops when visit returns non-zero and
 * returns that; a folder that cannot be read is its negative errno. */
int pool_scan(const struct pool *p,
	int (*visit)(void *user, const struct chunkid *id, const struct pool_stamp *stamp),
	void *user);
/* Bytes that this user may still write to the disk that the pool is on. 0 or a negative errno. */
int pool_disk_free(const struct pool *p, uint64_t *ret);
/* syncfs: everything put so far is on disk. */
int pool_sync(const struct pool *p);

#endif
