/* SPDX-License-Identifier: BSD-3-Clause */
#include "flight.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "../chunker/core/codec.h"
#include "../chunker/core/idmap.h"

struct flights {
	struct idmap *by_id; /* -> struct flight * */
};

struct flights *flights_new(void)
{
	struct flights *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->by_id = idmap_new();
	if (!t->by_id) {
		free(t);
		return NULL;
	}
	return t;
}

void flights_free(struct flights *t)
{
	if (!t)
		return;
	assert(idmap_count(t->by_id) == 0);
	idmap_free(t->by_id);
	free(t);
}

size_t flights_count(const struct flights *t)
{
	return idmap_count(t->by_id);
}

void flight_check(const struct flight *f)
{
#ifndef NDEBUG
	uint64_t v;
	bool in_table = idmap_get(f->table->by_id, &f->id, &v) && v == (uintptr_t)f;

	assert(in_table == (f->state != FLIGHT_LANDED));
	assert(f->state == FLIGHT_LANDED || f->waiters);
	assert(f->n_sources >= 1 && f->source < f->n_sources);
	assert(f->state == FLIGHT_STORE || f->body.len == 0);
#else
	(void)f;
#endif
}

static int add_source(struct flight *f, struct cache_store *store)
{
	struct flight_source *grown;

	for (unsigned i = 0; i < f->n_sources; i++)
		if (f->sources[i].store == store)
			return 0;
	grown = reallocarray(f->sources, f->n_sources + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	f->sources = grown;
	f->sources[f->n_sources++] = (struct flight_source){.store = store};
	return 0;
}

static void add_waiter(struct flight *f, struct cache_get *get)
{
	get->next = NULL;
	*f->waiters_tail = get;
	f->waiters_tail = &get->next;
	if (get->priority < f->priority)
		f->priority = get->priority;
}

static int flight_new(struct flights *t, struct cache_get *get, struct flight **ret)
{
	struct flight *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->id = get->id;
	f->chunk_size = get->chunk_size;
	f->state = FLIGHT_LOOKUP;
	f->priority = get->priority;
	f->waiters_tail = &f->waiters;
	f->table = t;
	buf_init(&f->body, codec_wire_max(get->chunk_size));
	if (add_source(f, get->store) < 0 || idmap_put(t->by_id, &f->id, (uintptr_t)f) < 0) {
		flight_free(f);
		return -ENOMEM;
	}
	add_waiter(f, get);
	*ret = f;
	return 1;
}

int flight_join(struct flights *t, struct cache_get *get, struct flight **ret)
{
	struct flight *f;
	uint64_t found;

	if (!idmap_get(t->by_id, &get->id, &found))
		return flight_new(t, get, ret);
	f = (struct flight *)(uintptr_t)found;
	/* One id has one size: a SHA-256 of 512 KiB is not that of 1 MiB. A client that says
	 * otherwise lies. */
	if (f->chunk_size != get->chunk_size)
		return -EINVAL;
	int r = add_source(f, get->store);
	if (r < 0)
		return r;
	add_waiter(f, get);
	flight_check(f);
	*ret = f;
	return 0;
}

struct cache_store *flight_next_source(struct flight *f)
{
	f->state = FLIGHT_FETCH;
	for (unsigned i = 0; i < f->n_sources; i++) {
		if (f->sources[i].result != 0)
			continue;
		f->source = i;
		flight_check(f);
		return f->sources[i].store;
	}
	return NULL;
}

void flight_source_failed(struct flight *f, int r)
{
	struct flight_source *s = &f->sources[f->source];

	buf_done(&f->body);
	if (r == -EBADMSG && ++s->corrupt < FLIGHT_TRIES_CORRUPT)
		return;
	s->result = r;
}

void flight_fetched(struct flight *f, struct buf *body)
{
	buf_move(&f->body, body);
	f->state = FLIGHT_STORE;
	flight_check(f);
}

static int rank(int r)
{
	if (store_error_is_transient(r))
		return 3;
	return r == -ENOENT ? 0 : r == -EBADMSG ? 1 : 2;
}

int flight_result(const struct flight *f)
{
	int result = -ENOENT;

	for (unsigned i = 0; i < f->n_sources; i++)
		if (rank(f->sources[i].result) > rank(result))
			result = f->sources[i].result;
	return result;
}

struct cache_get *flight_land(struct flights *t, struct flight *f)
{
	struct cache_get *waiters = f->waiters;

	flight_check(f);
	idmap_del(t->by_id, &f->id, NULL);
	f->state = FLIGHT_LANDED;
	f->waiters = NULL;
	f->waiters_tail = &f->waiters;
	return waiters;
}

void flight_free(struct flight *f)
{
	if (!f)
		return;
	buf_done(&f->body);
	free(f->sources);
	free(f);
}
