/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the engine share, and nobody else includes:
 *
 *     engine.c            the table of cache.h; stores, recipes, start and end
 *     engine_flight.c     gets: the steps of a flight
 *     engine_report.c     what of it is logged
 *     engine_hold.c       who has descriptors and maps of what
 *     engine_held.c       who has them from the owner before
 *     engine_ahead.c      what is fetched without being waited for: prefetch, hydrate
 *     engine_scrub.c      every chunk of the pool, hashed
 *     engine_control.c    verbs
 *     engine_status.c     what is counted, and the status
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
#include "metrics.h"
#include "pins.h"
#include "recipe_cache.h"

struct cache_store {
	struct store *store;
	char *url; /* as it was asked for */
	struct metrics_tier origin;
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

#define ENGINE_IMAGES_MAX 512u

/* An image whose recipe somebody asked for. */
struct engine_image {
	char name[NAME_LEN_MAX + 1];
	struct chunkid digest;
	struct cache_store *store;
	struct engine_image *next;
};

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
	struct scrub *scrub;         /* NULL: none is running */
	struct engine_image *images; /* the last one that was asked for first */

	pthread_mutex_t hold_lock;
	struct holders *holders;

	struct {
		atomic_uint_fast64_t fetched_chunks, fetched_bytes, missing, corrupt, unreachable,
			pool_full;
	} count;

	struct {
		uint64_t started_ns;
		struct metrics_tier pool;
		struct metrics_images images;
		struct metrics_recent errors;
		atomic_uint_fast64_t gets, fetches; /* under way */
		atomic_uint_fast64_t touched;
		atomic_bool full; /* the last chunk could not be kept */
	} meter;
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

/* ---- engine_held.c; no lock held ---- */

/* cache_held */
void engine_held(struct cache *c, const struct chunkid *ids, unsigned n);

/* ---- engine_ahead.c ---- */

/* cache_prefetch */
void engine_ahead_prefetch(struct cache *c, struct cache_store *s, uint32_t chunk_size,
	enum store_priority priority, const struct chunkid *ids, unsigned n);
/* Fetches what of the recipe is absent; the recipe is taken over. Appends a line to `text`. */
int engine_ahead_hydrate(struct engine *e, struct cache_store *s, struct recipe *recipe, bool wait,
	struct buf *text, struct smr_error *err);

/* ---- engine_scrub.c ---- */

int engine_scrub(struct engine *e, bool wait, struct buf *text, struct smr_error *err);

/* ---- engine_status.c; no lock held ---- */

/* A get begins, and has its result: from the pool where `origin` is NULL. */
void engine_status_asked(struct engine *e, struct cache_get *get);
void engine_status_answered(
	struct engine *e, const struct cache_get *get, int r, struct cache_store *origin);
/* Somebody asked for a recipe. */
void engine_status_opened(struct engine *e, struct cache_store *s, const struct recipe *recipe);
/* cache_status */
int engine_status(struct cache *c, struct buf *json, struct smr_error *err);
/* Frees what was noted of images. */
void engine_status_done(struct engine *e);

/* ---- engine_control.c ---- */

/* cache_control */
int engine_control(struct cache *c, enum cache_verb verb, struct cache_store *s, const char *name,
	bool wait, struct buf *text, struct smr_error *err);

#endif
