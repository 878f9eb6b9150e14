/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the engine share, and nobody else includes:
 *
 *     engine.c            the table of cache.h; stores, recipes, start and end
 *     engine_flight.c     gets: the steps of a flight
 *     engine_report.c     what of it is logged
 *     engine_hold.c       who has descriptors and maps of what
 *     engine_ahead.c      what is fetched without being waited for: prefetch, hydrate
 *     engine_scrub.c      every chunk of the pool, hashed
 *     engine_control.c    verbs
 *
 * Lock order: `hold_lock` before those of local.h; `lock` is taken alone. Neither is held across I/O.
 */
#ifndef CACHED_ENGINE_IMPL_H
#define CACHED_ENGINE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "../chunker/core/workers.h"
#include "engine.h"
#include "flight.h"
#include "holders.h"
#include "local.h"
#include "pins.h"
#include "recipe_cache.h"

struct cache_store {
	struct store *store;
	char *url; /* as it was asked for */
	struct cache_store *next;
};

enum report {
	REPORT_MISSING,
	REPORT_CORRUPT,
	REPORT_UNREACHABLE,
	REPORT_POOL,
	REPORT_FULL,
	REPORT_KINDS
};

struct scrub;

struct engine {
	struct cache base;
	char *dir;
	int lock_fd, dir_fd;
	struct local *local;
	struct recipe_cache *recipes;
	struct pins *pins;
	struct workers *workers;

	pthread_mutex_t lock;
	/* under lock */
	struct flights *flights;
	struct cache_store *stores;
	uint64_t reported_ns[REPORT_KINDS];
	bool stopped;
	pthread_cond_t changed; /* one of those below has ended, or got on */
	unsigned n_prefetches, n_hydrations;
	struct scrub *scrub; /* NULL: none is running */

	pthread_mutex_t hold_lock;
	struct holders *holders;

	struct {
		atomic_uint_fast64_t fetched_chunks, fetched_bytes, missing, corrupt, unreachable,
			pool_full;
	} count;
};

static inline struct engine *engine_of(struct cache *c)
{
	return (struct engine *)c;
}

/* ---- engine_flight.c ---- */

/* cache_get. Any thread, no lock held. */
void engine_flight_get(struct cache *c, struct cache_get *get);

/* ---- engine_report.c; no lock held ---- */

/* Logs, if it is time to. Without `where`, `what` names it already. */
void engine_report(struct engine *e, enum report kind, const struct chunkid *id, const char *where,
	const char *what);
/* A flight's source failed. */
void engine_report_source(struct engine *e, const struct flight *f, int r, const char *text);
/* A flight landed with r < 0. */
void engine_report_count(struct engine *e, int r);

/* ---- engine_hold.c; no lock held ---- */

/* One more descriptor of the chunk is there, or will be. 0 or -ENOMEM. */
int engine_hold_add(struct engine *e, const struct chunkid *id);
/* cache_dropped. */
void engine_hold_drop(struct cache *c, const struct chunkid *ids, unsigned n);
/* local_options.held */
bool engine_hold_is(void *engine, const struct chunkid *id);

/* ---- engine_ahead.c ---- */

/* cache_prefetch */
void engine_ahead_prefetch(struct cache *c, struct cache_store *s, uint32_t chunk_size,
	enum store_priority priority, const struct chunkid *ids, unsigned n);
/* Fetches what of the recipe is absent; the recipe is taken over. Appends a line to `text`. */
int engine_ahead_hydrate(struct engine *e, struct cache_store *s, struct recipe *recipe, bool wait,
	struct buf *text, struct smr_error *err);

/* ---- engine_scrub.c ---- */

int engine_scrub(struct engine *e, bool wait, struct buf *text, struct smr_error *err);

/* ---- engine_control.c ---- */

/* cache_control */
int engine_control(struct cache *c, enum cache_verb verb, struct cache_store *s, const char *name,
	bool wait, struct buf *text, struct smr_error *err);

#endif
