// SPDX-License-Identifier: BSD-3-Clause
/*
 * Extent trees: full from the left, so that they are as flat as can be.
 *
 *     node = header, entry*       header: magic, entries, capacity, depth (0: leaf), generation; entries of 12 bytes
 *
 * The inode holds a node of 4 entries, a block one of 340. The blocks of a tree are its leaves, then the nodes above these,
 * and so on; entry i of a node of depth d leads to node i of depth d - 1.
 */
#include <endian.h>
#include <errno.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext3_extents.h>
#include <string.h>
#include <sys/stat.h>

#include "ext4_plan.h"

#define ROOT_ENTRIES 4u
#define NODE_ENTRIES ((EXT4_BLOCK - sizeof(struct ext3_extent_header)) / sizeof(struct ext3_extent))
#define DEPTH_MAX    5u

void ext4_extents_begin(struct ext4_extents *it, const struct ext4_plan *p, uint32_t slot)
{
	*it = (struct ext4_extents){.plan = p, .slot = &p->slots[slot]};
}

bool ext4_extents_next(struct ext4_extents *it, struct ext4_extent *ret)
{
	const struct tree_node *n = tree_node(it->plan->tree, it->slot->node);
	uint32_t logical = 0, left = 0;
	uint64_t block = it->slot->block;

	if (S_ISREG(n->mode) && it->i < n->file.n_extents) {
		const struct ext4_run *run = &it->plan->runs[it->slot->from + it->i];
		logical = tree_extents(it->plan->tree, n)[it->i].block;
		block = run->block;
		left = run->n_blocks;
	} else if (!S_ISREG(n->mode) && it->i == 0) {
		left = it->slot->n_blocks;
	}
	if (left == 0)
		return false;
	left -= it->done;
	ret->logical = logical + it->done;
	ret->block = block + it->done;
	ret->n_blocks = left < EXT4_EXTENT_BLOCKS_MAX ? left : EXT4_EXTENT_BLOCKS_MAX;
	it->done += ret->n_blocks;
	if (ret->n_blocks == left) {
		it->i++;
		it->done = 0;
	}
	return true;
}

/* The nodes of every depth but the root's; returns the root's depth. */
static unsigned tree_shape(uint64_t n_extents, uint64_t ret_nodes[DEPTH_MAX])
{
	unsigned depth = 0;

	for (uint64_t n = n_extents; n > ROOT_ENTRIES; depth++) {
		n = ext4_div_up(n, NODE_ENTRIES);
		ret_nodes[depth] = n;
	}
	return depth;
}

static uint64_t count_extents(const struct ext4_plan *p, uint32_t slot, uint64_t *ret_blocks)
{
	struct ext4_extents it;
	struct ext4_extent e;
	uint64_t n = 0;

	*ret_blocks = 0;
	ext4_extents_begin(&it, p, slot);
	for (; ext4_extents_next(&it, &e); n++)
		*ret_blocks += e.n_blocks;
	return n;
}

uint64_t ext4_extents_count(const struct ext4_plan *p, uint32_t slot, uint64_t *ret_tree_blocks)
{
	uint64_t nodes[DEPTH_MAX], blocks, tree_blocks = 0;
	unsigned depth = tree_shape(count_extents(p, slot, &blocks), nodes);

	while (depth > 0)
		tree_blocks += nodes[--depth];
	*ret_tree_blocks = tree_blocks;
	return blocks;
}

static void put_header(uint8_t *node, uint64_t entries, uint64_t capacity, unsigned depth)
{
	const struct ext3_extent_header h = {
		.eh_magic = htole16(EXT3_EXT_MAGIC),
		.eh_entries = htole16((uint16_t)entries),
		.eh_max = htole16((uint16_t)capacity),
		.eh_depth = htole16((uint16_t)depth),
	};
	memcpy(node, &h, sizeof(h));
}

static void put_entry(uint8_t *node, uint64_t i, const struct ext4_extent *e, unsigned depth)
{
	uint8_t *at = node + sizeof(struct ext3_extent_header) + i * sizeof(struct ext3_extent);
	const struct ext3_extent leaf = {
		.ee_block = htole32(e->logical),
		.ee_len = htole16((uint16_t)e->n_blocks),
		.ee_start = htole32((uint32_t)e->block),
		.ee_start_hi = htole16((uint16_t)(e->block >> 32)),
	};
	const struct ext3_extent_idx index = {
		.ei_block = htole32(e->logical),
		.ei_leaf = htole32((uint32_t)e->block),
		.ei_leaf_hi = htole16((uint16_t)(e->block >> 32)),
	};

	if (depth == 0)
		memcpy(at, &leaf, sizeof(leaf));
	else
		memcpy(at, &index, sizeof(index));
}

/* The entries of the nodes of one depth: for leaves the extents, for others the first extent below each child, with
 * the child's block. */
struct level {
	struct ext4_extents it;
	unsigned depth;
	uint64_t stride; /* extents below one entry */
	uint64_t child;  /* block of the next one */
};

static void level_begin(struct level *l, const struct ext4_plan *p, uint32_t slot, unsigned depth,
	const uint64_t *nodes)
{
	ext4_extents_begin(&l->it, p, slot);
	l->depth = depth;
	l->stride = 1;
	l->child = p->slots[slot].extents;
	for (unsigned d = 0; d < depth; d++) {
		l->stride *= NODE_ENTRIES;
		if (d + 1 < depth)
			l->child += nodes[d];
	}
}

static bool level_next(struct level *l, struct ext4_extent *ret)
{
	struct ext4_extent skipped;

	if (!ext4_extents_next(&l->it, ret))
		return false;
	if (l->depth > 0) {
		ret->block = l->child++;
		for (uint64_t i = 1; i < l->stride && ext4_extents_next(&l->it, &skipped); i++)
			;
	}
	return true;
}

void ext4_extents_root(const struct ext4_plan *p, uint32_t slot, uint8_t ret[60])
{
	uint64_t nodes[DEPTH_MAX], blocks, n = 0;
	unsigned depth = tree_shape(count_extents(p, slot, &blocks), nodes);
	struct ext4_extent e;
	struct level l;

	memset(ret, 0, 60);
	level_begin(&l, p, slot, depth, nodes);
	while (level_next(&l, &e))
		put_entry(ret, n++, &e, depth);
	put_header(ret, n, ROOT_ENTRIES, depth);
}

static int write_level(struct level *l, uint64_t n_nodes, struct spool *out, struct smr_error *err)
{
	uint8_t node[EXT4_BLOCK];
	struct ext4_extent e;
	int r = 0;

	for (uint64_t i = 0; i < n_nodes && r == 0; i++) {
		uint64_t n = 0;
		memset(node, 0, sizeof(node));
		while (n < NODE_ENTRIES && level_next(l, &e))
			put_entry(node, n++, &e, l->depth);
		put_header(node, n, NODE_ENTRIES, l->depth);
		r = spool_write(out, node, sizeof(node), err);
	}
	return r;
}

int ext4_extents_write(
	const struct ext4_plan *p, uint32_t slot, struct spool *out, struct smr_error *err)
{
	uint64_t nodes[DEPTH_MAX], blocks;
	unsigned depth = tree_shape(count_extents(p, slot, &blocks), nodes);
	struct level l;
	int r = 0;

	for (unsigned d = 0; d < depth && r == 0; d++) {
		level_begin(&l, p, slot, d, nodes);
		r = write_level(&l, nodes[d], out, err);
	}
	return r;
}
