/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "lruk_nodes.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Members of a ring, which are all of one kind. */
static uint32_t check_ring(const struct lruk *l, uint32_t ring, enum lruk_kind kind)
{
	uint32_t n = 0, last = 0;

	for (uint32_t i = lruk_nodes_oldest(l, ring); i != ring; i = l->nodes[i].u.links.newer) {
		const struct lruk_node *node = &l->nodes[i];

		require(i >= N_RINGS && i < l->n_nodes && node->kind == kind);
		require(l->nodes[node->u.links.newer].u.links.older == i);
		require(kind != RECENT || node->last >= last);
		last = node->last;
		require(++n < l->n_nodes);
	}
	return n;
}

static void check_node(const struct lruk *l, uint32_t i, struct lruk_usage *sum)
{
	const struct lruk_node *n = &l->nodes[i];
	bool pinned = n->kind == PINNED || n->kind == AWAITED;

	require(lruk_nodes_find(l, &n->id) == i);
	require(n->prev < n->last || (!n->last && n->kind == AWAITED));
	require(n->last <= l->clock);
	require(!pinned || n->u.pins);
	require(n->kind != RIPE || (n->u.heap_at < l->n_heap && l->heap[n->u.heap_at] == i));
	sum->chunks += lruk_nodes_is_there(n);
	sum->bytes += lruk_nodes_is_there(n) ? lruk_nodes_bytes(n) : 0;
	sum->pinned_bytes += n->kind == PINNED ? lruk_nodes_bytes(n) : 0;
	sum->pinned += pinned;
	sum->history += n->kind == PAST;
}

void lruk_check(const struct lruk *l)
{
	struct lruk_usage sum = {0};
	uint32_t known = 0, in_table = 0, n_free = 0, recent = check_ring(l, RECENTS, RECENT);

	for (uint32_t i = N_RINGS; i < l->n_nodes; i++) {
		if (l->nodes[i].kind == FREE)
			continue;
		known++;
		recent -= l->nodes[i].kind == RECENT;
		check_node(l, i, &sum);
	}
	for (uint32_t i = 0; i <= l->mask; i++)
		in_table += l->table[i] != 0;
	for (uint32_t i = l->free; i; i = l->nodes[i].u.links.newer, n_free++)
		require(l->nodes[i].kind == FREE);
	for (uint32_t at = 1; at < l->n_heap; at++)
		require(lruk_nodes_before(l, l->heap[(at - 1) / 2], l->heap[at]));
	require(recent == 0 && known == l->n_known && known == in_table);
	require(known + n_free == l->n_nodes - N_RINGS);
	require(check_ring(l, HISTORY, PAST) == sum.history && sum.history == l->n_history);
	require(l->n_history <= l->opts.history_max);
	require(sum.chunks == l->usage.chunks && sum.bytes == l->usage.bytes);
	require(sum.pinned_bytes == l->usage.pinned_bytes && sum.pinned == l->usage.pinned);
}
