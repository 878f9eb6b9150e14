/* SPDX-License-Identifier: BSD-3-Clause */
#include "server.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "rootdir.h"

/* A lookup may not take longer than a read, nor as long as the kernel's limit. */
#define LOOKUP_WAIT_MS 5000u

static void on_changed(void *user, const char *name)
{
	struct server *s = user;
	(void)name;
	atomic_store_explicit(&s->changed, time(NULL), memory_order_relaxed);
}

void server_init(struct server *s)
{
	*s = (struct server){.uid = getuid(), .gid = getgid()};
	pthread_mutex_init(&s->lock, NULL);
	atomic_store(&s->changed, time(NULL));
}

void server_cancel(struct server *s)
{
	locked(&s->lock);
	s->cancelled = true;
	if (s->cache)
		cache_stop(s->cache);
}

static bool is_cancelled(void *server)
{
	struct server *s = server;
	locked(&s->lock);
	return s->cancelled;
}

/* An smrfs that was unmounted a moment ago may still be writing the cache out, which this waits for. */
static int open_cache(struct server *s, const struct server_options *opts, struct smr_error *err)
{
	struct shared_options so = opts->cache;
	struct cache *cache;
	so.cancelled = is_cancelled;
	so.user = s;
	int r = shared_new(&so, &cache, err);
	if (r < 0)
		return r;
	locked(&s->lock);
	s->cache = cache;
	return 0;
}

static int open_catalog(struct server *s, const struct server_options *opts, struct smr_error *err)
{
	struct cache_store *store;
	int r = cache_open_store(s->cache, opts->store, &opts->store_options, &store, err);
	if (r < 0)
		return r;
	/* server_cancel stops the stores that there are: a later one it does not see, but we see it */
	if (is_cancelled(s))
		return -ECANCELED;
	struct image_set_options set = {.timeout_ms = opts->timeout_ms};
	r = image_set_new(s->cache, &set, &s->images, err);
	if (r < 0)
		return r;
	struct catalog_options catalog = {
		.wait_ms = LOOKUP_WAIT_MS, .changed = on_changed, .user = s};
	if (opts->timeout_ms && opts->timeout_ms < catalog.wait_ms)
		catalog.wait_ms = opts->timeout_ms;
	r = catalog_new(s->images, s->cache, store, &catalog, &s->catalog, err);
	if (r < 0)
		return r;
	return catalog_refresh(s->catalog, err);
}

int server_start(struct server *s, const struct server_options *opts, struct smr_error *err)
{
	int r = nodes_new(image_unref, &s->nodes);
	if (r < 0)
		return error_set_errno(err, r, "cannot set up the table of nodes");
	r = open_cache(s, opts, err);
	if (r == 0)
		r = open_catalog(s, opts, err);
	return r < 0 && is_cancelled(s) ? -ECANCELED : r;
}

void server_stop(struct server *s)
{
	if (s->cache)
		cache_stop(s->cache);
	if (s->images)
		image_set_stop(s->images);
	catalog_free(s->catalog);
	s->catalog = NULL;
}

void server_done(struct server *s)
{
	rootdir_close_all(s);
	nodes_free(s->nodes);
	image_set_free(s->images);
	cache_free(s->cache);
	pthread_mutex_destroy(&s->lock);
	*s = (struct server){0};
}
