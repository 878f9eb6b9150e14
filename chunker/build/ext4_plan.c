// SPDX-License-Identifier: BSD-3-Clause
#include "ext4_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/recipe.h"

#define LINKS_MAX 65000u
/* Free space comes with inodes, as many as mke2fs would give. */
#define FREE_BYTES_PER_INODE 16384u

/* Blocks of the metadata that follow from the tree alone. */
struct sizes {
	uint64_t dirs, extents, xattrs, symlinks;
};

/* An error with the first path of what it is about. */
static int fail(
	const struct ext4_plan *p, uint32_t slot, int code, const char *what, struct smr_error *err)
{
	uint32_t node = p->slots[slot].node;
	char path[256] = "/";

	for (uint32_t i = 0; i < p->order.n_entries; i++) {
		if (tree_entry(p->tree, p->order.entries[i])->node == node) {
			tree_path(p->tree, p->order.entries[i], path, sizeof(path));
			break;
		}
	}
	return error_set(err, code, "%s: %s", path, what);
}

/* ---- numbers ---- */

static int number(struct ext4_plan *p)
{
	const struct layout_order *o = &p->order;

	p->slot_of_node = malloc(tree_n_nodes(p->tree) * sizeof(*p->slot_of_node));
	p->slots = calloc(tree_n_inodes(p->tree), sizeof(*p->slots));
	if (!p->slot_of_node || !p->slots)
		return -ENOMEM;
	memset(p->slot_of_node, 0xff, tree_n_nodes(p->tree) * sizeof(*p->slot_of_node));
	p->slot_of_node[TREE_ROOT] = 0;
	p->slots[0].node = TREE_ROOT;
	p->n_slots = 1;
	for (uint32_t i = 0; i < o->n_entries; i++) {
		uint32_t node = tree_entry(p->tree, o->entries[i])->node;
		if (p->slot_of_node[node] != UINT32_MAX)
			continue;
		p->slot_of_node[node] = p->n_slots;
		p->slots[p->n_slots++].node = node;
	}
	for (uint32_t i = 0; i < o->n_dirs; i++)
		p->slots[p->slot_of_node[o->dirs[i]]].from = i;
	return 0;
}

/* ---- sizes ---- */

/* A set of xattrs is often the one of the inode before. */
struct xattr_memo {
	uint32_t set;
	struct ext4_xattrs x;
};

static int measure_xattrs(struct ext4_plan *p, uint32_t slot, struct xattr_memo *memo,
	struct sizes *sz, struct smr_error *err)
{
	uint32_t set = ext4_node(p, slot)->xattrs;
	int r = 0;

	if (set == 0)
		return 0;
	if (set != memo->set)
		r = ext4_xattrs_encode(p->tree, set, &memo->x);
	memo->set = r < 0 ? 0 : set;
	if (r == -E2BIG)
		return fail(p, slot, r, "its extended attributes are too large for ext4", err);
	if (r == -EINVAL)
		return fail(p, slot, r, "a POSIX ACL that is not valid", err);
	if (r < 0)
		return r;
	p->n_dropped_xattrs += memo->x.n_dropped;
	p->slots[slot].xattrs = memo->x.has_block;
	sz->xattrs += memo->x.has_block;
	return 0;
}

static int measure(struct ext4_plan *p, uint32_t slot, struct sizes *sz, struct smr_error *err)
{
	const struct tree_node *n = ext4_node(p, slot);
	struct ext4_slot *s = &p->slots[slot];
	uint64_t tree_blocks;
	int r;

	if (S_ISDIR(n->mode)) {
		r = ext4_dir_blocks(p, s->from, &s->n_blocks);
		if (r == -EFBIG)
			return fail(p, slot, r, "too many entries for a directory of ext4", err);
		if (r < 0)
			return r;
		sz->dirs += s->n_blocks;
	} else if (n->n_links > LINKS_MAX) {
		return fail(p, slot, -EMLINK, "more hard links than ext4 has", err);
	}
	if (S_ISLNK(n->mode) && n->link.len > EXT4_FAST_SYMLINK_MAX) {
		s->n_blocks = 1;
		sz->symlinks++;
	}
	ext4_extents_count(p, slot, &tree_blocks);
	s->extents = tree_blocks > 0;
	sz->extents += tree_blocks;
	return 0;
}

/* The marks that measuring left become blocks. */
static void place(struct ext4_plan *p, const struct sizes *sz)
{
	uint64_t dirs = p->geo.behind_tables;
	uint64_t extents = dirs + sz->dirs;
	uint64_t xattrs = extents + sz->extents;
	uint64_t symlinks = xattrs + sz->xattrs;

	for (uint32_t i = 0; i < p->n_slots; i++) {
		struct ext4_slot *s = &p->slots[i];
		uint64_t tree_blocks;
		if (S_ISDIR(ext4_node(p, i)->mode)) {
			s->block = (uint32_t)dirs;
			dirs += s->n_blocks;
		} else if (s->n_blocks) {
			s->block = (uint32_t)symlinks++;
		}
		if (s->extents) {
			ext4_extents_count(p, i, &tree_blocks);
			s->extents = (uint32_t)extents;
			extents += tree_blocks;
		}
		if (s->xattrs)
			s->xattrs = (uint32_t)xattrs++;
	}
	for (size_t i = 0; i < p->n_runs; i++)
		p->runs[i].block += p->geo.data;
}

/* ---- geometry ---- */

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return ext4_div_up(n, to) * to;
}

/* Tables and bitmaps grow with the number of groups, which grows with them: up until it is enough. */
static int solve(struct ext4_plan *p, const struct sizes *sz, const struct ext4_options *opts,
	struct smr_error *err)
{
	const uint64_t align = p->layout.align, chunk = opts->chunk_size / EXT4_BLOCK;
	const uint64_t behind = sz->dirs + sz->extents + sz->xattrs + sz->symlinks;
	const uint64_t want_inodes = ext4_last_ino(p) + opts->free_bytes / FREE_BYTES_PER_INODE;
	struct ext4_geometry *g = &p->geo;
	uint64_t groups = ext4_div_up(want_inodes, EXT4_GROUP_INODES_MAX), enough;

	if (opts->free_bytes > RECIPE_IMAGE_MAX)
		return error_set(err, -EFBIG, "an image of more than 64 TiB");
	for (;; groups = enough) {
		uint64_t per_group =
			round_up(ext4_div_up(want_inodes, groups), EXT4_INODES_PER_BLOCK);
		g->block_bitmaps = 1 + ext4_div_up(groups * EXT4_DESC_BYTES, EXT4_BLOCK);
		g->inode_bitmaps = g->block_bitmaps + groups;
		g->inode_tables = g->inode_bitmaps + groups;
		g->behind_tables = g->inode_tables + groups * per_group / EXT4_INODES_PER_BLOCK;
		g->meta_used = g->behind_tables + behind;
		g->meta_end = round_up(g->meta_used, chunk);
		g->data = round_up(g->meta_end, align);
		g->n_blocks = round_up(g->data + layout_end(&p->layout) +
					       ext4_div_up(opts->free_bytes, EXT4_BLOCK),
			align);
		if (g->n_blocks > RECIPE_IMAGE_MAX / EXT4_BLOCK)
			return error_set(err, -EFBIG, "an image of more than 64 TiB");
		enough = ext4_div_up(g->n_blocks, EXT4_BLOCKS_PER_GROUP);
		if (enough <= groups) {
			g->n_groups = (uint32_t)groups;
			g->inodes_per_group = (uint32_t)per_group;
			break;
		}
	}
	/* Many small files: groups that are there for their inodes. The last one need not be whole. */
	if (enough < groups)
		g->n_blocks = (groups - 1) * EXT4_BLOCKS_PER_GROUP + align;
	if (g->meta_used > UINT32_MAX)
		return error_set(err, -EFBIG, "more than 16 TiB of metadata");
	return 0;
}

int ext4_plan_init(struct ext4_plan *p, const struct tree *t, const struct ext4_options *opts,
	struct smr_error *err)
{
	struct xattr_memo memo = {0};
	struct sizes sz = {0};
	int r;

	*p = (struct ext4_plan){.tree = t};
	layout_init(&p->layout, opts->chunk_size);
	r = layout_order_init(&p->order, t);
	if (r == 0)
		r = number(p);
	if (r == 0)
		r = ext4_plan_data(p, err);
	for (uint32_t i = 0; i < p->n_slots && r == 0; i++) {
		r = measure(p, i, &sz, err);
		if (r == 0)
			r = measure_xattrs(p, i, &memo, &sz, err);
	}
	if (r == 0)
		r = solve(p, &sz, opts, err);
	if (r == 0) {
		place(p, &sz);
		r = ext4_digest(p, &p->digest);
	}
	if (r < 0)
		ext4_plan_done(p);
	return r;
}

void ext4_plan_done(struct ext4_plan *p)
{
	layout_order_done(&p->order);
	free(p->slot_of_node);
	free(p->slots);
	free(p->runs);
	*p = (struct ext4_plan){0};
}
