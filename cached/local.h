/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this machine holds: pool, index and ledger as one thing, with its bound. A chunk that comes
 * from here is right: its file carries the stamp it was verified with, or it is hashed again first.
 *
 * What was removed while somebody has it mapped is *condemned*: its bytes still count. The bound holds
 * for live and condemned bytes together, plus what workers are just putting; where evicting does not
 * help, because all is pinned or held, a put is refused.
 *
 *     put -> above high watermark -> victim: record struck, file unlinked, evicted() -> held()? -> condemned -> local_dropped()
 *                                                                                      no -> free
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
	/* Bytes of the disk to leave free for others: below that, evict. 0: none; a put on a full disk
	 * then fails, and nothing is evicted for it. */
	uint64_t min_free;
	/* A chunk's file was removed, to stay within the bound or because it was damaged. Called with
	 * no lock held. */
	void (*evicted)(void *user, const struct chunkid *id);
	/* Called after evicted(), with no lock held. true: somebody still maps the removed file, and
	 * local_dropped will tell when nobody does. NULL: nobody ever does. */
	bool (*held)(void *user, const struct chunkid *id);
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
/* Keeps verified bytes and evicts what is then too much. Errors of pool_put; -ENOSPC also when what is
 * pinned and what is condemned leave no room. */
int local_put(
	struct local *l, const struct chunkid *id, const void *bytes, uint32_t n, int *ret_fd);
/* Is it there, as far as is known without looking? */
bool local_has(struct local *l, const struct chunkid *id);
/* Is there a file of it, right or not? Looks at the disk, whatever the ledger knows. */
bool local_exists(struct local *l, const struct chunkid *id);
/* Hashes a chunk's file, whatever its stamp says. 0: it is right; -EBADMSG: it was damaged and is forgotten now; -ENOENT; others: it
 * cannot be looked at now. */
int local_check(struct local *l, const struct chunkid *id);
/* Visits every chunk of the pool; stops when visit returns non-zero and returns that. */
int local_each(struct local *l, int (*visit)(void *user, const struct chunkid *id), void *user);
void local_touch(struct local *l, const struct chunkid *ids, unsigned n);
/* Somebody could not read it: forget it. */
void local_bad(struct local *l, const struct chunkid *id);
/* Nobody maps any removed file of the chunk any more. May be called for chunks of which none was
 * removed; a live file of the same id does not matter. Blocks on no I/O. */
void local_dropped(struct local *l, const struct chunkid *id);

/* A pinned chunk is not evicted; one that is not there yet will not be. Pins are counted, and not
 * remembered over a restart: that is the caller's business. All of them or none: -ENOMEM, -EOVERFLOW.
 * Blocks on no I/O. */
int local_pin(struct local *l, const struct chunkid *ids, size_t n);
/* Ids that are not pinned are ignored. */
void local_unpin(struct local *l, const struct chunkid *ids, size_t n);

struct local_usage {
	uint64_t size, min_free;
	uint64_t live_chunks, live_bytes;
	uint64_t pinned_bytes; /* of the live ones */
	uint64_t condemned_bytes;
	uint64_t
		overdue_bytes; /* of these: its holders were told, and have not dropped it in two seconds */
	bool rebuilding; /* the ledger, from the pool */
};

void local_usage(struct local *l, struct local_usage *ret);

/* Fills in pool_hits, pool_corrupt, evicted, live_chunks and live_bytes. */
void local_counters(struct local *l, struct cache_counters *ret);

/* Memory for the largest chunk, reused. NULL: no memory. */
void *local_scratch_take(struct local *l);
void local_scratch_give(struct local *l, void *memory); /* NULL is fine */

#endif
