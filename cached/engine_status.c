/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "status.h"

/* ---- counting ---- */

void engine_status_asked(struct engine *e, struct cache_get *get)
{
	get->asked_ns = clock_ns();
	atomic_fetch_add_explicit(&e->meter.gets, 1, memory_order_relaxed);
}

void engine_status_answered(
	struct engine *e, const struct cache_get *get, int r, struct cache_store *origin)
{
	enum metrics_how how = origin ? METRICS_ORIGIN : METRICS_POOL;

	atomic_fetch_sub_explicit(&e->meter.gets, 1, memory_order_relaxed);
	/* Nobody waits for what is fetched to stock up: how long it took would only hide the others. */
	if (get->priority >= STORE_HYDRATE)
		return;
	metrics_image_add(&e->meter.images, get->image, r < 0 ? METRICS_FAILED : how);
	if (r == 0)
		metrics_answered(origin ? &origin->origin : &e->meter.pool,
			clock_ns() - get->asked_ns, get->chunk_size);
}

/* Takes the image of that digest out of the list, else the last one if there are too many; else makes one. */
static struct engine_image *take_image(struct engine *e, const struct chunkid *digest)
{
	struct engine_image **at = &e->images, *image;
	unsigned n = 0;

	while (*at && !chunkid_equal(&(*at)->digest, digest) &&
		((*at)->next || n < ENGINE_IMAGES_MAX - 1)) {
		at = &(*at)->next;
		n++;
	}
	image = *at;
	if (!image)
		return calloc(1, sizeof(*image));
	*at = image->next;
	return image;
}

void engine_status_opened(struct engine *e, struct cache_store *s, const struct recipe *recipe)
{
	const struct recipe_info *info = recipe_info(recipe);
	struct engine_image *image;
	locked(&e->lock);

	image = take_image(e, &info->digest);
	if (!image)
		return;
	memcpy(image->name, info->name, sizeof(image->name));
	image->digest = info->digest;
	image->store = s;
	image->next = e->images;
	e->images = image;
}

void engine_status_done(struct engine *e)
{
	for (struct engine_image *i = e->images, *next; i; i = next) {
		next = i->next;
		free(i);
	}
}

/* ---- the status ---- */

struct gathering {
	struct engine *engine;
	struct status *status;
	int r;
};

static void count_local(struct engine *e, const struct recipe *recipe, struct status_image *m)
{
	const struct recipe_info *info = recipe_info(recipe);

	m->chunks = info->n_chunks;
	m->bytes = recipe_data_bytes(recipe);
	for (uint64_t i = 0; i < info->n_chunks; i++) {
		struct recipe_entry entry = recipe_entry(recipe, i);
		uint64_t left = info->image_size - (uint64_t)entry.index * info->chunk_size;

		if (!local_has(e->local, &entry.id))
			continue;
		m->local_chunks++;
		m->local_bytes += left < info->chunk_size ? left : info->chunk_size;
	}
}

static struct status_image *add_image(
	struct gathering *g, const char *name, const struct chunkid *digest, const char *store)
{
	struct status_image *m = status_add_image(g->status, store);
	uint64_t n[METRICS_HOWS];

	if (!m) {
		g->r = -ENOMEM;
		return NULL;
	}
	memcpy(m->name, name, sizeof(m->name));
	m->digest = *digest;
	metrics_image_read(&g->engine->meter.images, cache_image_tag(digest), n);
	m->pool_gets = n[METRICS_POOL];
	m->origin_gets = n[METRICS_ORIGIN];
	m->failed_gets = n[METRICS_FAILED];
	return m;
}

/* Entries may be taken out of the list, so it is copied. */
static void add_opened(struct gathering *g)
{
	struct engine *e = g->engine;
	struct engine_image *copy = calloc(ENGINE_IMAGES_MAX, sizeof(*copy));
	size_t n = 0;

	if (!copy) {
		g->r = -ENOMEM;
		return;
	}
	{
		locked(&e->lock);
		for (struct engine_image *i = e->images; i; i = i->next)
			copy[n++] = *i;
	}
	for (size_t i = 0; i < n && g->r == 0; i++) {
		struct status_image *m = add_image(
			g, copy[i].name, &copy[i].digest, store_url(copy[i].store->store));
		struct recipe *recipe;

		if (m && recipe_cache_get(e->recipes, &copy[i].digest, &recipe) == 0) {
			count_local(e, recipe, m);
			recipe_free(recipe);
		}
	}
	free(copy);
}

static void add_pinned(void *user, const struct recipe *recipe)
{
	const struct recipe_info *info = recipe_info(recipe);
	struct gathering *g = user;
	struct status_image *m;
	size_t i = 0;

	if (g->r < 0)
		return;
	while (i < g->status->n_images &&
		!chunkid_equal(&g->status->images[i].digest, &info->digest))
		i++;
	m = i < g->status->n_images ? &g->status->images[i]
				    : add_image(g, info->name, &info->digest, "");
	if (!m)
		return;
	m->pinned = 1;
	if (m->chunks == 0)
		count_local(g->engine, recipe, m);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(
		((const struct status_image *)a)->name, ((const struct status_image *)b)->name);
}

static void add_stores(struct gathering *g)
{
	struct engine *e = g->engine;
	struct cache_store *s;

	{
		locked(&e->lock);
		s = e->stores;
	}
	/* Stores are only ever added in front. */
	for (; s; s = s->next) {
		struct status_store *to = status_add_store(g->status, store_url(s->store));

		if (!to) {
			g->r = -ENOMEM;
			return;
		}
		status_tier_read(&s->origin, &to->origin);
	}
}

static void read_numbers(struct engine *e, struct status *s)
{
	struct cache_counters n;
	struct local_usage u;
	uint64_t now = clock_ns();

	cache_counters(&e->base, &n);
	local_usage(e->local, &u);
	s->pid = (uint64_t)getpid();
	s->uptime_s = (now - e->meter.started_ns) / CLOCK_NS_PER_S;
	s->size = u.size;
	s->min_free = u.min_free;
	s->chunks = u.live_chunks;
	s->bytes = u.live_bytes;
	s->pinned_bytes = u.pinned_bytes;
	s->condemned_bytes = u.condemned_bytes;
	s->overdue_bytes = u.overdue_bytes;
	s->rebuilding = u.rebuilding;
	{
		locked(&e->lock);
		s->scrubbing = e->scrub != NULL;
		s->hydrations = e->n_hydrations;
	}
	s->full = atomic_load(&e->meter.full);
	s->gets_in_flight = atomic_load(&e->meter.gets);
	s->touched = atomic_load(&e->meter.touched);
	status_tier_read(&e->meter.pool, &s->pool);
	s->fetches_in_flight = atomic_load(&e->meter.fetches);
	s->fetched_chunks = n.fetched_chunks;
	s->fetched_bytes = n.fetched_bytes;
	s->missing = n.missing;
	s->corrupt = n.corrupt;
	s->unreachable = n.unreachable;
	s->pool_corrupt = n.pool_corrupt;
	s->errors_last_hour = metrics_recent_sum(&e->meter.errors, now);
	s->evicted = n.evicted;
	s->unkept = n.pool_full;
}

int engine_status(struct cache *c, struct buf *json, struct smr_error *err)
{
	struct engine *e = engine_of(c);
	struct status s auto_with(status_done) = {.directory = strdup(e->dir)};
	struct gathering g = {.engine = e, .status = &s, .r = s.directory ? 0 : -ENOMEM};

	read_numbers(e, &s);
	add_stores(&g);
	if (g.r == 0)
		add_opened(&g);
	if (g.r == 0)
		pins_each(e->pins, add_pinned, &g);
	if (g.r == 0 && s.n_images)
		qsort(s.images, s.n_images, sizeof(*s.images), by_name);
	if (g.r == 0)
		g.r = status_json_encode(&s, json);
	return g.r < 0 ? error_set_errno(err, g.r, "the status") : 0;
}
