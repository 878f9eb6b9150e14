/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What image.c, image_read.c and image_set.c share; frontends include image.h. One lock guards the
 * chunk table, the pending reads and the lists of images; it is never held across I/O, a done() or
 * a call into the cache.
 */
#ifndef CACHED_IMAGE_SET_H
#define CACHED_IMAGE_SET_H

#include <pthread.h>
#include <stdatomic.h>

#include "chunkmap.h"
#include "image.h"
#include "readahead.h"

struct image_set {
	struct cache *cache;
	uint64_t timeout_ns;     /* 0: none */
	uint64_t read_ahead;     /* bytes */
	const void *zeros;       /* IMAGE_READ_MAX bytes */
	struct workers *mappers; /* map and populate chunks */
	struct workers *loaders; /* wait for recipes */

	pthread_mutex_t lock;
	pthread_cond_t wake; /* the timer's */
	struct chunkmap *map;
	struct image_read *pending, *pending_last; /* by deadline */
	unsigned answering; /* reads that ended, whose done() has not returned */
	struct chunkmap_entry *retries;
	bool stopped, quit;
	pthread_cond_t idle; /* no entry is LOADING; none is answering; stopped */
	pthread_t timer;
	bool has_timer;
};

struct image {
	atomic_uint refs;
	struct image_set *set;
	struct cache_store *store;
	struct store_image listed, loaded; /* loaded: valid once recipe is set */
	_Atomic(struct recipe *) recipe;   /* NULL until loaded */
	struct work load_work;
	uint64_t reported_ns; /* the loader's: when it last said that it cannot */
	/* under the set's lock */
	bool loading;
	uint64_t meta_asked_ns; /* when the metadata region was asked for; 0: never */
	struct image_wait *waits;
	struct image_read *reads; /* LOADING */
	struct readahead readahead;
};

/* Lists of reads that are done, and of entries to ask the cache for: filled with the lock held,
 * processed without. */
struct image_set_todo {
	struct image_read *done;
	struct chunkmap_entry *load;
	struct chunkmap_entry *release;
};

/* ---- call with set->lock held ---- */

/* A chunk of a loaded image that is wanted: READY, LOADING, or NULL for want of memory. A new one is put
 * on todo->load. */
struct chunkmap_entry *image_set_want(struct image *img, const struct chunkid *id,
	enum store_priority prio, struct image_set_todo *todo);
/* Puts a read among the pending ones. */
void image_set_pend(struct image_set *set, struct image_read *rd);
void image_set_unpend(struct image_set *set, struct image_read *rd);
/* Puts a read that is not pending on todo->done. */
void image_set_answer(
	struct image_set *set, struct image_read *rd, int result, struct image_set_todo *todo);
/* Ends a pending read: out of every list, on todo->done. */
void image_set_finish(
	struct image_set *set, struct image_read *rd, int result, struct image_set_todo *todo);

/* image.c: wants all stored chunks of a loaded image that begin before `end` and end behind `offset`. */
void image_want_range(struct image *img, uint64_t offset, uint64_t end, enum store_priority prio,
	struct image_set_todo *todo);
/* image.c: starts loading the recipe, if that is not under way. */
void image_start_loading(struct image *img);
/* image_read.c: the recipe that a read waited for is there. */
void image_read_resume(struct image_read *rd, struct image_set_todo *todo);

/* ---- call without the lock ---- */

void image_set_do(struct image_set *set, struct image_set_todo *todo);
/* Undoes the maps of a list of chunkmap_reap, and says so to the cache. */
void image_set_release(struct image_set *set, struct chunkmap_entry *list);

#endif
