/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this machine holds: pool, index and ledger as one thing, with its bound. A chunk that comes
 * from here is right: its file carries the stamp it was verified with, or it is hashed again first.
 *
 * Any thread. The functions do disk I/O, so they are for workers; no lock is held meanwhile.
 */
#ifndef CACHED_LOCAL_H
#define CACHED_LOCAL_H

#include "cache.h"

struct local;

struct local_options {
	const char *dir; /* for messages */
	uint64_t size;   /* bytes on disk to keep at most */
	/* A chunk's file was removed, to stay within the bound or because it was damaged. Called with
	 * no lock held. */
	void (*evicted)(void *user, const struct chunkid *id);
	void *user;
};

/* Opens pool and index below the cache directory. Where the index cannot be trusted, a thread
 * rebuilds the ledger from the pool while everything is already in use. Errors of pool_open and
 * index_open. */
int local_open(
	int cache_fd, const struct local_options *opts, struct local **ret, struct smr_error *err);
/* Syncs, and marks the index clean. NULL is fine. */
void local_close(struct local *l);

/* A read-only descriptor of a right chunk. -ENOENT; -EBADMSG: it was damaged and is forgotten now;
 * others, such as -EMFILE: it cannot be looked at now. */
int local_get(struct local *l, const struct chunkid *id, uint32_t chunk_size, int *ret_fd);
/* Keeps verified bytes and evicts what is then too much. Errors of pool_put. */
int local_put(
	struct local *l, const struct chunkid *id, const void *bytes, uint32_t n, int *ret_fd);
void local_touch(struct local *l, const struct chunkid *ids, unsigned n);
/* Somebody could not read it: forget it. */
void local_bad(struct local *l, const struct chunkid *id);
/* Fills in pool_hits, pool_corrupt, evicted, live_chunks and live_bytes. */
void local_counters(struct local *l, struct cache_counters *ret);

/* Memory for the largest chunk, reused. NULL: no memory. */
void *local_scratch_take(struct local *l);
void local_scratch_give(struct local *l, void *memory); /* NULL is fine */

#endif
