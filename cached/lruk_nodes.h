/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lruk.c keeps of each id, and the orders that it keeps them in: a table by id, a heap of those
 * that may go, and rings. For lruk*.c only.
 */
#ifndef CACHED_LRUK_NODES_H
#define CACHED_LRUK_NODES_H

#include "../chunker/core/idhash.h"
#include "lruk.h"

#define LRUK_BLOCK 512u

/*
 *     kind      there  in the table  linked in       `u` holds
 *     FREE      -      no            the free list   links.newer
 *     RECENT    yes    yes           ring RECENTS    links
 *     RIPE      yes    yes           the heap        heap_at
 *     PINNED    yes    yes           nothing         pins > 0
 *     PAST      no     yes           ring HISTORY    links
 *     AWAITED   no     yes           nothing         pins > 0; last may be 0
 *
 * RECENTS is in order of `last`; its oldest ones whose correlated period is over ripen when a victim is asked
 * for, so each use costs at most one insertion into the heap. HISTORY is in order of removal.
 */
enum lruk_kind { FREE, RECENT, RIPE, PINNED, PAST, AWAITED };

/* 52 bytes, and about 8 in the table and 4 in the heap. Links are positions, so that the array can move. */
struct lruk_node {
	struct chunkid id;
	uint32_t last, prev;
	union {
		struct {
			uint32_t older, newer;
		} links;
		uint32_t heap_at;
		uint32_t pins;
	} u;
	uint32_t blocks : 24;
	uint32_t kind : 8;
};

/* The first nodes are the heads of rings: .newer is the oldest member, .older the newest. */
enum { RECENTS, HISTORY, N_RINGS };

struct lruk {
	struct lruk_options opts;
	uint32_t clock; /* the latest time seen */
	struct lruk_node *nodes;
	uint32_t *heap;             /* of RIPE nodes, least key first; as long as nodes */
	uint32_t capacity, n_nodes; /* n_nodes: ever handed out, rings included */
	uint32_t free;              /* 0: none */
	uint32_t n_heap, n_history;
	uint32_t *table; /* open addressing, linear probing: nodes by id, 0 is empty */
	uint32_t mask, n_known;
	struct idhash hash;
	struct lruk_usage usage; /* but for .history */
};

static inline bool lruk_nodes_is_there(const struct lruk_node *n)
{
	return n->kind == RECENT || n->kind == RIPE || n->kind == PINNED;
}

static inline uint64_t lruk_nodes_bytes(const struct lruk_node *n)
{
	return (uint64_t)n->blocks * LRUK_BLOCK;
}

/* The oldest member of a ring; `ring` itself when it is empty. */
static inline uint32_t lruk_nodes_oldest(const struct lruk *l, uint32_t ring)
{
	return l->nodes[ring].u.links.newer;
}

int lruk_nodes_init(struct lruk *l); /* 0 or -ENOMEM; lruk_nodes_done in any case */
void lruk_nodes_done(struct lruk *l);
/* The node of an id, 0 if it is not known. */
uint32_t lruk_nodes_find(const struct lruk *l, const struct chunkid *id);
/* The node of an id; one that was not known becomes AWAITED with no pins, for the caller to change. 0
 * or -ENOMEM. */
int lruk_nodes_know(struct lruk *l, const struct chunkid *id, uint32_t *ret);
/* Call for a node that is unlinked. */
void lruk_nodes_forget(struct lruk *l, uint32_t i);
/* Takes a node out of its ring, or the heap, by its kind, which stays. Its times must not change before
 * that. */
void lruk_nodes_unlink(struct lruk *l, uint32_t i);
/* Gives a node that is unlinked a kind, and puts it where that belongs: in a ring, as the newest. */
void lruk_nodes_become(struct lruk *l, uint32_t i, enum lruk_kind kind);
/* Is `a` to go before `b`? */
bool lruk_nodes_before(const struct lruk *l, uint32_t a, uint32_t b);

#endif
