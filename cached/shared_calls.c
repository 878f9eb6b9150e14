/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls of a shared cache that wait, each at whatever owner there is, and the stores. */
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "shared_impl.h"

#define CALL_WAIT_NS (5 * CLOCK_NS_PER_S)

/* The calls below, each at whatever link there is: one whose owner went is made again. */
struct call {
	int (*run)(struct cache *link, struct cache_store *inner, struct call *call,
		struct smr_error *err);
	struct cache_store *store; /* may be NULL */
	/* arguments and results of the call */
	char *tag;
	struct store_list *list;
	const char *name;
	const struct chunkid *digest;
	struct recipe **recipe;
	struct buf *text;
	enum cache_verb verb;
	bool wait;
};

/* The link, of which the caller is a user from then on, and the store's handle there, read in the same breath: once the
 * lock is free it may be another owner's. Waits for an owner until a time. `st` may be NULL. */
static int enter_until(struct shared *s, uint64_t until_ns, const struct cache_store *st,
	struct shared_link **ret, struct cache_store **ret_inner, struct smr_error *err)
{
	struct timespec until = clock_timespec(until_ns);

	locked(&s->lock);
	while (!s->stopped && !s->link)
		if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT)
			break;
	if (s->stopped)
		return -ECANCELED;
	*ret = shared_enter(s);
	*ret_inner = st ? st->inner : NULL;
	return *ret ? 0 : error_set(err, -ECONNRESET, "the cache %s has no owner now", s->dir);
}

/* A call ended because its owner did (remote.h), which its link hears of a little later. */
static void wait_until_lost(struct shared *s, const struct shared_link *l, uint64_t until_ns)
{
	struct timespec until = clock_timespec(until_ns);

	locked(&s->lock);
	while (!s->stopped && !l->lost)
		if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT)
			break;
}

static int call_once(struct shared *s, struct call *call, uint64_t until, struct smr_error *err)
{
	struct shared_link *l auto_with(shared_leave) = NULL;
	struct cache_store *inner = NULL;
	int r = enter_until(s, until, call->store, &l, &inner, err);

	if (r < 0)
		return r;
	if (call->store && !inner)
		return error_set(err, -EHOSTUNREACH, "%s: the owner of the cache cannot open it",
			call->store->url);
	r = call->run(l->cache, inner, call, err);
	if (r == -ENOTCONN)
		wait_until_lost(s, l, until);
	return r;
}

static int make_call(struct cache *c, struct call *call, struct smr_error *err)
{
	struct shared *s = shared_of(c);
	uint64_t until = clock_ns() + CALL_WAIT_NS;
	int r;

	while ((r = call_once(s, call, until, err)) == -ENOTCONN && clock_ns() < until)
		;
	return r == -ENOTCONN ? -ECONNRESET : r;
}

static int run_list(struct cache *c, struct cache_store *st, struct call *call, struct smr_error *e)
{
	return cache_list(c, st, call->tag, call->list, e);
}

int shared_calls_list(struct cache *c, struct cache_store *st, char tag[128],
	struct store_list *ret, struct smr_error *err)
{
	struct call call = {.run = run_list, .store = st, .tag = tag, .list = ret};

	return make_call(c, &call, err);
}

static int run_recipe(
	struct cache *c, struct cache_store *st, struct call *call, struct smr_error *e)
{
	return cache_recipe(c, st, call->name, call->digest, call->recipe, e);
}

int shared_calls_recipe(struct cache *c, struct cache_store *st, const char *name,
	const struct chunkid *digest, struct recipe **ret, struct smr_error *err)
{
	struct call call = {
		.run = run_recipe, .store = st, .name = name, .digest = digest, .recipe = ret};

	return make_call(c, &call, err);
}

static int run_status(
	struct cache *c, struct cache_store *st, struct call *call, struct smr_error *e)
{
	(void)st;
	return cache_status(c, call->text, e);
}

int shared_calls_status(struct cache *c, struct buf *json, struct smr_error *err)
{
	struct call call = {.run = run_status, .text = json};

	return make_call(c, &call, err);
}

static int run_control(
	struct cache *c, struct cache_store *st, struct call *call, struct smr_error *e)
{
	return cache_control(c, call->verb, st, call->name, call->wait, call->text, e);
}

int shared_calls_control(struct cache *c, enum cache_verb verb, struct cache_store *st,
	const char *name, bool wait, struct buf *text, struct smr_error *err)
{
	struct call call = {.run = run_control,
		.store = st,
		.verb = verb,
		.name = name,
		.wait = wait,
		.text = text};

	return make_call(c, &call, err);
}

/* ---- stores ---- */

static void free_store(struct cache_store *st)
{
	if (!st)
		return;
	free(st->url);
	free(st->ca_file);
	free(st);
}

static void free_storep(struct cache_store **st)
{
	free_store(*st);
}

static struct cache_store *make_store(const char *url, const struct store_options *opts)
{
	struct cache_store *st auto_with(free_storep) = calloc(1, sizeof(*st));

	if (!st || !(st->url = strdup(url)))
		return NULL;
	if (opts)
		st->options = *opts;
	if (st->options.ca_file && !(st->ca_file = strdup(st->options.ca_file)))
		return NULL;
	st->options.ca_file = st->ca_file;
	return take_ptr(st);
}

/* Lock held. */
static struct cache_store *find_store(const struct shared *s, const char *url)
{
	struct cache_store *st = s->stores;

	while (st && strcmp(st->url, url) != 0)
		st = st->next;
	return st;
}

/* -ENOTCONN: the owner has gone meanwhile. */
static int open_store_once(
	struct shared *s, struct cache_store **st, uint64_t until, struct smr_error *err)
{
	struct shared_link *l auto_with(shared_leave) = NULL;
	struct cache_store *none, *other;
	int r = enter_until(s, until, NULL, &l, &none, err);

	if (r < 0)
		return r;
	r = cache_open_store(l->cache, (*st)->url, &(*st)->options, &(*st)->inner, err);
	if (r == -ENOTCONN)
		wait_until_lost(s, l, until);
	if (r < 0)
		return r;
	locked(&s->lock);
	if (s->link != l)
		return -ENOTCONN;
	other = find_store(s, (*st)->url);
	if (other) {
		free_store(*st);
		*st = other;
		return 0;
	}
	(*st)->next = s->stores;
	s->stores = *st;
	return 0;
}

int shared_calls_open_store(struct cache *c, const char *url, const struct store_options *opts,
	struct cache_store **ret, struct smr_error *err)
{
	struct shared *s = shared_of(c);
	uint64_t until = clock_ns() + CALL_WAIT_NS;
	struct cache_store *st auto_with(free_storep) = NULL, *known;
	int r;

	{
		locked(&s->lock);
		known = find_store(s, url);
	}
	if (known) {
		*ret = known;
		return 0;
	}
	st = make_store(url, opts);
	if (!st)
		return -ENOMEM;
	while ((r = open_store_once(s, &st, until, err)) == -ENOTCONN && clock_ns() < until)
		;
	if (r < 0)
		return r == -ENOTCONN ? -ECONNRESET : r;
	*ret = take_ptr(st);
	return 0;
}

void shared_calls_free_stores(struct shared *s)
{
	for (struct cache_store *st = s->stores, *next; st; st = next) {
		next = st->next;
		free_store(st);
	}
}
