/* SPDX-License-Identifier: BSD-3-Clause */
#include "lruk.h"

#include <errno.h>
#include <stdlib.h>

#include "../chunker/core/idhash.h"

#define FIRST_NODES 256u
#define BLOCK       512u
#define BLOCKS_MAX  ((1u << 24) - 1)

/*
 *     kind      there  in the table  linked in       `u` holds
 *     FREE      -      no            the free list   links.newer
 *     RECENT    yes    yes           ring RECENTS    links
 *     RIPE      yes    yes           the heap        heap_at
 *     PINNED    yes    yes           nothing         pins > 0
 *     PAST      no     yes           ring HISTORY    links
 *     AWAITED   no     yes           nothing         pins > 0; last may be 0
 *
 * RECENTS is in order of `last`; its oldest ones whose correlated period is over ripen when a victim is asked for, so each use costs at
 * most one insertion into the heap. HISTORY is in order of removal.
 */
enum kind { FREE, RECENT, RIPE, PINNED, PAST, AWAITED };

/* 52 bytes, and about 8 in the table and 4 in the heap. Links are positions, so that the array can move. */
struct node {
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
	struct node *nodes;
	uint32_t *heap;             /* of RIPE nodes, least key first; as long as nodes */
	uint32_t capacity, n_nodes; /* n_nodes: ever handed out, rings included */
	uint32_t free;              /* 0: none */
	uint32_t n_heap, n_history;
	uint32_t *table; /* open addressing, linear probing: nodes by id, 0 is empty */
	uint32_t mask, n_known;
	struct idhash hash;
	struct lruk_usage usage; /* but for .history */
};

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

/* ---- rings ---- */

static void ring_remove(struct lruk *l, uint32_t i)
{
	struct node *n = &l->nodes[i];

	l->nodes[n->u.links.older].u.links.newer = n->u.links.newer;
	l->nodes[n->u.links.newer].u.links.older = n->u.links.older;
}

static void ring_add(struct lruk *l, uint32_t ring, uint32_t i)
{
	struct node *head = &l->nodes[ring], *n = &l->nodes[i];

	n->u.links.older = head->u.links.older;
	n->u.links.newer = ring;
	l->nodes[head->u.links.older].u.links.newer = i;
	head->u.links.older = i;
}

/* `ring` itself when it is empty. */
static uint32_t ring_oldest(const struct lruk *l, uint32_t ring)
{
	return l->nodes[ring].u.links.newer;
}

/* ---- heap ---- */

static bool before(const struct lruk *l, uint32_t a, uint32_t b)
{
	const struct node *x = &l->nodes[a], *y = &l->nodes[b];

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
	while (at && before(l, i, l->heap[(at - 1) / 2])) {
		heap_set(l, at, l->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_set(l, at, i);
}

static void heap_down(struct lruk *l, uint32_t at, uint32_t i)
{
	for (uint32_t child; (child = 2 * at + 1) < l->n_heap; at = child) {
		if (child + 1 < l->n_heap && before(l, l->heap[child + 1], l->heap[child]))
			child++;
		if (!before(l, l->heap[child], i))
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
	if (at && before(l, filler, l->heap[(at - 1) / 2]))
		heap_up(l, at, filler);
	else
		heap_down(l, at, filler);
}

/* ---- nodes ---- */

/* Room for one more, in the heap too. 0 or -ENOMEM. */
static int grow_nodes(struct lruk *l)
{
	uint32_t capacity = l->capacity * 2;
	struct node *nodes;
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

/* The node of an id; one that was not known becomes AWAITED with no pins. 0 or -ENOMEM. */
static int know(struct lruk *l, const struct chunkid *id, uint32_t *ret)
{
	uint32_t i = l->table[probe(l, id)];
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
	l->nodes[i] = (struct node){.id = *id, .kind = AWAITED};
	l->table[probe(l, id)] = i;
	l->n_known++;
	*ret = i;
	return 0;
}

/* It is in no ring and not in the heap. */
static void forget(struct lruk *l, uint32_t i)
{
	table_remove(l, &l->nodes[i].id);
	l->nodes[i].kind = FREE;
	l->nodes[i].u.links.newer = l->free;
	l->free = i;
}

/* Makes `i`, which is unlinked, another kind; puts it where that belongs. */
static void become(struct lruk *l, uint32_t i, enum kind kind)
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

static void unlink_node(struct lruk *l, uint32_t i)
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

/* ---- times ---- */

static void advance(struct lruk *l, uint32_t now)
{
	if (now > l->clock)
		l->clock = now;
}

static bool is_old(const struct lruk *l, const struct node *n)
{
	return l->clock - n->last > l->opts.history_age;
}

static void use(struct lruk *l, struct node *n)
{
	if (l->clock - n->last > l->opts.correlated)
		n->prev = n->last;
	n->last = l->clock;
}

/* Forgets history that is too old or too much. */
static void trim_history(struct lruk *l)
{
	while (l->n_history) {
		uint32_t i = ring_oldest(l, HISTORY);

		if (l->n_history <= l->opts.history_max && !is_old(l, &l->nodes[i]))
			break;
		unlink_node(l, i);
		forget(l, i);
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
	l->capacity = FIRST_NODES;
	l->mask = 2 * FIRST_NODES - 1;
	l->nodes = calloc(l->capacity, sizeof(*l->nodes));
	l->heap = calloc(l->capacity, sizeof(*l->heap));
	l->table = calloc(2 * FIRST_NODES, sizeof(*l->table));
	if (!l->nodes || !l->heap || !l->table) {
		lruk_free(l);
		return NULL;
	}
	for (uint32_t ring = 0; ring < N_RINGS; ring++)
		l->nodes[ring].u.links.older = l->nodes[ring].u.links.newer = ring;
	l->n_nodes = N_RINGS;
	idhash_init(&l->hash);
	return l;
}

void lruk_free(struct lruk *l)
{
	if (!l)
		return;
	free(l->nodes);
	free(l->heap);
	free(l->table);
	free(l);
}

static bool is_there(const struct node *n)
{
	return n->kind == RECENT || n->kind == RIPE || n->kind == PINNED;
}

static uint64_t bytes_of(const struct node *n)
{
	return (uint64_t)n->blocks * BLOCK;
}

/* Of a chunk that is there. */
static void account(struct lruk *l, const struct node *n, bool add)
{
	uint64_t sign = add ? 1 : UINT64_MAX;

	l->usage.chunks += sign;
	l->usage.bytes += sign * bytes_of(n);
	if (n->kind == PINNED)
		l->usage.pinned_bytes += sign * bytes_of(n);
}

static void set_bytes(struct node *n, uint64_t bytes)
{
	uint64_t blocks = bytes / BLOCK + (bytes % BLOCK != 0);

	n->blocks = (blocks < BLOCKS_MAX ? (uint32_t)blocks : BLOCKS_MAX) & BLOCKS_MAX;
}

/* The chunk of a node that is unlinked and not accounted for is there: pinned, or else what `kind` says. */
static void arrive(struct lruk *l, uint32_t i, uint64_t bytes, enum kind kind)
{
	struct node *n = &l->nodes[i];
	bool pinned = n->kind == PINNED || (n->kind == AWAITED && n->u.pins);

	set_bytes(n, bytes);
	become(l, i, pinned ? PINNED : kind);
	account(l, n, true);
}

/* Takes a node out of its place, to come back by arrive(). */
static void depart(struct lruk *l, uint32_t i)
{
	if (is_there(&l->nodes[i]))
		account(l, &l->nodes[i], false);
	unlink_node(l, i);
}

int lruk_add(
	struct lruk *l, const struct chunkid *id, uint64_t bytes, uint32_t now, uint32_t *ret_slot)
{
	struct node *n;
	uint32_t i;
	int r = know(l, id, &i);

	if (r < 0)
		return r;
	advance(l, now);
	depart(l, i);
	n = &l->nodes[i];
	if (!is_there(n) && is_old(l, n))
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
	struct node *n;
	uint32_t i;
	int r = know(l, id, &i);

	if (r < 0)
		return r;
	*ret_slot = i;
	advance(l, now);
	n = &l->nodes[i];
	if (is_there(n)) {
		account(l, n, false);
		set_bytes(n, bytes);
		account(l, n, true);
		return 0;
	}
	unlink_node(l, i);
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
	uint32_t i = l->table[probe(l, id)];

	if (!i || !is_there(&l->nodes[i]))
		return false;
	*ret_slot = i;
	return true;
}

void lruk_touch(struct lruk *l, uint32_t slot, uint32_t now)
{
	struct node *n = &l->nodes[slot];

	advance(l, now);
	if (n->kind == PINNED) {
		use(l, n);
		return;
	}
	unlink_node(l, slot); /* before its key changes */
	use(l, n);
	become(l, slot, RECENT);
}

struct lruk_times lruk_times(const struct lruk *l, uint32_t slot)
{
	return (struct lruk_times){.last = l->nodes[slot].last, .prev = l->nodes[slot].prev};
}

uint64_t lruk_bytes(const struct lruk *l, uint32_t slot)
{
	return bytes_of(&l->nodes[slot]);
}

const struct chunkid *lruk_id(const struct lruk *l, uint32_t slot)
{
	return &l->nodes[slot].id;
}

void lruk_remove(struct lruk *l, uint32_t slot)
{
	struct node *n = &l->nodes[slot];
	bool pinned = n->kind == PINNED;

	depart(l, slot);
	become(l, slot, pinned ? AWAITED : PAST);
	trim_history(l);
}

bool lruk_victim(struct lruk *l, uint32_t now, uint32_t *ret_slot)
{
	uint32_t i;

	advance(l, now);
	while ((i = ring_oldest(l, RECENTS)) != RECENTS &&
		l->clock - l->nodes[i].last > l->opts.correlated) {
		ring_remove(l, i);
		become(l, i, RIPE);
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
	struct node *n;
	bool there;
	uint32_t i;
	int r = know(l, id, &i);

	if (r < 0)
		return r;
	n = &l->nodes[i];
	if (n->kind == PINNED || (n->kind == AWAITED && n->u.pins)) {
		if (n->u.pins == UINT32_MAX)
			return -EOVERFLOW;
		n->u.pins++;
		return 0;
	}
	there = is_there(n);
	unlink_node(l, i);
	become(l, i, there ? PINNED : AWAITED);
	n->u.pins = 1;
	l->usage.pinned++;
	if (there)
		l->usage.pinned_bytes += bytes_of(n);
	return 0;
}

int lruk_unpin(struct lruk *l, const struct chunkid *id, uint32_t now)
{
	uint32_t i = l->table[probe(l, id)];
	struct node *n = &l->nodes[i];

	advance(l, now);
	if (!i || (n->kind != PINNED && n->kind != AWAITED))
		return -ENOENT;
	if (--n->u.pins)
		return 0;
	l->usage.pinned--;
	if (n->kind == PINNED) {
		l->usage.pinned_bytes -= bytes_of(n);
		n->last = l->clock;
		become(l, i, RECENT);
	} else if (n->last) {
		become(l, i, PAST);
		trim_history(l);
	} else {
		forget(l, i);
	}
	return 0;
}

void lruk_usage(const struct lruk *l, struct lruk_usage *ret)
{
	*ret = l->usage;
	ret->history = l->n_history;
}

/* ---- checks ---- */

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Members of a ring, which are all of one kind. */
static uint32_t check_ring(const struct lruk *l, uint32_t ring, enum kind kind)
{
	uint32_t n = 0, last = 0;

	for (uint32_t i = ring_oldest(l, ring); i != ring; i = l->nodes[i].u.links.newer) {
		const struct node *node = &l->nodes[i];

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
	const struct node *n = &l->nodes[i];
	bool pinned = n->kind == PINNED || n->kind == AWAITED;

	require(l->table[probe(l, &n->id)] == i);
	require(n->prev < n->last || (!n->last && n->kind == AWAITED));
	require(n->last <= l->clock);
	require(!pinned || n->u.pins);
	require(n->kind != RIPE || (n->u.heap_at < l->n_heap && l->heap[n->u.heap_at] == i));
	sum->chunks += is_there(n);
	sum->bytes += is_there(n) ? bytes_of(n) : 0;
	sum->pinned_bytes += n->kind == PINNED ? bytes_of(n) : 0;
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
		require(before(l, l->heap[(at - 1) / 2], l->heap[at]));
	require(recent == 0 && known == l->n_known && known == in_table);
	require(known + n_free == l->n_nodes - N_RINGS);
	require(check_ring(l, HISTORY, PAST) == sum.history && sum.history == l->n_history);
	require(l->n_history <= l->opts.history_max);
	require(sum.chunks == l->usage.chunks && sum.bytes == l->usage.bytes);
	require(sum.pinned_bytes == l->usage.pinned_bytes && sum.pinned == l->usage.pinned);
}
