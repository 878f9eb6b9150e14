// SPDX-License-Identifier: BSD-3-Clause
#include "layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/le.h"

#define GROUP_MIN_BLOCKS (65536 / TREE_BLOCK) /* a group closes early from here on */
#define GROUP_MEAN_SHIFT 6                    /* log2(256 KiB / TREE_BLOCK) */

/* ---- order ---- */

struct ordering {
	const struct tree *t;
	struct layout_order *o;
	uint32_t *pending; /* positions in dirs: directories whose children are still to come */
	uint32_t n_pending;
};

static int compare_entries(const void *va, const void *vb, void *arg)
{
	const struct tree *t = arg;
	const struct tree_entry *a = tree_entry(t, *(const uint32_t *)va);
	const struct tree_entry *b = tree_entry(t, *(const uint32_t *)vb);
	size_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int c = memcmp(tree_name(t, a), tree_name(t, b), n);

	return c ? c : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

/* The next directory of the order, and its children, sorted. */
static void add_dir(struct ordering *w, uint32_t dir)
{
	struct layout_order *o = w->o;
	uint32_t start = o->n_entries;
	uint32_t e = tree_node(w->t, dir)->dir.first_child;

	for (; e != TREE_NONE; e = tree_entry(w->t, e)->next)
		o->entries[o->n_entries++] = e;
	/* Names in a directory differ, so any sort gives the same. */
	qsort_r(o->entries + start, o->n_entries - start, sizeof(*o->entries), compare_entries,
		(void *)w->t);
	o->dirs[o->n_dirs++] = dir;
	o->first[o->n_dirs] = o->n_entries;
}

/* Paths below dirs[pos] come before the path of its sibling `e`: name(pos) + "/" < name(e). */
static bool below_comes_first(const struct ordering *w, uint32_t pos, const struct tree_entry *e)
{
	const struct tree_node *dir = tree_node(w->t, w->o->dirs[pos]);
	const struct tree_entry *d = tree_entry(w->t, dir->dir.entry);
	size_t n = d->name_len < e->name_len ? d->name_len : e->name_len;
	int c = memcmp(tree_name(w->t, d), tree_name(w->t, e), n);

	/* Siblings come sorted, so when c is 0 it is `e` that has more bytes. */
	return c < 0 || (c == 0 && '/' < (unsigned char)tree_name(w->t, e)[n]);
}

/* All directories below dirs[pos]. What is below "a" comes behind "a-b" but before "a0": a directory waits until its sorted
 * siblings have passed the place of its name with a slash. Recurses to the tree's depth. */
static void add_below(struct ordering *w, uint32_t pos)
{
	const struct layout_order *o = w->o;
	uint32_t bottom = w->n_pending;

	for (uint32_t i = o->first[pos]; i < o->first[pos + 1]; i++) {
		const struct tree_entry *e = tree_entry(w->t, o->entries[i]);
		if (!S_ISDIR(tree_node(w->t, e->node)->mode))
			continue;
		while (w->n_pending > bottom &&
			below_comes_first(w, w->pending[w->n_pending - 1], e))
			add_below(w, w->pending[--w->n_pending]);
		w->pending[w->n_pending++] = o->n_dirs;
		add_dir(w, e->node);
	}
	while (w->n_pending > bottom)
		add_below(w, w->pending[--w->n_pending]);
}

static uint32_t count_dirs(const struct tree *t)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < tree_n_nodes(t); i++) {
		const struct tree_node *node = tree_node(t, i);
		n += node && S_ISDIR(node->mode);
	}
	return n;
}

int layout_order_init(struct layout_order *o, const struct tree *t)
{
	uint32_t n_dirs = count_dirs(t);
	struct ordering w = {.t = t, .o = o};

	*o = (struct layout_order){0};
	w.pending = calloc(n_dirs, sizeof(*w.pending));
	o->dirs = calloc(n_dirs, sizeof(*o->dirs));
	o->first = calloc((size_t)n_dirs + 1, sizeof(*o->first));
	o->entries = calloc((size_t)tree_n_entries(t) + 1, sizeof(*o->entries));
	if (!w.pending || !o->dirs || !o->first || !o->entries) {
		free(w.pending);
		layout_order_done(o);
		return -ENOMEM;
	}
	add_dir(&w, TREE_ROOT);
	add_below(&w, 0);
	free(w.pending);
	return 0;
}

void layout_order_done(struct layout_order *o)
{
	free(o->dirs);
	free(o->first);
	free(o->entries);
	*o = (struct layout_order){0};
}

/* ---- places ---- */

void layout_init(struct layout *l, uint32_t chunk_size)
{
	uint32_t align = chunk_size > LAYOUT_ALIGN_MIN ? chunk_size : LAYOUT_ALIGN_MIN;

	*l = (struct layout){.align = align / TREE_BLOCK};
}

bool layout_is_small(const struct layout *l, uint64_t size)
{
	return size < l->align * TREE_BLOCK;
}

static void close_group(struct layout *l)
{
	if (l->used)
		l->next += l->align;
	l->used = 0;
}

uint64_t layout_small(struct layout *l, uint64_t blocks, const struct chunkid *digest)
{
	uint64_t start;

	if (l->used + blocks > l->align)
		close_group(l);
	start = l->next + l->used;
	l->used += blocks;
	if (l->used >= GROUP_MIN_BLOCKS &&
		(uint64_t)le_get32(digest->b) << GROUP_MEAN_SHIFT < blocks << 32)
		close_group(l);
	return start;
}

uint64_t layout_large(struct layout *l, uint64_t units)
{
	uint64_t start;

	close_group(l);
	start = l->next;
	l->next += units * l->align;
	return start;
}

uint64_t layout_units(const struct layout *l, const struct tree_extent *extents, size_t n)
{
	uint64_t units = 0, next = 0; /* the first unit that does not count yet */

	for (size_t i = 0; i < n; i++) {
		uint64_t from = extents[i].block / l->align;
		uint64_t to = (extents[i].block + (uint64_t)extents[i].n_blocks - 1) / l->align + 1;
		units += to - (from > next ? from : next);
		next = to;
	}
	return units;
}

uint64_t layout_end(const struct layout *l)
{
	return l->next + (l->used ? l->align : 0);
}
