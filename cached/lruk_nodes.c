/* SPDX-License-Identifier: BSD-3-Clause */
#include "lruk_nodes.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_NODES 256u

/* ---- table ---- */

static uint32_t home(const struct lruk *l, const struct chunkid *id)
{
	return idhash_of(&l->hash, id) & l->mask;
}

/* Where the id is, or the empty place where it would be. */
static uint32_t probe(const struct lruk *l, const struct chunkid *id)
{
	uint32_t at = home(l, id);

	while (l->table[at] && !chunkid_equal(&l->nodes[l->table[at]].id, id))
		at = (at + 1) & l->mask;
	return at;
}

/* Room for one more. 0 or -ENOMEM. */
static int grow_table(struct lruk *l)
{
	uint64_t size = ((uint64_t)l->mask + 1) * 2;
	uint32_t *table;

	if (l->n_known < (l->mask + 1) / 4 * 3)
		return 0;
	table = size <= UINT32_MAX ? calloc(size, sizeof(*table)) : NULL;
	if (!table)
		return -ENOMEM;
	free(l->table);
	l->table = table;
	l->mask = (uint32_t)size - 1;
	for (uint32_t i = N_RINGS; i < l->n_nodes; i++)
		if (l->nodes[i].kind != FREE)
			table[probe(l, &l->nodes[i].id)] = i;
	return 0;
}

/* Backward shift: what follows moves into the hole unless that would put it before its home. */
static void table_remove(struct lruk *l, const struct chunkid *id)
{
	uint32_t hole = probe(l, id);

	for (uint32_t i = (hole + 1) & l->mask; l->table[i]; i = (i + 1) & l->mask) {
		uint32_t from = home(l, &l->nodes[l->table[i]].id);

		if (((i - from) & l->mask) < ((i - hole) & l->mask))
			continue;
		l->table[hole] = l->table[i];
		hole = i;
	}
	l->table[hole] = 0;
	l->n_known--;
}

uint32_t lruk_nodes_find(const struct lruk *l, const struct chunkid *id)
{
	return l->table[probe(l, id)];
}

/* ---- rings ---- */

static void ring_remove(struct lruk *l, uint32_t i)
{
	struct lruk_node *n = &l->nodes[i];

	l->nodes[n->u.links.older].u.links.newer = n->u.links.newer;
	l->nodes[n->u.links.newer].u.links.older = n->u.links.older;
}

static void ring_add(struct lruk *l, uint32_t ring, uint32_t i)
{
	struct lruk_node *head = &l->nodes[ring], *n = &l->nodes[i];

	n->u.links.older = head->u.links.older;
	n->u.links.newer = ring;
	l->nodes[head->u.links.older].u.links.newer = i;
	head->u.links.older = i;
}

/* ---- heap ---- */

bool lruk_nodes_before(const struct lruk *l, uint32_t a, uint32_t b)
{
	const struct lruk_node *x = &l->nodes[a], *y = &l->nodes[b];

	if (x->prev != y->prev)
		return x->prev < y->prev;
	if (x->last != y->last)
		return x->last < y->last;
	return chunkid_compare(&x->id, &y->id) < 0;
}

static void heap_set(struct lruk *l, uint32_t at, uint32_t i)
{
	l->heap[at] = i;
	l->nodes[i].u.heap_at = at;
}

/* Puts `i` at the hole `at` or above, where it belongs. */
static void heap_up(struct lruk *l, uint32_t at, uint32_t i)
{
	while (at && lruk_nodes_before(l, i, l->heap[(at - 1) / 2])) {
		heap_set(l, at, l->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_set(l, at, i);
}

static void heap_down(struct lruk *l, uint32_t at, uint32_t i)
{
	for (uint32_t child; (child = 2 * at + 1) < l->n_heap; at = child) {
		if (child + 1 < l->n_heap &&
			lruk_nodes_before(l, l->heap[child + 1], l->heap[child]))
			child++;
		if (!lruk_nodes_before(l, l->heap[child], i))
			break;
		heap_set(l, at, l->heap[child]);
	}
	heap_set(l, at, i);
}

static void heap_add(struct lruk *l, uint32_t i)
{
	heap_up(l, l->n_heap++, i);
}

static void heap_remove(struct lruk *l, uint32_t i)
{
	uint32_t at = l->nodes[i].u.heap_at;
	uint32_t filler = l->heap[--l->n_heap];

	if (filler == i)
		return;
	if (at && lruk_nodes_before(l, filler, l->heap[(at - 1) / 2]))
		heap_up(l, at, filler);
	else
		heap_down(l, at, filler);
}

/* ---- nodes ---- */

/* Room for one more, in the heap too. 0 or -ENOMEM. */
static int grow_nodes(struct lruk *l)
{
	uint32_t capacity = l->capacity * 2;
	struct lruk_node *nodes;
	uint32_t *heap;

	if (l->free || l->n_nodes < l->capacity)
		return 0;
	if (l->capacity > UINT32_MAX / 2)
		return -ENOMEM;
	heap = reallocarray(l->heap, capacity, sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	l->heap = heap;
	nodes = reallocarray(l->nodes, capacity, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	l->nodes = nodes;
	l->capacity = capacity;
	return 0;
}

int lruk_nodes_know(struct lruk *l, const struct chunkid *id, uint32_t *ret)
{
	uint32_t i = lruk_nodes_find(l, id);
	int r;

	if (i) {
		*ret = i;
		return 0;
	}
	if ((r = grow_nodes(l)) < 0 || (r = grow_table(l)) < 0)
		return r;
	i = l->free;
	if (i)
		l->free = l->nodes[i].u.links.newer;
	else
		i = l->n_nodes++;
	l->nodes[i] = (struct lruk_node){.id = *id, .kind = AWAITED};
	l->table[probe(l, id)] = i;
	l->n_known++;
	*ret = i;
	return 0;
}

void lruk_nodes_forget(struct lruk *l, uint32_t i)
{
	table_remove(l, &l->nodes[i].id);
	l->nodes[i].kind = FREE;
	l->nodes[i].u.links.newer = l->free;
	l->free = i;
}

void lruk_nodes_become(struct lruk *l, uint32_t i, enum lruk_kind kind)
{
	l->nodes[i].kind = kind;
	switch (kind) {
	case RECENT:
		ring_add(l, RECENTS, i);
		break;
	case RIPE:
		heap_add(l, i);
		break;
	case PAST:
		ring_add(l, HISTORY, i);
		l->n_history++;
		break;
	default:
		break;
	}
}

void lruk_nodes_unlink(struct lruk *l, uint32_t i)
{
	switch (l->nodes[i].kind) {
	case RECENT:
		ring_remove(l, i);
		break;
	case RIPE:
		heap_remove(l, i);
		break;
	case PAST:
		ring_remove(l, i);
		l->n_history--;
		break;
	default:
		break;
	}
}

/* ---- all of them ---- */

int lruk_nodes_init(struct lruk *l)
{
	l->capacity = FIRST_NODES;
	l->mask = 2 * FIRST_NODES - 1;
	l->nodes = calloc(l->capacity, sizeof(*l->nodes));
	l->heap = calloc(l->capacity, sizeof(*l->heap));
	l->table = calloc(2 * FIRST_NODES, sizeof(*l->table));
	if (!l->nodes || !l->heap || !l->table)
		return -ENOMEM;
	for (uint32_t ring = 0; ring < N_RINGS; ring++)
		l->nodes[ring].u.links.older = l->nodes[ring].u.links.newer = ring;
	l->n_nodes = N_RINGS;
	idhash_init(&l->hash);
	return 0;
}

void lruk_nodes_done(struct lruk *l)
{
	free(l->nodes);
	free(l->heap);
	free(l->table);
}
