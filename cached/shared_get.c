/* SPDX-License-Identifier: BSD-3-Clause */
/* What frontends ask a shared cache for without waiting: GETs, which outlive their owner, and what they tell it. */
#include <stdlib.h>

#include "../chunker/core/cleanup.h"
#include "shared_impl.h"

/* ---- GETs ---- */

static struct shared_get *get_of(struct cache_get *inner)
{
	return (struct shared_get *)inner; /* its first member */
}

static void hold(struct shared *s, const struct chunkid *id)
{
	uint64_t n = 0;

	locked(&s->lock);
	idmap_get(s->holds, id, &n);
	/* Without memory the next owner will not know of it: its count of condemned bytes is a little
	 * low then. */
	(void)idmap_put(s->holds, id, n + 1);
}

static void answered(struct cache_get *inner, int r, int fd)
{
	struct shared_get *w = get_of(inner);
	struct cache_get *outer = w->outer;

	if (r == 0)
		hold(w->shared, &inner->id);
	free(w);
	outer->done(outer, r, fd);
}

void shared_get_cancel(struct cache_get *list)
{
	while (list) {
		struct cache_get *next = list->next;
		list->done(list, -ECANCELED, -1);
		list = next;
	}
}

/* Lock held. */
static void wait_for_link(struct shared *s, struct cache_get *inner)
{
	inner->next = NULL;
	*s->waiting_tail = inner;
	s->waiting_tail = &inner->next;
}

/* Lock held. */
struct cache_get *shared_get_take_waiting(struct shared *s)
{
	struct cache_get *list = s->waiting;

	s->waiting = NULL;
	s->waiting_tail = &s->waiting;
	return list;
}

/* Starts it at the link, whose user the caller is. */
static void start(struct shared_link *l, struct cache_get *inner, struct cache_store *store)
{
	inner->next = NULL;
	inner->store = store;
	if (store)
		cache_get(l->cache, inner);
	else
		inner->done(inner, -EHOSTUNREACH, -1);
}

void shared_get_flush(struct shared *s)
{
	struct shared_link *l auto_with(shared_leave) = NULL;
	struct cache_get *list, *next;

	{
		locked(&s->lock);
		l = shared_enter(s);
		if (!l)
			return;
		list = shared_get_take_waiting(s);
		/* A store's handle at a link never changes. */
		for (struct cache_get *g = list; g; g = g->next)
			g->store = get_of(g)->outer->store->inner;
	}
	for (; list; list = next) {
		next = list->next;
		start(l, list, list->store);
	}
}

void shared_get_lost(void *user, struct cache_get *gets)
{
	struct shared_link *l = user;
	struct shared *s = l->shared;
	struct cache_get *next;

	{
		locked(&s->lock);
		if (!l->lost) {
			l->lost = true;
			pthread_cond_broadcast(&s->changed);
		}
		if (s->link == l) {
			s->link = NULL;
			l->next = s->dead;
			s->dead = l;
		}
		for (; gets && !s->stopped; gets = next) {
			next = gets->next;
			wait_for_link(s, gets);
		}
	}
	shared_get_cancel(gets);
	/* They may have come late, when there is another owner by now. */
	shared_get_flush(s);
}

void shared_get(struct cache *c, struct cache_get *g)
{
	struct shared *s = shared_of(c);
	struct shared_link *l auto_with(shared_leave) = NULL;
	struct shared_get *w = malloc(sizeof(*w));
	struct cache_store *store = NULL;
	int r = w ? 0 : -ENOMEM;

	if (w)
		*w = (struct shared_get){.inner = *g, .outer = g, .shared = s};
	{
		locked(&s->lock);
		if (s->stopped)
			r = -ECANCELED;
		if (r == 0 && !(l = shared_enter(s))) {
			w->inner.done = answered;
			wait_for_link(s, &w->inner);
			return;
		}
		store = g->store->inner;
	}
	if (r < 0) {
		free(w);
		g->done(g, r, -1);
		return;
	}
	w->inner.done = answered;
	start(l, &w->inner, store);
}

/* ---- what needs no answer ---- */

void shared_get_touch(struct cache *c, const struct chunkid *ids, unsigned n)
{
	struct shared_link *l auto_with(shared_leave) = shared_enter_now(shared_of(c));

	if (l)
		cache_touch(l->cache, ids, n);
}

void shared_get_bad(struct cache *c, const struct chunkid *id)
{
	struct shared_link *l auto_with(shared_leave) = shared_enter_now(shared_of(c));

	if (l)
		cache_bad(l->cache, id);
}

void shared_get_dropped(struct cache *c, const struct chunkid *ids, unsigned n)
{
	struct shared *s = shared_of(c);
	struct shared_link *l auto_with(shared_leave) = NULL;

	{
		locked(&s->lock);
		for (unsigned i = 0; i < n; i++) {
			uint64_t count;
			if (!idmap_get(s->holds, &ids[i], &count))
				continue;
			if (count > 1)
				(void)idmap_put(s->holds, &ids[i], count - 1);
			else
				idmap_del(s->holds, &ids[i], NULL);
		}
		/* Without a link, its next owner is told of what is left. */
		l = shared_enter(s);
	}
	if (l)
		cache_dropped(l->cache, ids, n);
}

void shared_get_prefetch(struct cache *c, struct cache_store *st, uint32_t chunk_size,
	enum store_priority priority, const struct chunkid *ids, unsigned n)
{
	struct shared *s = shared_of(c);
	struct shared_link *l auto_with(shared_leave) = NULL;
	struct cache_store *inner;

	{
		locked(&s->lock);
		l = shared_enter(s);
		inner = st->inner;
	}
	if (l && inner)
		cache_prefetch(l->cache, inner, chunk_size, priority, ids, n);
}
