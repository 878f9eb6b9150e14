/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a frontend sees of the machine's chunk cache, whoever owns it: today the engine in this
 * process (engine.h); a client of smr-cached's socket implements the same table. A chunk is
 * answered by a *descriptor* of its pool form, so a frontend needs neither the network nor the
 * cache directory, and eviction never pulls bytes from under a reader.
 *
 * Any thread may call anything. Callbacks come from threads of the cache and must not block.
 */
#ifndef CACHED_CACHE_H
#define CACHED_CACHE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../chunker/core/buf.h"
#include "../chunker/core/chunkid.h"
#include "../chunker/core/error.h"
#include "../chunker/core/le.h"
#include "../chunker/core/recipe.h"
#include "../chunker/store/store.h"

struct cache;
/* A store that the cache fetches from, opened by URL; one per URL. */
struct cache_store;

/* One request for a chunk. Owned by the caller, alive until done(), which is called exactly once,
 * possibly before cache_get returns. On success `fd` is a read-only descriptor of chunk_size bytes
 * of verified pool form that now belongs to done(); otherwise it is -1 and `r` is
 *     -ENOENT   no source has the chunk
 *     -EBADMSG  every source has wrong bytes
 *     others    the source cannot be reached now (store_error_is_transient) */
struct cache_get {
	struct chunkid id;
	uint32_t chunk_size;
	enum store_priority priority;
	uint32_t image; /* whom the status accounts it to: cache_image_tag; 0: to nobody */
	struct cache_store *store;
	void (*done)(struct cache_get *g, int r, int fd);
	/* the cache's own while in flight */
	struct cache_get *next;
	uint64_t asked_ns;
};

/* Tells images apart that are in use on one machine, by the digests of their recipes. */
static inline uint32_t cache_image_tag(const struct chunkid *digest)
{
	return le_get32(digest->b);
}

/* What cache_control does to an image, or to the cache. */
enum cache_verb {
	CACHE_PIN = 1, /* its chunks are not evicted, also after a restart; nothing is fetched */
	CACHE_UNPIN,
	CACHE_HYDRATE, /* fetch what is missing */
	CACHE_SCRUB,   /* hash every chunk of the pool; `name` and `store` are ignored */
};

/* Counters since start; all monotonic. */
struct cache_counters {
	uint64_t pool_hits;                     /* GETs answered from the pool */
	uint64_t fetched_chunks;                /* downloaded and verified */
	uint64_t fetched_bytes;                 /* of wire form */
	uint64_t missing, corrupt, unreachable; /* GETs that failed, by kind */
	uint64_t pool_corrupt;                  /* damaged pool files caught */
	uint64_t evicted;
	uint64_t pool_full;               /* chunks served without being stored */
	uint64_t live_chunks, live_bytes; /* gauges: in the pool now */
};

struct cache_ops {
	int (*open_store)(struct cache *, const char *url, const struct store_options *,
		struct cache_store **, struct smr_error *);
	int (*list)(struct cache *, struct cache_store *, char tag[128], struct store_list *,
		struct smr_error *);
	int (*recipe)(struct cache *, struct cache_store *, const char *name,
		const struct chunkid *digest, struct recipe **, struct smr_error *);
	void (*get)(struct cache *, struct cache_get *);
	void (*touch)(struct cache *, const struct chunkid *ids, unsigned n);
	void (*bad)(struct cache *, const struct chunkid *id);
	void (*dropped)(struct cache *, const struct chunkid *ids, unsigned n);
	void (*held)(struct cache *, const struct chunkid *ids, unsigned n);
	void (*prefetch)(struct cache *, struct cache_store *, uint32_t chunk_size,
		enum store_priority, const struct chunkid *ids, unsigned n);
	int (*status)(struct cache *, struct buf *json, struct smr_error *);
	int (*control)(struct cache *, enum cache_verb, struct cache_store *, const char *name,
		bool wait, struct buf *text, struct smr_error *);
	void (*counters)(struct cache *, struct cache_counters *);
	void (*stop)(struct cache *);
	void (*free)(struct cache *);
};

/* First member of every implementation. */
struct cache {
	const struct cache_ops *ops;
	pthread_mutex_t evicted_lock; /* guards the two below, held while it is called */
	void (*evicted)(void *user, const struct chunkid *id);
	void *evicted_user;
};

/* For implementations: first and last. */
static inline void cache_init(struct cache *c, const struct cache_ops *ops)
{
	*c = (struct cache){.ops = ops};
	pthread_mutex_init(&c->evicted_lock, NULL);
}

static inline void cache_done(struct cache *c)
{
	pthread_mutex_destroy(&c->evicted_lock);
}

/* For implementations: a chunk left the pool. Call with no lock held. */
static inline void cache_tell_evicted(struct cache *c, const struct chunkid *id)
{
	pthread_mutex_lock(&c->evicted_lock);
	if (c->evicted)
		c->evicted(c->evicted_user, id);
	pthread_mutex_unlock(&c->evicted_lock);
}

/* `fn` is called when a chunk left the pool: drop maps of it. It must not call the cache. NULL: no
 * more; when this returns, the one before is not running. A pool may evict at any time, so set it
 * before the first get and unset it before what it uses is freed. */
static inline void cache_on_evicted(
	struct cache *c, void (*fn)(void *, const struct chunkid *), void *user)
{
	pthread_mutex_lock(&c->evicted_lock);
	c->evicted_user = user;
	c->evicted = fn;
	pthread_mutex_unlock(&c->evicted_lock);
}

/* Contract of store_open; blocks only on local I/O. The handle lives as long as the cache. */
static inline int cache_open_store(struct cache *c, const char *url,
	const struct store_options *opts, struct cache_store **ret, struct smr_error *err)
{
	return c->ops->open_store(c, url, opts, ret, err);
}

/* Contract of store_list. Blocks. */
static inline int cache_list(struct cache *c, struct cache_store *s, char tag[128],
	struct store_list *ret, struct smr_error *err)
{
	return c->ops->list(c, s, tag, ret, err);
}

/* The recipe of a name; with `digest` (may be NULL, or zeros) exactly that one, from the cache's
 * copy if it has one, -ESTALE when the store has another by now. Blocks. */
static inline int cache_recipe(struct cache *c, struct cache_store *s, const char *name,
	const struct chunkid *digest, struct recipe **ret, struct smr_error *err)
{
	return c->ops->recipe(c, s, name, digest, ret, err);
}

static inline void cache_get(struct cache *c, struct cache_get *g)
{
	c->ops->get(c, g);
}

/* Tells that chunks were used (hits on maps the cache cannot see); batched by the caller. */
static inline void cache_touch(struct cache *c, const struct chunkid *ids, unsigned n)
{
	c->ops->touch(c, ids, n);
}

/* The descriptor's bytes turned out unusable: forget the pool file, so that the next get fetches
 * anew. */
static inline void cache_bad(struct cache *c, const struct chunkid *id)
{
	c->ops->bad(c, id);
}

/* Every get that was answered with a descriptor counts as one hold of that chunk, until the caller,
 * when it has closed the descriptor and undone its map, says so here. What is held and evicted still
 * takes its space on disk. */
static inline void cache_dropped(struct cache *c, const struct chunkid *ids, unsigned n)
{
	if (c->ops->dropped)
		c->ops->dropped(c, ids, n);
}

/* To a new owner of the cache, before anything is dropped: these are held since an earlier one had it,
 * an id as often as it is held. Of what is not in the pool any more it tells soon that it is evicted.
 * Does not block. */
static inline void cache_held(struct cache *c, const struct chunkid *ids, unsigned n)
{
	if (c->ops->held)
		c->ops->held(c, ids, n);
}

/* Fetches what is absent, without an answer; may be dropped under load. */
static inline void cache_prefetch(struct cache *c, struct cache_store *s, uint32_t chunk_size,
	enum store_priority priority, const struct chunkid *ids, unsigned n)
{
	if (c->ops->prefetch)
		c->ops->prefetch(c, s, chunk_size, priority, ids, n);
}

/* The cache's state as JSON, appended. Blocks. */
static inline int cache_status(struct cache *c, struct buf *json, struct smr_error *err)
{
	return c->ops->status ? c->ops->status(c, json, err) : -EOPNOTSUPP;
}

/* Blocks; with `wait` until it is done, without until it has begun. `text`: a line about what was
 * done, appended. -ENOENT: no such image. */
static inline int cache_control(struct cache *c, enum cache_verb verb, struct cache_store *s,
	const char *name, bool wait, struct buf *text, struct smr_error *err)
{
	return c->ops->control ? c->ops->control(c, verb, s, name, wait, text, err) : -EOPNOTSUPP;
}

static inline void cache_counters(struct cache *c, struct cache_counters *ret)
{
	c->ops->counters(c, ret);
}

/* For shutdown: every outstanding get, list and recipe ends soon with -ECANCELED, every later one
 * at once. */
static inline void cache_stop(struct cache *c)
{
	c->ops->stop(c);
}

/* No get may be outstanding. NULL is fine. */
static inline void cache_free(struct cache *c)
{
	if (c)
		c->ops->free(c);
}

#endif
