/* SPDX-License-Identifier: BSD-3-Clause */
#include "chunkmap.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/idmap.h"

struct chunkmap {
	struct idmap *by_id; /* -> entry; LOADING and READY, not doomed */
	struct chunkmap_entry *newest, *oldest;
	struct chunkmap_entry *reap;
	unsigned n_ready, n_loading, max;
};

struct chunkmap *chunkmap_new(unsigned max_maps)
{
	struct chunkmap *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->max = max_maps;
	m->by_id = idmap_new();
	if (!m->by_id) {
		free(m);
		return NULL;
	}
	return m;
}

static void list_remove(struct chunkmap *m, struct chunkmap_entry *e)
{
	*(e->newer ? &e->newer->older : &m->newest) = e->older;
	*(e->older ? &e->older->newer : &m->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void list_push(struct chunkmap *m, struct chunkmap_entry *e)
{
	e->newer = NULL;
	e->older = m->newest;
	*(m->newest ? &m->newest->newer : &m->oldest) = e;
	m->newest = e;
}

static void doom(struct chunkmap *m, struct chunkmap_entry *e)
{
	idmap_del(m->by_id, &e->id, NULL);
	list_remove(m, e);
	m->n_ready--;
	e->doomed = true;
	if (e->refs)
		return;
	e->next_free = m->reap;
	m->reap = e;
}

/* Over the limit, the oldest that nobody holds goes; among the held ones it does not search far. */
static void trim(struct chunkmap *m)
{
	struct chunkmap_entry *e = m->oldest;

	for (unsigned looked = 0; e && m->n_ready > m->max && looked < 64; looked++) {
		struct chunkmap_entry *newer = e->newer;
		if (e->refs == 0)
			doom(m, e);
		e = newer;
	}
}

struct chunkmap_entry *chunkmap_find(struct chunkmap *m, const struct chunkid *id)
{
	struct chunkmap_entry *e;
	uint64_t found;

	if (!idmap_get(m->by_id, id, &found))
		return NULL;
	e = (struct chunkmap_entry *)(uintptr_t)found;
	if (!e->ready)
		return e;
	e->touched = true;
	if (e != m->newest) {
		list_remove(m, e);
		list_push(m, e);
	}
	return e;
}

struct chunkmap_entry *chunkmap_add(struct chunkmap *m, const struct chunkid *id, uint32_t size)
{
	auto_free struct chunkmap_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->id = *id;
	e->size = size;
	e->fd = -1;
	if (idmap_put(m->by_id, id, (uintptr_t)e) < 0)
		return NULL;
	m->n_loading++;
	return take_ptr(e);
}

struct image_read_slot *chunkmap_ready(
	struct chunkmap *m, struct chunkmap_entry *e, const void *base)
{
	struct image_read_slot *waiters = take_ptr(e->waiters);

	assert(!e->ready);
	e->ready = true;
	e->base = base;
	e->refs = 1;
	m->n_loading--;
	if (e->doomed) {
		idmap_del(m->by_id, &e->id, NULL);
		return waiters;
	}
	m->n_ready++;
	e->touched = true;
	list_push(m, e);
	return waiters;
}

struct image_read_slot *chunkmap_failed(struct chunkmap *m, struct chunkmap_entry *e)
{
	assert(!e->ready);
	idmap_del(m->by_id, &e->id, NULL);
	m->n_loading--;
	return take_ptr(e->waiters);
}

void chunkmap_ref(struct chunkmap_entry *e)
{
	e->refs++;
}

void chunkmap_unref(struct chunkmap *m, struct chunkmap_entry *e)
{
	assert(e->refs > 0);
	if (--e->refs || !e->doomed)
		return;
	e->next_free = m->reap;
	m->reap = e;
}

void chunkmap_drop(struct chunkmap *m, const struct chunkid *id)
{
	struct chunkmap_entry *e;
	uint64_t found;

	if (!idmap_get(m->by_id, id, &found))
		return;
	e = (struct chunkmap_entry *)(uintptr_t)found;
	if (e->ready)
		doom(m, e);
	else
		e->doomed = true;
}

void chunkmap_drop_all(struct chunkmap *m)
{
	while (m->newest)
		doom(m, m->newest);
}

struct chunkmap_entry *chunkmap_reap(struct chunkmap *m)
{
	if (m->n_ready > m->max)
		trim(m);
	return m->reap ? take_ptr(m->reap) : NULL;
}

void chunkmap_release(struct chunkmap_entry *list)
{
	while (list) {
		struct chunkmap_entry *next = list->next_free;
		if (list->base)
			munmap((void *)(uintptr_t)list->base, list->size);
		free(list);
		list = next;
	}
}

unsigned chunkmap_collect_touched(struct chunkmap *m, struct chunkid *ret_ids, unsigned max)
{
	struct chunkmap_entry *e = m->newest;
	unsigned n = 0;

	/* Every use moves an entry to the front, so the touched ones stand there together; taken from
	 * behind, what is left still does. */
	while (e && e->touched && e->older && e->older->touched)
		e = e->older;
	for (; e && e->touched && n < max; e = e->newer) {
		e->touched = false;
		ret_ids[n++] = e->id;
	}
	return n;
}

unsigned chunkmap_loading(const struct chunkmap *m)
{
	return m->n_loading;
}

void chunkmap_free(struct chunkmap *m)
{
	if (!m)
		return;
	assert(m->n_loading == 0);
	chunkmap_drop_all(m);
	chunkmap_release(m->reap);
	idmap_free(m->by_id);
	free(m);
}
