/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger.h"

#include <stdlib.h>

#include <errno.h>

#include "../chunker/core/idmap.h"

/* A node's time of use is the one on disk; it is refreshed when it is older than this. */
#define TOUCH_GRAIN_S 60

#define FIRST_CAPACITY 256

/* 72 bytes a chunk: links are positions in the array, so that it can move as it grows. */
struct node {
	struct chunkid id;
	struct pool_stamp stamp;
	uint64_t used : 63; /* seconds, as last handed out for the record on disk */
	uint64_t verified : 1;
	uint32_t prev, next; /* towards more, and towards less recently used */
};

/*
 * nodes[0] is the head of a ring: its next is the most, its prev the least recently used one. Free
 * nodes are chained by next from `free`, 0 at the end.
 *
 *     in the map  <=>  in the ring;    bytes = sum of stamp.bytes over the ring
 */
struct ledger {
	struct idmap *map; /* id -> position in nodes */
	struct node *nodes;
	uint32_t capacity, n_used; /* n_used: nodes ever handed out, the head included */
	uint32_t free;
	uint64_t bytes;
};

struct ledger *ledger_new(void)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->map = idmap_new();
	l->nodes = calloc(FIRST_CAPACITY, sizeof(*l->nodes));
	if (!l->map || !l->nodes) {
		ledger_free(l);
		return NULL;
	}
	l->capacity = FIRST_CAPACITY;
	l->n_used = 1;
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	idmap_free(l->map);
	free(l->nodes);
	free(l);
}

static void unlink_node(struct ledger *l, uint32_t i)
{
	struct node *n = &l->nodes[i];

	l->nodes[n->prev].next = n->next;
	l->nodes[n->next].prev = n->prev;
}

static void link_first(struct ledger *l, uint32_t i)
{
	struct node *head = &l->nodes[0];

	l->nodes[i].prev = 0;
	l->nodes[i].next = head->next;
	l->nodes[head->next].prev = i;
	head->next = i;
}

static void make_first(struct ledger *l, uint32_t i)
{
	if (l->nodes[0].next == i)
		return;
	unlink_node(l, i);
	link_first(l, i);
}

/* A node that is in neither list; 0: no memory. */
static uint32_t take_node(struct ledger *l)
{
	if (l->free) {
		uint32_t i = l->free;
		l->free = l->nodes[i].next;
		return i;
	}
	if (l->n_used == l->capacity) {
		uint32_t capacity = l->capacity < UINT32_MAX / 2 ? l->capacity * 2 : UINT32_MAX;
		struct node *nodes;

		if (capacity == l->capacity)
			return 0;
		nodes = reallocarray(l->nodes, capacity, sizeof(*nodes));
		if (!nodes)
			return 0;
		l->nodes = nodes;
		l->capacity = capacity;
	}
	return l->n_used++;
}

static void give_node(struct ledger *l, uint32_t i)
{
	l->nodes[i].next = l->free;
	l->free = i;
}

static bool find(const struct ledger *l, const struct chunkid *id, uint32_t *ret)
{
	uint64_t i;

	if (!idmap_get(l->map, id, &i))
		return false;
	*ret = (uint32_t)i;
	return true;
}

int ledger_add(struct ledger *l, const struct chunkid *id, const struct pool_stamp *stamp,
	bool verified, uint64_t now_s)
{
	struct node *n;
	uint32_t i;

	if (find(l, id, &i)) {
		l->bytes -= l->nodes[i].stamp.bytes;
		make_first(l, i);
	} else {
		i = take_node(l);
		if (!i)
			return -ENOMEM;
		if (idmap_put(l->map, id, i) < 0) {
			give_node(l, i);
			return -ENOMEM;
		}
		link_first(l, i);
	}
	n = &l->nodes[i];
	n->id = *id;
	n->stamp = *stamp;
	n->used = now_s & (UINT64_MAX >> 1);
	n->verified = verified;
	l->bytes += stamp->bytes;
	return 0;
}

bool ledger_check(const struct ledger *l, const struct chunkid *id, const struct pool_stamp *stamp,
	bool *ret_verified)
{
	uint32_t i;

	if (!find(l, id, &i))
		return false;
	*ret_verified = l->nodes[i].verified && pool_stamp_equal(&l->nodes[i].stamp, stamp);
	return true;
}

bool ledger_has(const struct ledger *l, const struct chunkid *id)
{
	return idmap_get(l->map, id, NULL);
}

bool ledger_touch(
	struct ledger *l, const struct chunkid *id, uint64_t now_s, struct index_record *ret_record)
{
	struct node *n;
	uint32_t i;

	if (!find(l, id, &i))
		return false;
	make_first(l, i);
	n = &l->nodes[i];
	/* A clock that was set back counts as old, or the record would stay in the future. */
	if (!n->verified || (n->used <= now_s && now_s - n->used <= TOUCH_GRAIN_S))
		return false;
	n->used = now_s & (UINT64_MAX >> 1);
	*ret_record = (struct index_record){.stamp = n->stamp, .used = n->used};
	return true;
}

bool ledger_remove(struct ledger *l, const struct chunkid *id)
{
	uint64_t i;

	if (!idmap_del(l->map, id, &i))
		return false;
	l->bytes -= l->nodes[i].stamp.bytes;
	unlink_node(l, (uint32_t)i);
	give_node(l, (uint32_t)i);
	return true;
}

bool ledger_victim(const struct ledger *l, struct chunkid *ret_id, uint64_t *ret_bytes)
{
	const struct node *n = &l->nodes[l->nodes[0].prev];

	if (n == l->nodes)
		return false;
	*ret_id = n->id;
	*ret_bytes = n->stamp.bytes;
	return true;
}

uint64_t ledger_bytes(const struct ledger *l)
{
	return l->bytes;
}

uint64_t ledger_count(const struct ledger *l)
{
	return idmap_count(l->map);
}
