/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "cachedir.h"

#define CACHE_SIZE_DEFAULT (10ull << 30)

static struct cache_store *find_store(struct engine *e, const char *url)
{
	struct cache_store *s = e->stores;

	while (s && strcmp(s->url, url) != 0)
		s = s->next;
	return s;
}

static void free_store(struct cache_store *s)
{
	if (!s)
		return;
	store_free(s->store);
	free(s->url);
	free(s);
}

static int engine_open_store(struct cache *c, const char *url, const struct store_options *opts,
	struct cache_store **ret, struct smr_error *err)
{
	struct engine *e = engine_of(c);
	struct cache_store *s, *other;
	int r = -ENOMEM;

	{
		locked(&e->lock);
		other = find_store(e, url);
	}
	if (other) {
		*ret = other;
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (s && (s->url = strdup(url)))
		r = store_open(url, opts, &s->store, err);
	if (r == 0) {
		locked(&e->lock);
		other = find_store(e, url);
		if (!other) {
			s->next = e->stores;
			e->stores = s;
			*ret = s;
			return 0;
		}
		/* Somebody else was faster. */
		*ret = other;
	}
	free_store(s);
	return r;
}

static int engine_list(struct cache *c, struct cache_store *s, char tag[128],
	struct store_list *ret, struct smr_error *err)
{
	(void)c;
	return store_list(s->store, tag, ret, err);
}

static int engine_recipe(struct cache *c, struct cache_store *s, const char *name,
	const struct chunkid *digest, struct recipe **ret, struct smr_error *err)
{
	static const struct chunkid none;
	struct engine *e = engine_of(c);
	struct recipe *recipe;

	if (digest && chunkid_equal(digest, &none))
		digest = NULL;
	if (digest && recipe_cache_get(e->recipes, digest, ret) == 0) {
		engine_status_opened(e, s, *ret);
		return 0;
	}
	int r = store_get_recipe(s->store, name, &recipe, err);
	if (r < 0)
		return r;
	if (digest && !chunkid_equal(digest, &recipe_info(recipe)->digest)) {
		recipe_free(recipe);
		return error_set(err, -ESTALE, "%s: %s has been replaced since it was listed",
			store_url(s->store), name);
	}
	recipe_cache_put(e->recipes, recipe);
	engine_status_opened(e, s, recipe);
	*ret = recipe;
	return 0;
}

static void engine_touch(struct cache *c, const struct chunkid *ids, unsigned n)
{
	struct engine *e = engine_of(c);

	atomic_fetch_add_explicit(&e->meter.touched, n, memory_order_relaxed);
	local_touch(e->local, ids, n);
}

static void engine_bad(struct cache *c, const struct chunkid *id)
{
	struct engine *e = engine_of(c);

	engine_report(
		e, REPORT_POOL, id, e->dir, "could not be read from the pool; fetching it again");
	local_bad(e->local, id);
}

static void engine_counters(struct cache *c, struct cache_counters *ret)
{
	struct engine *e = engine_of(c);

	*ret = (struct cache_counters){.fetched_chunks = atomic_load(&e->count.fetched_chunks),
		.fetched_bytes = atomic_load(&e->count.fetched_bytes),
		.missing = atomic_load(&e->count.missing),
		.corrupt = atomic_load(&e->count.corrupt),
		.unreachable = atomic_load(&e->count.unreachable),
		.pool_full = atomic_load(&e->count.pool_full)};
	local_counters(e->local, ret);
}

static void engine_stop(struct cache *c)
{
	struct engine *e = engine_of(c);
	struct cache_store *s;

	{
		locked(&e->lock);
		e->stopped = true;
		s = e->stores;
	}
	/* Stores are only ever added in front, so the list can be walked without the lock. */
	for (; s; s = s->next)
		store_stop(s->store);
}

static void engine_free(struct cache *c)
{
	struct engine *e = engine_of(c);

	engine_stop(c);
	{
		locked(&e->lock);
		while (e->n_prefetches || e->n_hydrations || e->scrub)
			pthread_cond_wait(&e->changed, &e->lock);
	}
	for (struct cache_store *s = e->stores, *next; s; s = next) {
		next = s->next;
		free_store(s);
	}
	workers_free(e->workers);
	pins_close(e->pins);
	local_close(e->local);
	holders_free(e->holders);
	recipe_cache_close(e->recipes);
	flights_free(e->flights);
	engine_status_done(e);
	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->lock);
	pthread_mutex_destroy(&e->hold_lock);
	cleanup_closep(&e->dir_fd);
	cleanup_closep(&e->lock_fd);
	cache_done(&e->base);
	free(e->dir);
	free(e);
}

static const struct cache_ops engine_ops = {
	.open_store = engine_open_store,
	.list = engine_list,
	.recipe = engine_recipe,
	.get = engine_flight_get,
	.touch = engine_touch,
	.bad = engine_bad,
	.dropped = engine_hold_drop,
	.held = engine_held,
	.prefetch = engine_ahead_prefetch,
	.status = engine_status,
	.control = engine_control,
	.counters = engine_counters,
	.stop = engine_stop,
	.free = engine_free,
};

/* ---- start ---- */

static void evicted(void *user, const struct chunkid *id)
{
	struct engine *e = user;

	cache_tell_evicted(&e->base, id);
}

static int start(struct engine *e, const struct engine_options *opts, struct smr_error *err)
{
	struct local_options local = {.dir = e->dir,
		.size = opts->cache_size ? opts->cache_size : CACHE_SIZE_DEFAULT,
		.min_free = opts->min_free,
		.evicted = evicted,
		.held = engine_hold_is,
		.user = e};
	int r;

	if ((r = cachedir_open(e->dir, &e->dir_fd, err)) < 0 ||
		(r = cachedir_lock(e->dir_fd, e->dir, &e->lock_fd, err)) < 0 ||
		(r = recipe_cache_open(e->dir_fd, &e->recipes, err)) < 0)
		return r;
	e->flights = flights_new();
	e->holders = holders_new();
	if (!e->flights || !e->holders)
		return -ENOMEM;
	r = local_open(e->dir_fd, &local, &e->local, err);
	if (r < 0)
		return r;
	r = pins_open(e->dir_fd, e->local, &e->pins, err);
	if (r < 0)
		return r;
	return workers_new(
		"smr-chunk", opts->n_workers ? opts->n_workers : workers_cpus(), &e->workers);
}

int engine_new(const struct engine_options *opts, struct cache **ret, struct smr_error *err)
{
	struct engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	cache_init(&e->base, &engine_ops);
	e->meter.started_ns = clock_ns();
	e->lock_fd = e->dir_fd = -1;
	pthread_mutex_init(&e->lock, NULL);
	pthread_mutex_init(&e->hold_lock, NULL);
	pthread_cond_init(&e->changed, NULL);
	e->dir = strdup(opts->cache_dir);
	r = e->dir ? start(e, opts, err) : -ENOMEM;
	if (r < 0) {
		engine_free(&e->base);
		return r;
	}
	*ret = &e->base;
	return 0;
}
