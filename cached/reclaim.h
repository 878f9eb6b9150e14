/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When to evict, and how much: a thread that starts when the cache has passed its high watermark and
 * stops at the low one, or when the disk has less than `min_free` left and stops when that is there
 * again. What to evict, the caller knows.
 *
 *     0 ........................ low ............ high ............ size
 *                                 <--- evicted --->                 who puts must evict first (local.c)
 *
 * Low is 15/16 of the size, but at most 512 MiB below it; high is in the middle. A cache that
 * cannot spare that much, below 64 MiB, has no watermarks: it evicts chunk for chunk.
 *
 * Any thread. No lock is held while the callbacks run.
 */
#ifndef CACHED_RECLAIM_H
#define CACHED_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

struct reclaim;

/* Bytes. */
struct reclaim_state {
	uint64_t used;    /* what counts, and what evict() can bring down */
	uint64_t pending; /* evicted, not counted, and about to be freed on the disk */
};

struct reclaim_options {
	uint64_t size, min_free; /* bytes; min_free 0: none */
	void (*state)(void *user, struct reclaim_state *ret);
	/* One chunk goes, unless no more than `target` bytes are used. false: nothing went. */
	bool (*evict)(void *user, uint64_t target);
	/* Free bytes on the disk: 0 or a negative errno. */
	int (*disk_free)(void *user, uint64_t *ret);
	void *user;
};

/* 0 or a negative errno of pthread_create. */
int reclaim_new(const struct reclaim_options *opts, struct reclaim **ret);
/* Ends the thread. NULL is fine. */
void reclaim_free(struct reclaim *r);
/* `bytes` were written; `used` bytes are used now. Costs nothing unless there is something to do. */
void reclaim_note(struct reclaim *r, uint64_t bytes, uint64_t used);
/* The watermarks of a size. */
uint64_t reclaim_high(uint64_t size);
uint64_t reclaim_low(uint64_t size);

#endif
