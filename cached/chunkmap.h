/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chunks that this process has mapped, by id, shared by all its images.
 *
 *     LOADING  asked for; reads wait on it               -> READY, or freed when the load failed
 *     READY    mapped and populated; reads hold references
 *     doomed   evicted or damaged: LOADING, it becomes READY for those who wait, and is not kept;
 *              READY, it is out of the table and freed with its last reference
 *
 * An entry without references stays mapped until the table is over its limit; then the least
 * recently used goes. The owner's lock is held for every call. Nothing here blocks: maps that are
 * to be undone are handed out by chunkmap_reap, to be undone without the lock.
 */
#ifndef CACHED_CHUNKMAP_H
#define CACHED_CHUNKMAP_H

#include "cache.h"

#include "../chunker/core/workers.h"

struct chunkmap;
struct image_set;
struct image_read_slot;

struct chunkmap_entry {
	struct chunkid id;
	uint32_t size; /* bytes */
	bool ready, doomed;
	bool touched; /* used since the last chunkmap_collect_touched */
	unsigned refs;
	const unsigned char *base;            /* READY */
	struct image_read_slot *waiters;      /* LOADING */
	struct chunkmap_entry *newer, *older; /* READY and in the table: by last use */
	struct chunkmap_entry *next_free;

	/* the loader's, while LOADING */
	struct image_set *set;
	struct cache_get get;
	struct work work;
	struct chunkmap_entry *next_retry;
	uint64_t retry_ns;
	unsigned tries;
	int fd;
};

struct chunkmap *chunkmap_new(unsigned max_maps); /* NULL: no memory */
/* Undoes all maps; no entry may be LOADING or referenced. NULL is fine. */
void chunkmap_free(struct chunkmap *m);

/* READY or LOADING, or NULL. A READY one becomes the most recently used. */
struct chunkmap_entry *chunkmap_find(struct chunkmap *m, const struct chunkid *id);
/* A new LOADING entry, or NULL: no memory. */
struct chunkmap_entry *chunkmap_add(struct chunkmap *m, const struct chunkid *id, uint32_t size);
/* LOADING -> READY; returns the waiters, for whom the caller takes references. It holds one itself, to
 * be dropped after that. */
struct image_read_slot *chunkmap_ready(
	struct chunkmap *m, struct chunkmap_entry *e, const void *base);
/* The load failed: out of the table; returns the waiters. The caller frees the entry. */
struct image_read_slot *chunkmap_failed(struct chunkmap *m, struct chunkmap_entry *e);

void chunkmap_ref(struct chunkmap_entry *e);
void chunkmap_unref(struct chunkmap *m, struct chunkmap_entry *e);
/* The chunk left the pool, or its bytes are damaged: the entry is doomed. */
void chunkmap_drop(struct chunkmap *m, const struct chunkid *id);

/* Dooms all that is READY, for the end. */
void chunkmap_drop_all(struct chunkmap *m);

/* Entries to unmap and free: pass the list to chunkmap_release without the lock. NULL when there
 * are none. */
struct chunkmap_entry *chunkmap_reap(struct chunkmap *m);
void chunkmap_release(struct chunkmap_entry *list);

/* Up to `max` ids used since they were last collected, the least recently used first. */
unsigned chunkmap_collect_touched(struct chunkmap *m, struct chunkid *ret_ids, unsigned max);
unsigned chunkmap_loading(const struct chunkmap *m);

#endif
