/* SPDX-License-Identifier: BSD-3-Clause */
#include "shared.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "shared_impl.h"

#define START_WAIT_NS (5 * CLOCK_NS_PER_S)

/* ---- being inside a link ---- */

struct shared_link *shared_enter(struct shared *s)
{
	if (s->link)
		s->link->users++;
	return s->link;
}

void shared_leave(struct shared_link **l)
{
	struct shared *s = *l ? (*l)->shared : NULL;

	if (!s)
		return;
	locked(&s->lock);
	if (--(*l)->users == 0)
		pthread_cond_broadcast(&s->changed);
}

struct shared_link *shared_enter_now(struct shared *s)
{
	locked(&s->lock);
	return shared_enter(s);
}

/* ---- cache.h ---- */

static void shared_counters(struct cache *c, struct cache_counters *ret)
{
	struct shared *s = shared_of(c);
	struct shared_link *l auto_with(shared_leave) = shared_enter_now(s);

	*ret = (struct cache_counters){0};
	if (l)
		cache_counters(l->cache, ret);
	locked(&s->lock);
	ret->missing += s->past.missing;
	ret->corrupt += s->past.corrupt;
	ret->unreachable += s->past.unreachable;
}

static void shared_stop(struct cache *c)
{
	struct shared *s = shared_of(c);
	struct shared_link *l auto_with(shared_leave) = NULL,
			      *joined auto_with(shared_leave) = NULL;
	struct cache_get *gets;

	{
		locked(&s->lock);
		s->stopped = true;
		gets = shared_get_take_waiting(s);
		l = shared_enter(s);
		joined = s->joined;
		if (joined)
			joined->users++;
		pthread_cond_broadcast(&s->changed);
	}
	shared_get_cancel(gets);
	if (l)
		cache_stop(l->cache);
	if (joined)
		cache_stop(joined->cache);
}

static void shared_free(struct cache *c)
{
	struct shared *s = shared_of(c);

	if (s->has_thread) {
		shared_stop(c);
		{
			locked(&s->lock);
			s->quit = true;
			pthread_cond_broadcast(&s->changed);
		}
		pthread_join(s->thread, NULL);
	}
	/* A link that is lost from now on stays where it is: nothing looks for another. */
	if (s->link)
		shared_elect_free_link(s->link);
	for (struct shared_link *l = s->dead, *next; l; l = next) {
		next = l->next;
		shared_elect_free_link(l);
	}
	shared_calls_free_stores(s);
	idmap_free(s->holds);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	cache_done(&s->base);
	free(s->dir);
	free(s->socket);
	free(s->name);
	free(s);
}

static const struct cache_ops shared_ops = {
	.open_store = shared_calls_open_store,
	.list = shared_calls_list,
	.recipe = shared_calls_recipe,
	.get = shared_get,
	.touch = shared_get_touch,
	.bad = shared_get_bad,
	.dropped = shared_get_dropped,
	.prefetch = shared_get_prefetch,
	.status = shared_calls_status,
	.control = shared_calls_control,
	.counters = shared_counters,
	.stop = shared_stop,
	.free = shared_free,
};

/* ---- start ---- */

static int set_up(struct shared *s, const struct shared_options *opts)
{
	pthread_condattr_t monotonic;

	cache_init(&s->base, &shared_ops);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	s->waiting_tail = &s->waiting;
	s->random = clock_ns() ^ (uint64_t)getpid() << 32 ^ 0x9e3779b97f4a7c15ull;
	s->never_own = opts->never_own;
	s->holds = idmap_new();
	s->dir = strdup(opts->engine.cache_dir ? opts->engine.cache_dir : opts->socket);
	s->name = strdup(opts->name ? opts->name : "");
	if (!s->holds || !s->dir || !s->name)
		return -ENOMEM;
	s->engine = opts->engine;
	s->engine.cache_dir = s->dir;
	if (opts->socket)
		s->socket = strdup(opts->socket);
	else if (asprintf(&s->socket, "%s/" SHARED_SOCKET_NAME, s->dir) < 0)
		s->socket = NULL;
	return s->socket ? 0 : -ENOMEM;
}

/* What another process that begins or ends may cause for a moment. */
static bool may_pass(int r)
{
	return r == -EBUSY || r == -ECONNRESET || r == -ENOTCONN;
}

static int join_first(struct shared *s, const struct shared_options *opts, struct smr_error *err)
{
	uint64_t until = clock_ns() + START_WAIT_NS;
	struct shared_link *l;

	while (true) {
		struct smr_error why = {0};
		int r = shared_elect_join(s, &l, &why);

		if (r == 0 && shared_elect_publish(s, l))
			return 0;
		if (r == 0)
			shared_elect_free_link(l);
		if (opts->cancelled && opts->cancelled(opts->user))
			return -ECANCELED;
		if (r < 0 && (!may_pass(r) || s->never_own || clock_ns() >= until)) {
			if (err)
				*err = why;
			return r;
		}
		shared_elect_pause(s);
	}
}

static int start_thread(struct shared *s)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&s->thread, NULL, shared_elect_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->has_thread = r == 0;
	return r;
}

int shared_new(const struct shared_options *opts, struct cache **ret, struct smr_error *err)
{
	struct shared *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = set_up(s, opts);
	if (r == 0)
		r = join_first(s, opts, err);
	if (r == 0)
		r = start_thread(s);
	if (r < 0) {
		shared_free(&s->base);
		return r;
	}
	*ret = &s->base;
	return 0;
}
