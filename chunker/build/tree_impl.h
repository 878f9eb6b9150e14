/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a tree, for tree.c, tree_walk.c and tree_xattr.c only. */
#ifndef BUILD_TREE_IMPL_H
#define BUILD_TREE_IMPL_H

#include "tree.h"

/* What an image takes for each of these while it is built and read (ext4_plan.h, layout.h). */
#define TREE_IMAGE_NODE_BYTES   40u
#define TREE_IMAGE_ENTRY_BYTES  4u
#define TREE_IMAGE_EXTENT_BYTES 24u

struct tree {
	struct tree_limits limits;
	uint16_t layer;
	uint64_t seed; /* of the hash of names: its collisions must not be foreseeable */

	struct tree_node *nodes; /* [0, n_nodes); those not in use are chained through uid */
	uint32_t n_nodes, cap_nodes, free_node, n_inodes;

	struct tree_entry
		*entries; /* [0, n_entries); those not in use (node TREE_NONE) through chain */
	uint32_t n_entries, cap_entries, free_entry, n_names;
	uint32_t *
		heads; /* of the chains of entries with equal hash; a power of two of them, >= n_names */
	uint32_t n_heads;

	char *bytes; /* names, targets, sets of xattrs */
	size_t n_bytes, cap_bytes;
	struct tree_extent *extents;
	size_t n_extents, cap_extents;

	uint32_t *sets; /* of xattrs: where in bytes; set number s is sets[s - 1] */
	uint32_t n_sets, cap_sets;
	uint32_t *
		set_table; /* open addressing, set numbers, 0: free; n_set_table is a power of two */
	uint32_t n_set_table;
};

/* Makes room for `n` more elements of `size` bytes in *array. -ENOMEM. */
int tree_grow(void *array, size_t *cap, size_t used, size_t n, size_t size);
int tree_grow32(void *array, uint32_t *cap, uint32_t used, size_t size);
/* 0, or -EFBIG when `more` bytes are over the limit. */
int tree_charge(const struct tree *t, uint64_t more);
/* Appends to t->bytes. -EFBIG, -ENOMEM. */
int tree_add_bytes(struct tree *t, const void *data, size_t n, uint32_t *ret_offset);
uint64_t tree_hash(const struct tree *t, uint64_t start, const void *data, size_t n);
/* The start of the chain that the name is or would be in. */
uint32_t *tree_head(const struct tree *t, uint32_t dir, const char *name, size_t len);
/* Room for one more name in the table of chains. -ENOMEM. */
int tree_rehash(struct tree *t);
/* 0, -EINVAL, -ENAMETOOLONG. */
int tree_check_name(const char *name, size_t len);
/* The entry, or TREE_NONE. `dir` is a directory. */
uint32_t tree_find(const struct tree *t, uint32_t dir, const char *name, size_t len);

/* The entry stands for nothing from now on; it is to be attached again, or to go. */
void tree_detach(struct tree *t, uint32_t entry);
/* Takes away everything below a directory. */
void tree_empty(struct tree *t, uint32_t dir);

static inline bool tree_is_dir(const struct tree *t, uint32_t node)
{
	return node < t->n_nodes && t->nodes[node].n_links > 0 &&
	       (t->nodes[node].mode & 0170000) == 0040000;
}

#endif
