/* SPDX-License-Identifier: BSD-3-Clause */
#include "lruk.h"

#include <errno.h>
#include <stdlib.h>

#include "lruk_nodes.h"

#define BLOCKS_MAX ((1u << 24) - 1)

/* ---- times ---- */

static void advance(struct lruk *l, uint32_t now)
{
	if (now > l->clock)
		l->clock = now;
}

static bool is_old(const struct lruk *l, const struct lruk_node *n)
{
	return l->clock - n->last > l->opts.history_age;
}

static void use(struct lruk *l, struct lruk_node *n)
{
	if (l->clock - n->last > l->opts.correlated)
		n->prev = n->last;
	n->last = l->clock;
}

/* Forgets history that is too old or too much. */
static void trim_history(struct lruk *l)
{
	while (l->n_history) {
		uint32_t i = lruk_nodes_oldest(l, HISTORY);

		if (l->n_history <= l->opts.history_max && !is_old(l, &l->nodes[i]))
			break;
		lruk_nodes_unlink(l, i);
		lruk_nodes_forget(l, i);
	}
}

/* ---- chunks ---- */

struct lruk *lruk_new(const struct lruk_options *opts)
{
	struct lruk *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->opts = *opts;
	l->clock = 1;
	if (lruk_nodes_init(l) < 0) {
		lruk_free(l);
		return NULL;
	}
	return l;
}

void lruk_free(struct lruk *l)
{
	if (!l)
		return;
	lruk_nodes_done(l);
	free(l);
}

/* Of a chunk that is there. */
static void account(struct lruk *l, const struct lruk_node *n, bool add)
{
	uint64_t sign = add ? 1 : UINT64_MAX;

	l->usage.chunks += sign;
	l->usage.bytes += sign * lruk_nodes_bytes(n);
	if (n->kind == PINNED)
		l->usage.pinned_bytes += sign * lruk_nodes_bytes(n);
}

static void set_bytes(struct lruk_node *n, uint64_t bytes)
{
	uint64_t blocks = bytes / LRUK_BLOCK + (bytes % LRUK_BLOCK != 0);

	n->blocks = (blocks < BLOCKS_MAX ? (uint32_t)blocks : BLOCKS_MAX) & BLOCKS_MAX;
}

/* The chunk of a node that is unlinked and not accounted for is there: pinned, or else what `kind` says. */
static void arrive(struct lruk *l, uint32_t i, uint64_t bytes, enum lruk_kind kind)
{
	struct lruk_node *n = &l->nodes[i];
	bool pinned = n->kind == PINNED || (n->kind == AWAITED && n->u.pins);

	set_bytes(n, bytes);
	lruk_nodes_become(l, i, pinned ? PINNED : kind);
	account(l, n, true);
}

/* Takes a node out of its place, to come back by arrive(). */
static void depart(struct lruk *l, uint32_t i)
{
	if (lruk_nodes_is_there(&l->nodes[i]))
		account(l, &l->nodes[i], false);
	lruk_nodes_unlink(l, i);
}

int lruk_add(
	struct lruk *l, const struct chunkid *id, uint64_t bytes, uint32_t now, uint32_t *ret_slot)
{
	struct lruk_node *n;
	uint32_t i;
	int r = lruk_nodes_know(l, id, &i);

	if (r < 0)
		return r;
	advance(l, now);
	depart(l, i);
	n = &l->nodes[i];
	if (!lruk_nodes_is_there(n) && is_old(l, n))
		n->last = n->prev = 0;
	if (n->last)
		use(l, n);
	else
		n->last = l->clock;
	arrive(l, i, bytes, RECENT);
	*ret_slot = i;
	return 0;
}

int lruk_load(struct lruk *l, const struct chunkid *id, uint64_t bytes, struct lruk_times times,
	uint32_t now, uint32_t *ret_slot)
{
	struct lruk_node *n;
	uint32_t i;
	int r = lruk_nodes_know(l, id, &i);

	if (r < 0)
		return r;
	*ret_slot = i;
	advance(l, now);
	n = &l->nodes[i];
	if (lruk_nodes_is_there(n)) {
		account(l, n, false);
		set_bytes(n, bytes);
		account(l, n, true);
		return 0;
	}
	lruk_nodes_unlink(l, i);
	if (!n->last || is_old(l, n)) {
		/* What comes from a disk may be anything. */
		n->last = times.last && times.last < l->clock ? times.last : l->clock;
		n->prev = times.prev < n->last ? times.prev : 0;
	}
	arrive(l, i, bytes, RIPE);
	return 0;
}

bool lruk_find(const struct lruk *l, const struct chunkid *id, uint32_t *ret_slot)
{
	uint32_t i = lruk_nodes_find(l, id);

	if (!i || !lruk_nodes_is_there(&l->nodes[i]))
		return false;
	*ret_slot = i;
	return true;
}

void lruk_touch(struct lruk *l, uint32_t slot, uint32_t now)
{
	struct lruk_node *n = &l->nodes[slot];

	advance(l, now);
	if (n->kind == PINNED) {
		use(l, n);
		return;
	}
	lruk_nodes_unlink(l, slot); /* before its key changes */
	use(l, n);
	lruk_nodes_become(l, slot, RECENT);
}

struct lruk_times lruk_times(const struct lruk *l, uint32_t slot)
{
	return (struct lruk_times){.last = l->nodes[slot].last, .prev = l->nodes[slot].prev};
}

uint64_t lruk_bytes(const struct lruk *l, uint32_t slot)
{
	return lruk_nodes_bytes(&l->nodes[slot]);
}

const struct chunkid *lruk_id(const struct lruk *l, uint32_t slot)
{
	return &l->nodes[slot].id;
}

void lruk_remove(struct lruk *l, uint32_t slot)
{
	struct lruk_node *n = &l->nodes[slot];
	bool pinned = n->kind == PINNED;

	depart(l, slot);
	lruk_nodes_become(l, slot, pinned ? AWAITED : PAST);
	trim_history(l);
}

bool lruk_victim(struct lruk *l, uint32_t now, uint32_t *ret_slot)
{
	uint32_t i;

	advance(l, now);
	while ((i = lruk_nodes_oldest(l, RECENTS)) != RECENTS &&
		l->clock - l->nodes[i].last > l->opts.correlated) {
		lruk_nodes_unlink(l, i);
		lruk_nodes_become(l, i, RIPE);
	}
	if (l->n_heap)
		i = l->heap[0];
	if (i == RECENTS)
		return false;
	*ret_slot = i;
	return true;
}

/* ---- pins ---- */

int lruk_pin(struct lruk *l, const struct chunkid *id)
{
	struct lruk_node *n;
	bool there;
	uint32_t i;
	int r = lruk_nodes_know(l, id, &i);

	if (r < 0)
		return r;
	n = &l->nodes[i];
	if (n->kind == PINNED || (n->kind == AWAITED && n->u.pins)) {
		if (n->u.pins == UINT32_MAX)
			return -EOVERFLOW;
		n->u.pins++;
		return 0;
	}
	there = lruk_nodes_is_there(n);
	lruk_nodes_unlink(l, i);
	lruk_nodes_become(l, i, there ? PINNED : AWAITED);
	n->u.pins = 1;
	l->usage.pinned++;
	if (there)
		l->usage.pinned_bytes += lruk_nodes_bytes(n);
	return 0;
}

int lruk_unpin(struct lruk *l, const struct chunkid *id, uint32_t now)
{
	uint32_t i = lruk_nodes_find(l, id);
	struct lruk_node *n = &l->nodes[i];

	advance(l, now);
	if (!i || (n->kind != PINNED && n->kind != AWAITED))
		return -ENOENT;
	if (--n->u.pins)
		return 0;
	l->usage.pinned--;
	if (n->kind == PINNED) {
		l->usage.pinned_bytes -= lruk_nodes_bytes(n);
		n->last = l->clock;
		lruk_nodes_become(l, i, RECENT);
	} else if (n->last) {
		lruk_nodes_become(l, i, PAST);
		trim_history(l);
	} else {
		lruk_nodes_forget(l, i);
	}
	return 0;
}

void lruk_usage(const struct lruk *l, struct lruk_usage *ret)
{
	*ret = l->usage;
	ret->history = l->n_history;
}
