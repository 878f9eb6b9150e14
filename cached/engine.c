/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/codec.h"
#include "../chunker/core/fd.h"
#include "../chunker/core/log.h"
#include "cachedir.h"
#include "flight.h"
#include "local.h"
#include "recipe_cache.h"

#define CACHE_SIZE_DEFAULT (10ull << 30)
/* Of one kind of failure, at most one line in this time; the counters have them all. */
#define REPORT_INTERVAL_NS (10 * CLOCK_NS_PER_S)

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

struct engine {
	struct cache base;
	char *dir;
	int lock_fd, dir_fd;
	struct local *local;
	struct recipe_cache *recipes;
	struct workers *workers;

	/* Never held across I/O; taken alone. Guards what is below. */
	pthread_mutex_t lock;
	struct flights *flights;
	struct cache_store *stores;
	uint64_t reported_ns[REPORT_KINDS];
	bool stopped;

	struct {
		atomic_uint_fast64_t fetched_chunks, fetched_bytes, missing, corrupt, unreachable,
			pool_full;
	} count;
};

static struct engine *engine_of(struct cache *c)
{
	return (struct engine *)c;
}

/* ---- reports ---- */

/* Without `where`, `what` names it already. */
static void report(struct engine *e, enum report kind, const struct chunkid *id, const char *where,
	const char *what)
{
	char short_id[16];
	uint64_t now = clock_ns();

	{
		locked(&e->lock);
		if (e->reported_ns[kind] && now - e->reported_ns[kind] < REPORT_INTERVAL_NS)
			return;
		e->reported_ns[kind] = now;
	}
	chunkid_format_short(id, short_id);
	if (where)
		log_warn("%s: chunk %s %s", where, short_id, what);
	else
		log_warn("%s", what);
}

static void report_source(struct engine *e, const struct flight *f, int r, const char *text)
{
	const char *where;

	{
		/* Who joins meanwhile adds a source. */
		locked(&e->lock);
		where = store_url(f->sources[f->source].store->store);
	}
	if (r == -ENOENT)
		report(e, REPORT_MISSING, &f->id, where, "is missing there");
	else if (r == -EBADMSG)
		report(e, REPORT_CORRUPT, &f->id, where, "has wrong bytes there; not used");
	else if (r != -ECANCELED)
		report(e, REPORT_UNREACHABLE, &f->id, NULL, text);
}

/* ---- the steps of a flight ---- */

static void step_store(struct work *w);

static enum workers_priority work_priority(const struct flight *f)
{
	switch (f->priority) {
	case STORE_DEMAND:
		return WORKERS_DEMAND;
	case STORE_AHEAD:
		return WORKERS_AHEAD;
	default:
		return WORKERS_IDLE;
	}
}

static void count_failure(struct engine *e, int r)
{
	if (r == -ENOENT)
		atomic_fetch_add(&e->count.missing, 1);
	else if (r == -EBADMSG)
		atomic_fetch_add(&e->count.corrupt, 1);
	else if (r != -ECANCELED)
		atomic_fetch_add(&e->count.unreachable, 1);
}

/* Answers every waiter: each but the last gets a descriptor of its own. */
static void land(struct engine *e, struct flight *f, int r, int fd)
{
	struct cache_get *get, *next;

	{
		locked(&e->lock);
		get = flight_land(e->flights, f);
	}
	flight_free(f);
	for (; get; get = next) {
		int mine = -1, mine_r = r;

		next = get->next;
		if (r == 0) {
			mine = next ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : fd;
			mine_r = mine < 0 ? -errno : 0;
		}
		get->done(get, mine_r, mine);
	}
}

static void fetched(struct store_get *g, int r, struct buf *body, const struct smr_error *err);

/* Asks the next source, or lands the flight when there is none left. Called without the lock by the
 * owner of the step. */
static void fetch_next(struct engine *e, struct flight *f)
{
	struct cache_store *source;
	int r = -ECANCELED;

	{
		locked(&e->lock);
		source = e->stopped ? NULL : flight_next_source(f);
		if (!source && !e->stopped)
			r = flight_result(f);
		f->fetch = (struct store_get){.id = f->id,
			.max_bytes = codec_wire_max(f->chunk_size),
			.priority = f->priority,
			.done = fetched,
			.user = f};
	}
	if (source) {
		store_get(source->store, &f->fetch);
		return;
	}
	count_failure(e, r);
	land(e, f, r, -1);
}

/* Asking the next source may block when that is a local one, so it is a worker's job too. */
static void step_retry(struct work *w)
{
	struct flight *f = (struct flight *)((char *)w - offsetof(struct flight, work));

	fetch_next(f->engine, f);
}

static void fetched(struct store_get *g, int r, struct buf *body, const struct smr_error *err)
{
	struct flight *f = g->user;
	struct engine *e = f->engine;
	enum workers_priority prio;

	if (r == 0)
		atomic_fetch_add(&e->count.fetched_bytes, body->len);
	else
		report_source(e, f, r, error_text(err, r));
	{
		locked(&e->lock);
		if (r == 0)
			flight_fetched(f, body);
		else
			flight_source_failed(f, r);
		f->work.run = r == 0 ? step_store : step_retry;
		prio = work_priority(f);
	}
	workers_add(e->workers, &f->work, prio);
}

/* Into the pool; where that is full or read-only, into a sealed memfd. */
static int keep(struct engine *e, const struct flight *f, const void *bytes, int *ret_fd)
{
	int r = local_put(e->local, &f->id, bytes, f->chunk_size, ret_fd);

	if (r == 0)
		return 0;
	atomic_fetch_add(&e->count.pool_full, 1);
	report(e, REPORT_FULL, &f->id, e->dir, "cannot be kept on disk; served from memory");
	r = fd_sealed_memfd("smr-chunk", bytes, f->chunk_size);
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}

static void step_store(struct work *w)
{
	struct flight *f = (struct flight *)((char *)w - offsetof(struct flight, work));
	struct engine *e = f->engine;
	void *bytes = local_scratch_take(e->local);
	int fd = -1, r = -ENOMEM;

	if (bytes)
		r = codec_decode_verify(f->body.data, f->body.len, &f->id, bytes, f->chunk_size);
	if (r == -EBADMSG)
		report_source(e, f, r, NULL);
	if (r == 0) {
		atomic_fetch_add(&e->count.fetched_chunks, 1);
		r = keep(e, f, bytes, &fd);
	}
	local_scratch_give(e->local, bytes);
	if (r == -EBADMSG) {
		{
			locked(&e->lock);
			flight_source_failed(f, r);
		}
		fetch_next(e, f);
		return;
	}
	/* Right, or this process lacks memory or descriptors, which is not the source's fault. */
	buf_done(&f->body);
	land(e, f, r, fd);
}

static void step_lookup(struct work *w)
{
	struct flight *f = (struct flight *)((char *)w - offsetof(struct flight, work));
	struct engine *e = f->engine;
	int fd = -1;
	int r = local_get(e->local, &f->id, f->chunk_size, &fd);

	if (r == -EBADMSG)
		report(e, REPORT_POOL, &f->id, e->dir, "is damaged in the pool; fetching it again");
	/* What the pool cannot be looked at for, a download would fail by, too. */
	if (r == 0 || r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		land(e, f, r, fd);
	else
		fetch_next(e, f);
}

/* ---- cache.h ---- */

static void engine_get(struct cache *c, struct cache_get *get)
{
	struct engine *e = engine_of(c);
	struct flight *f = NULL;
	enum workers_priority prio = WORKERS_DEMAND;
	int r;

	{
		locked(&e->lock);
		r = e->stopped ? -ECANCELED : flight_join(e->flights, get, &f);
		if (r == 1) {
			f->engine = e;
			f->work.run = step_lookup;
			prio = work_priority(f);
		}
	}
	if (r < 0)
		get->done(get, r, -1);
	else if (r == 1)
		workers_add(e->workers, &f->work, prio);
}

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
	if (digest && recipe_cache_get(e->recipes, digest, ret) == 0)
		return 0;
	int r = store_get_recipe(s->store, name, &recipe, err);
	if (r < 0)
		return r;
	if (digest && !chunkid_equal(digest, &recipe_info(recipe)->digest)) {
		recipe_free(recipe);
		return error_set(err, -ESTALE, "%s: %s has been replaced since it was listed",
			store_url(s->store), name);
	}
	recipe_cache_put(e->recipes, recipe);
	*ret = recipe;
	return 0;
}

static void engine_touch(struct cache *c, const struct chunkid *ids, unsigned n)
{
	local_touch(engine_of(c)->local, ids, n);
}

static void engine_bad(struct cache *c, const struct chunkid *id)
{
	struct engine *e = engine_of(c);

	report(e, REPORT_POOL, id, e->dir, "could not be read from the pool; fetching it again");
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

	for (struct cache_store *s = e->stores, *next; s; s = next) {
		next = s->next;
		free_store(s);
	}
	workers_free(e->workers);
	local_close(e->local);
	recipe_cache_close(e->recipes);
	flights_free(e->flights);
	pthread_mutex_destroy(&e->lock);
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
	.get = engine_get,
	.touch = engine_touch,
	.bad = engine_bad,
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
		.evicted = evicted,
		.user = e};
	int r;

	if ((r = cachedir_open(e->dir, &e->dir_fd, err)) < 0 ||
		(r = cachedir_lock(e->dir_fd, e->dir, &e->lock_fd, err)) < 0 ||
		(r = recipe_cache_open(e->dir_fd, &e->recipes, err)) < 0)
		return r;
	e->flights = flights_new();
	if (!e->flights)
		return -ENOMEM;
	r = local_open(e->dir_fd, &local, &e->local, err);
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
	e->lock_fd = e->dir_fd = -1;
	pthread_mutex_init(&e->lock, NULL);
	e->dir = strdup(opts->cache_dir);
	r = e->dir ? start(e, opts, err) : -ENOMEM;
	if (r < 0) {
		engine_free(&e->base);
		return r;
	}
	*ret = &e->base;
	return 0;
}
