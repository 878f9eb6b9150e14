// SPDX-License-Identifier: BSD-3-Clause
/* Everything that takes something away from a tree. Nothing here can fail half-way. */
#include <errno.h>
#include <sys/stat.h>

#include "tree.h"
#include "tree_impl.h"

static void drop_node(struct tree *t, uint32_t i)
{
	struct tree_node *n = &t->nodes[i];

	if (--n->n_links > 0)
		return;
	*n = (struct tree_node){.uid = t->free_node};
	t->free_node = i;
	t->n_inodes--;
}

void tree_detach(struct tree *t, uint32_t entry)
{
	const struct tree_entry *e = &t->entries[entry];

	if (S_ISDIR(t->nodes[e->node].mode))
		t->nodes[e->dir].dir.n_dirs--;
	drop_node(t, e->node);
}

/* An entry that has nothing below it. */
static void remove_entry(struct tree *t, uint32_t i)
{
	struct tree_entry *e = &t->entries[i];
	uint32_t *link = tree_head(t, e->dir, t->bytes + e->name, e->name_len);

	while (*link != i)
		link = &t->entries[*link].chain;
	*link = e->chain;
	if (e->next != TREE_NONE)
		t->entries[e->next].prev = e->prev;
	if (e->prev != TREE_NONE)
		t->entries[e->prev].next = e->next;
	else
		t->nodes[e->dir].dir.first_child = e->next;
	t->nodes[e->dir].dir.n_children--;
	tree_detach(t, i);
	e->node = TREE_NONE;
	e->chain = t->free_entry;
	t->free_entry = i;
	t->n_names--;
}

/* Always down to the first leaf, so neither stack nor list is needed. */
void tree_empty(struct tree *t, uint32_t dir)
{
	uint32_t at = dir;

	for (;;) {
		uint32_t child = t->nodes[at].dir.first_child;
		if (child == TREE_NONE) {
			if (at == dir)
				return;
			uint32_t entry = t->nodes[at].dir.entry;
			at = t->entries[entry].dir;
			remove_entry(t, entry);
		} else if (S_ISDIR(t->nodes[t->entries[child].node].mode)) {
			at = t->entries[child].node;
		} else {
			remove_entry(t, child);
		}
	}
}

static void remove_tree(struct tree *t, uint32_t entry)
{
	uint32_t node = t->entries[entry].node;

	if (S_ISDIR(t->nodes[node].mode))
		tree_empty(t, node);
	remove_entry(t, entry);
}

int tree_remove(struct tree *t, uint32_t dir, const char *name, size_t name_len)
{
	uint32_t entry;

	if (!tree_is_dir(t, dir))
		return -ENOTDIR;
	entry = tree_find(t, dir, name, name_len);
	if (entry == TREE_NONE)
		return -ENOENT;
	remove_tree(t, entry);
	return 0;
}

static void whiteout_entry(struct tree *t, uint32_t entry)
{
	uint32_t node = t->entries[entry].node;

	if (t->entries[entry].layer != t->layer)
		remove_tree(t, entry);
	else if (S_ISDIR(t->nodes[node].mode))
		tree_clear_directory(t, node);
}

int tree_whiteout(struct tree *t, uint32_t dir, const char *name, size_t name_len)
{
	uint32_t entry;

	if (!tree_is_dir(t, dir))
		return -ENOTDIR;
	entry = tree_find(t, dir, name, name_len);
	if (entry == TREE_NONE)
		return -ENOENT;
	whiteout_entry(t, entry);
	return 0;
}

/* Recurses as deep as the current layer's directories go, at most TREE_DEPTH_MAX. What comes into a directory after it was
 * cleared is of the current layer, so once a layer is enough: a million whiteouts of a directory of a million files end. */
void tree_clear_directory(struct tree *t, uint32_t dir)
{
	uint32_t entry, next;

	if (!tree_is_dir(t, dir) || t->nodes[dir].dir.cleared == t->layer + 1u)
		return;
	t->nodes[dir].dir.cleared = t->layer + 1u;
	for (entry = t->nodes[dir].dir.first_child; entry != TREE_NONE; entry = next) {
		next = t->entries[entry].next;
		whiteout_entry(t, entry);
	}
}
