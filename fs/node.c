/* SPDX-License-Identifier: BSD-3-Clause */
#include "node.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/idmap.h"

/* Entries are allocated by the block and never moved or freed before the table is, so that
 * nodes_get can follow any id without a lock. */
#define BLOCK_ENTRIES 1024u
#define BLOCKS_MAX    4096u

struct entry {
	struct node node;
	_Atomic(uint64_t) live_id; /* node.id, 0 while the entry is free; published last */
	uint32_t generation;
	uint32_t next_free; /* index, while free */
	uint64_t n_lookup;
};

struct nodes {
	void (*unref)(struct image *);
	_Atomic(struct entry *) blocks[BLOCKS_MAX];

	pthread_mutex_t lock;
	struct idmap *by_digest; /* -> index */
	uint32_t n_used;         /* indices 1..n_used - 1 were in use at some time */
	uint32_t first_free;     /* 0: none */
	size_t n_live;
};

/* NULL if the index is in no block yet. */
static struct entry *entry_at(struct nodes *t, uint32_t index)
{
	if (index / BLOCK_ENTRIES >= BLOCKS_MAX)
		return NULL;
	struct entry *block =
		atomic_load_explicit(&t->blocks[index / BLOCK_ENTRIES], memory_order_acquire);
	return block ? &block[index % BLOCK_ENTRIES] : NULL;
}

static struct entry *entry_of_id(struct nodes *t, uint64_t id)
{
	struct entry *e = entry_at(t, (uint32_t)id - 1);
	if (!e || atomic_load_explicit(&e->live_id, memory_order_acquire) != id)
		return NULL;
	return e;
}

int nodes_new(void (*unref)(struct image *), struct nodes **ret)
{
	struct nodes *t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->by_digest = idmap_new();
	if (!t->by_digest) {
		free(t);
		return -ENOMEM;
	}
	pthread_mutex_init(&t->lock, NULL);
	t->unref = unref;
	t->n_used = 1; /* the root */
	*ret = t;
	return 0;
}

void nodes_free(struct nodes *t)
{
	if (!t)
		return;
	for (uint32_t i = 1; i < t->n_used; i++)
		if (atomic_load(&entry_at(t, i)->live_id))
			t->unref(entry_at(t, i)->node.image);
	for (uint32_t i = 0; i < BLOCKS_MAX; i++)
		free(atomic_load(&t->blocks[i]));
	idmap_free(t->by_digest);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- call with t->lock held ---- */

static int take_index(struct nodes *t, uint32_t *ret)
{
	if (t->first_free) {
		*ret = t->first_free;
		t->first_free = entry_at(t, *ret)->next_free;
		return 0;
	}
	uint32_t index = t->n_used;
	if (index / BLOCK_ENTRIES >= BLOCKS_MAX)
		return -ENFILE;
	if (!entry_at(t, index)) {
		struct entry *block = calloc(BLOCK_ENTRIES, sizeof(*block));
		if (!block)
			return -ENOMEM;
		atomic_store_explicit(
			&t->blocks[index / BLOCK_ENTRIES], block, memory_order_release);
	}
	t->n_used++;
	*ret = index;
	return 0;
}

static void give_index(struct nodes *t, uint32_t index)
{
	struct entry *e = entry_at(t, index);
	/* 2^32 lives of one index are a century at one a second; then it is not used again */
	if (++e->generation == 0)
		return;
	e->next_free = t->first_free;
	t->first_free = index;
}

static int make_entry(
	struct nodes *t, struct image *image, const struct node_info *info, struct entry **ret)
{
	uint32_t index;
	int r = take_index(t, &index);
	if (r < 0)
		return r;
	r = idmap_put(t->by_digest, &info->digest, index);
	if (r < 0) {
		give_index(t, index);
		return r;
	}
	struct entry *e = entry_at(t, index);
	e->node = (struct node){
		.id = (uint64_t)e->generation << 32 | (index + 1), .image = image, .info = *info};
	e->n_lookup = 0;
	t->n_live++;
	atomic_store_explicit(&e->live_id, e->node.id, memory_order_release);
	*ret = e;
	return 0;
}

/* ---- without it ---- */

int nodes_lookup(
	struct nodes *t, struct image *image, const struct node_info *info, const struct node **ret)
{
	struct image *spare = image;
	int r = 0;
	{
		locked(&t->lock);
		uint64_t index;
		struct entry *e = NULL;
		if (idmap_get(t->by_digest, &info->digest, &index)) {
			e = entry_at(t, (uint32_t)index);
		} else {
			r = make_entry(t, image, info, &e);
			if (r == 0)
				spare = NULL;
		}
		if (r == 0) {
			e->n_lookup++;
			*ret = &e->node;
		}
	}
	if (spare)
		t->unref(spare);
	return r;
}

void nodes_forget(struct nodes *t, uint64_t id, uint64_t n)
{
	struct image *dropped;
	{
		locked(&t->lock);
		struct entry *e = entry_of_id(t, id);
		if (!e)
			return;
		e->n_lookup -= n < e->n_lookup ? n : e->n_lookup;
		if (e->n_lookup > 0)
			return;
		atomic_store_explicit(&e->live_id, 0, memory_order_release);
		idmap_del(t->by_digest, &e->node.info.digest, NULL);
		dropped = take_ptr(e->node.image);
		t->n_live--;
		give_index(t, (uint32_t)id - 1);
	}
	t->unref(dropped);
}

const struct node *nodes_get(struct nodes *t, uint64_t id)
{
	struct entry *e = entry_of_id(t, id);
	return e ? &e->node : NULL;
}

uint64_t nodes_find(struct nodes *t, const struct chunkid *digest)
{
	uint64_t index;
	locked(&t->lock);
	return idmap_get(t->by_digest, digest, &index) ? entry_at(t, (uint32_t)index)->node.id : 0;
}

size_t nodes_count(struct nodes *t)
{
	locked(&t->lock);
	return t->n_live;
}
