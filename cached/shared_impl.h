/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of a shared cache share; others include shared.h.
 *
 *     shared.c          the table of cache.h; start and end
 *     shared_get.c      GETs, and what is told without an answer
 *     shared_calls.c    what waits for its answer; stores
 *     shared_elect.c    who the owner is
 *
 * One lock guards all of it; it is not held across I/O, a done() or a call into a link's cache, but for
 * cache_held, which does neither.
 */
#ifndef CACHED_SHARED_IMPL_H
#define CACHED_SHARED_IMPL_H

#include "../chunker/core/idmap.h"
#include "rpc_server.h"
#include "shared.h"

struct shared;

/* One owner: this process or another one. */
struct shared_link {
	struct shared *shared;
	struct cache *cache;
	struct rpc_server *server; /* we own it and listen; else NULL */
	bool lost;
	unsigned users; /* threads inside its cache */
	struct shared_link *next;
};

struct cache_store {
	char *url, *ca_file;
	struct store_options options;
	struct cache_store *inner; /* the link's handle; NULL: it could not open it */
	struct cache_store *next;
};

/* A GET of a frontend, as its link sees it. */
struct shared_get {
	struct cache_get inner; /* linked by its `next` while it waits here */
	struct cache_get *outer;
	struct shared *shared;
};

struct shared {
	struct cache base;
	struct engine_options engine;
	char *dir, *socket, *name;
	bool never_own;
	pthread_t thread;
	bool has_thread;
	uint64_t random;

	pthread_mutex_t lock;
	pthread_cond_t changed;     /* any of what is below */
	struct shared_link *link;   /* NULL: JOINING */
	struct shared_link *joined; /* by the thread, on its way to be `link`; for cache_stop */
	struct shared_link *dead;   /* to be freed by the thread */
	struct cache_get *waiting, **waiting_tail;
	struct cache_store *stores; /* only ever added, in front */
	struct idmap *holds;        /* chunk -> how often it is held by our frontend */
	struct cache_counters past; /* of links that are gone */
	uint64_t joined_ns;         /* when `link` was set */
	unsigned tries;             /* to find an owner, since one lasted */
	bool stopped, quit;
};

static inline struct shared *shared_of(struct cache *c)
{
	return (struct shared *)c;
}

/* ---- shared.c ---- */

/* A user of the link more; NULL: there is none. Lock held; shared_enter_now: not held. */
struct shared_link *shared_enter(struct shared *s);
struct shared_link *shared_enter_now(struct shared *s);
/* A user less; *l may be NULL. No lock held. */
void shared_leave(struct shared_link **l);

/* ---- shared_get.c; no lock held ---- */

void shared_get(struct cache *c, struct cache_get *g);
void shared_get_touch(struct cache *c, const struct chunkid *ids, unsigned n);
void shared_get_bad(struct cache *c, const struct chunkid *id);
void shared_get_dropped(struct cache *c, const struct chunkid *ids, unsigned n);
void shared_get_prefetch(struct cache *c, struct cache_store *st, uint32_t chunk_size,
	enum store_priority priority, const struct chunkid *ids, unsigned n);
/* A link's cache has lost its owner: remote_options.lost, `user` is the link. */
void shared_get_lost(void *user, struct cache_get *gets);
/* Starts what waits, if there is a link. */
void shared_get_flush(struct shared *s);
/* What waits, with the lock held; and its end, without. */
struct cache_get *shared_get_take_waiting(struct shared *s);
void shared_get_cancel(struct cache_get *list);

/* ---- shared_calls.c; no lock held ---- */

int shared_calls_open_store(struct cache *c, const char *url, const struct store_options *opts,
	struct cache_store **ret, struct smr_error *err);
int shared_calls_list(struct cache *c, struct cache_store *st, char tag[128],
	struct store_list *ret, struct smr_error *err);
int shared_calls_recipe(struct cache *c, struct cache_store *st, const char *name,
	const struct chunkid *digest, struct recipe **ret, struct smr_error *err);
int shared_calls_status(struct cache *c, struct buf *json, struct smr_error *err);
int shared_calls_control(struct cache *c, enum cache_verb verb, struct cache_store *st,
	const char *name, bool wait, struct buf *text, struct smr_error *err);
void shared_calls_free_stores(struct shared *s);

/* ---- shared_elect.c ---- */

/* Finds an owner or becomes it, once. */
int shared_elect_join(struct shared *s, struct shared_link **ret, struct smr_error *err);
/* Opens our stores there, tells it our holds and makes it the link; false: it was lost by then, or we are
 * stopped. */
bool shared_elect_publish(struct shared *s, struct shared_link *l);
/* Nobody may be inside. */
void shared_elect_free_link(struct shared_link *l);
/* Waits as long as suits the number of tries, or until stopped. */
void shared_elect_pause(struct shared *s);
/* The thread that finds the next owner. */
void *shared_elect_main(void *arg);

#endif
