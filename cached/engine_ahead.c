/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/units.h"

/* What is beyond is dropped: who reads ahead so far will ask again. */
#define PREFETCHES_MAX 256u
/* Chunks of one image on their way at a time; the store's client decides how many of them an origin sees. */
#define HYDRATE_WINDOW 16u

/* What came is in the pool; nobody wants its descriptor. */
static void let_go(struct engine *e, const struct cache_get *get, int fd)
{
	if (fd < 0)
		return;
	close(fd);
	engine_hold_drop(&e->base, &get->id, 1);
}

/* ---- prefetch ---- */

struct prefetch {
	struct cache_get get;
	struct engine *engine;
};

static void prefetched(struct cache_get *get, int r, int fd)
{
	struct prefetch *p = (struct prefetch *)get;
	struct engine *e = p->engine;

	(void)r;
	let_go(e, get, fd);
	free(p);
	locked(&e->lock);
	e->n_prefetches--;
	pthread_cond_broadcast(&e->changed);
}

static bool may_prefetch(struct engine *e)
{
	locked(&e->lock);
	if (e->stopped || e->n_prefetches == PREFETCHES_MAX)
		return false;
	e->n_prefetches++;
	return true;
}

void engine_ahead_prefetch(struct cache *c, struct cache_store *s, uint32_t chunk_size,
	enum store_priority priority, const struct chunkid *ids, unsigned n)
{
	struct engine *e = engine_of(c);

	for (unsigned i = 0; i < n; i++) {
		struct prefetch *p;

		if (local_has(e->local, &ids[i]))
			continue;
		if (!may_prefetch(e))
			return;
		p = calloc(1, sizeof(*p));
		if (!p) {
			locked(&e->lock);
			e->n_prefetches--;
			return;
		}
		p->engine = e;
		p->get = (struct cache_get){.id = ids[i],
			.chunk_size = chunk_size,
			/* Nobody waits for it. */
			.priority = priority == STORE_DEMAND ? STORE_AHEAD : priority,
			.store = s,
			.done = prefetched};
		engine_flight_get(c, &p->get);
	}
}

/* ---- hydrate ---- */

struct hydration;

struct hydrate_slot {
	struct cache_get get;
	struct hydration *of;
	bool busy;
};

/* What is here stays until all is, whatever else is read: its chunks are pinned meanwhile. Gets follow one another from their
 * completions, so no thread is held. Who finds nobody pumping does; nobody else touches it then, so the one that finds nothing left
 * ends it. */
struct hydration {
	struct engine *engine;
	struct recipe *recipe;
	uint64_t next; /* entry to look at; the pump's */
	bool pinned;
	/* under engine->lock */
	uint64_t fetched, failed;
	int first_error;
	unsigned n_busy, refs; /* of the run and of who waits for it */
	bool pumping, ended;
	struct hydrate_slot slots[HYDRATE_WINDOW];
};

static void hydrate_unref(struct hydration *h)
{
	{
		locked(&h->engine->lock);
		if (--h->refs)
			return;
	}
	recipe_free(h->recipe);
	free(h);
}

static bool is_absent(struct hydration *h, struct chunkid *ret)
{
	*ret = recipe_entry(h->recipe, h->next).id;
	return !local_has(h->engine->local, ret);
}

/* A slot for a chunk, or NULL: all are on their way, or the engine is stopped. */
static struct hydrate_slot *take_slot(struct hydration *h, const struct chunkid *id)
{
	struct hydrate_slot *slot = h->slots;
	locked(&h->engine->lock);

	if (h->engine->stopped) {
		h->first_error = -ECANCELED;
		h->next = recipe_info(h->recipe)->n_chunks;
		return NULL;
	}
	if (h->n_busy == HYDRATE_WINDOW)
		return NULL;
	while (slot->busy)
		slot++;
	slot->busy = true;
	slot->get.id = *id;
	h->n_busy++;
	return slot;
}

static void fill(struct hydration *h)
{
	uint64_t n = recipe_info(h->recipe)->n_chunks;
	struct hydrate_slot *slot;
	struct chunkid id;

	for (; h->next < n; h->next++) {
		if (!is_absent(h, &id))
			continue;
		slot = take_slot(h, &id);
		if (!slot)
			return;
		engine_flight_get(&h->engine->base, &slot->get);
	}
}

/* Call with `pumping` set by the caller. */
static void pump(struct hydration *h)
{
	struct engine *e = h->engine;

	for (;;) {
		fill(h);
		locked(&e->lock);
		bool more = h->next < recipe_info(h->recipe)->n_chunks;
		if (more && h->n_busy < HYDRATE_WINDOW)
			continue;
		h->pumping = false;
		if (more || h->n_busy)
			return;
		break;
	}
	if (h->pinned)
		pins_let_go(e->pins, h->recipe);
	{
		locked(&e->lock);
		h->ended = true;
		e->n_hydrations--;
		pthread_cond_broadcast(&e->changed);
	}
	hydrate_unref(h);
}

static void hydrated(struct cache_get *get, int r, int fd)
{
	struct hydrate_slot *slot = (struct hydrate_slot *)get;
	struct hydration *h = slot->of;

	/* What was served from memory is not here. */
	if (r == 0 && !local_has(h->engine->local, &get->id))
		r = -ENOSPC;
	let_go(h->engine, get, fd);
	{
		locked(&h->engine->lock);
		slot->busy = false;
		h->n_busy--;
		h->fetched += r == 0;
		h->failed += r < 0;
		if (r < 0 && !h->first_error)
			h->first_error = r;
		if (h->pumping)
			return;
		h->pumping = true;
	}
	pump(h);
}

/* What to say, and how it ended. */
static int outcome(struct hydration *h, bool wait, struct buf *text, struct smr_error *err)
{
	const struct recipe_info *info = recipe_info(h->recipe);
	char n[UNITS_TEXT_MAX + 4], of[UNITS_TEXT_MAX + 4];
	struct engine *e = h->engine;
	locked(&e->lock);

	while (wait && !h->ended)
		pthread_cond_wait(&e->changed, &e->lock);
	units_format_count(info->n_chunks, of);
	if (!wait)
		return buf_appendf(
			text, "%s: fetching what is missing of %s chunks", info->name, of);
	if (h->first_error)
		return error_set_errno(err, h->first_error,
			h->first_error == -ENOSPC ? "%s: %s of %s chunks could not be kept"
						  : "%s: %s of %s chunks could not be fetched",
			info->name, units_format_count(h->failed, n), of);
	return buf_appendf(text, "%s: all %s chunks are here, %s of them new", info->name, of,
		units_format_count(h->fetched, n));
}

int engine_ahead_hydrate(struct engine *e, struct cache_store *s, struct recipe *recipe, bool wait,
	struct buf *text, struct smr_error *err)
{
	struct hydration *h = calloc(1, sizeof(*h));
	bool stopped;
	int r;

	if (!h) {
		recipe_free(recipe);
		return -ENOMEM;
	}
	h->engine = e;
	h->recipe = recipe;
	h->refs = 2;
	h->pumping = true;
	for (unsigned i = 0; i < HYDRATE_WINDOW; i++) {
		h->slots[i].of = h;
		h->slots[i].get = (struct cache_get){.chunk_size = recipe_info(recipe)->chunk_size,
			.priority = STORE_HYDRATE,
			.store = s,
			.done = hydrated};
	}
	{
		locked(&e->lock);
		stopped = e->stopped;
		e->n_hydrations += !stopped;
	}
	if (stopped) {
		recipe_free(recipe);
		free(h);
		return -ECANCELED;
	}
	/* Without memory for that it is fetched all the same. */
	h->pinned = pins_hold(e->pins, recipe) == 0;
	pump(h);
	r = outcome(h, wait, text, err);
	hydrate_unref(h);
	return r;
}
