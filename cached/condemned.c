/* SPDX-License-Identifier: BSD-3-Clause */
#include "condemned.h"

#include <errno.h>
#include <stdlib.h>

#include "../chunker/core/idmap.h"

#define FIRST_NODES 16u

struct node {
	struct chunkid id;
	uint64_t bytes;
	uint32_t since;
	uint32_t older, newer; /* a ring; newer also chains the free ones */
	bool overdue;
};

/*
 * nodes[0] is the head of a ring in order of `since`: its newer is the oldest. The overdue ones are the
 * first of it, up to but without `young`.
 *
 *     bytes = sum over the ring;    overdue = sum over those of it that are overdue
 */
struct condemned {
	struct idmap *map; /* id -> position in nodes */
	struct node *nodes;
	uint32_t capacity, n_nodes, free;
	uint32_t young; /* 0: none */
	uint32_t grace;
	uint64_t bytes, overdue;
};

struct condemned *condemned_new(uint32_t grace)
{
	struct condemned *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->grace = grace;
	c->map = idmap_new();
	c->nodes = calloc(FIRST_NODES, sizeof(*c->nodes));
	c->capacity = FIRST_NODES;
	c->n_nodes = 1;
	if (!c->map || !c->nodes) {
		condemned_free(c);
		return NULL;
	}
	return c;
}

void condemned_free(struct condemned *c)
{
	if (!c)
		return;
	idmap_free(c->map);
	free(c->nodes);
	free(c);
}

/* 0: no memory. */
static uint32_t take_node(struct condemned *c)
{
	uint32_t i = c->free;
	struct node *nodes;

	if (i) {
		c->free = c->nodes[i].newer;
		return i;
	}
	if (c->n_nodes == c->capacity) {
		if (c->capacity > UINT32_MAX / 2)
			return 0;
		nodes = reallocarray(c->nodes, c->capacity * 2, sizeof(*nodes));
		if (!nodes)
			return 0;
		c->nodes = nodes;
		c->capacity *= 2;
	}
	return c->n_nodes++;
}

static void give_node(struct condemned *c, uint32_t i)
{
	c->nodes[i].newer = c->free;
	c->free = i;
}

int condemned_add(struct condemned *c, const struct chunkid *id, uint64_t bytes, uint32_t now)
{
	struct node *n;
	uint64_t at;
	uint32_t i;

	if (idmap_get(c->map, id, &at)) {
		n = &c->nodes[at];
		n->bytes += bytes;
		c->bytes += bytes;
		if (n->overdue)
			c->overdue += bytes;
		return 0;
	}
	i = take_node(c);
	if (!i)
		return -ENOMEM;
	if (idmap_put(c->map, id, i) < 0) {
		give_node(c, i);
		return -ENOMEM;
	}
	n = &c->nodes[i];
	*n = (struct node){
		.id = *id, .bytes = bytes, .since = now, .older = c->nodes[0].older, .newer = 0};
	c->nodes[n->older].newer = i;
	c->nodes[0].older = i;
	if (!c->young)
		c->young = i;
	c->bytes += bytes;
	return 0;
}

uint64_t condemned_release(struct condemned *c, const struct chunkid *id)
{
	struct node *n;
	uint64_t at;

	if (!idmap_del(c->map, id, &at))
		return 0;
	n = &c->nodes[at];
	c->nodes[n->older].newer = n->newer;
	c->nodes[n->newer].older = n->older;
	if (c->young == at)
		c->young = n->newer;
	c->bytes -= n->bytes;
	if (n->overdue)
		c->overdue -= n->bytes;
	give_node(c, (uint32_t)at);
	return n->bytes;
}

uint64_t condemned_bytes(const struct condemned *c)
{
	return c->bytes;
}

uint64_t condemned_overdue(struct condemned *c, uint32_t now)
{
	while (c->young) {
		struct node *n = &c->nodes[c->young];

		if (now < n->since || now - n->since <= c->grace)
			break;
		n->overdue = true;
		c->overdue += n->bytes;
		c->young = n->newer;
	}
	return c->overdue;
}
