// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ext4_plan.h"

static size_t count_runs(const struct ext4_plan *p)
{
	size_t n = 0;

	for (uint32_t i = 0; i < p->n_slots; i++) {
		const struct tree_node *node = ext4_node(p, i);
		if (S_ISREG(node->mode))
			n += node->file.n_extents;
	}
	return n;
}

static void add_run(struct ext4_plan *p, const struct tree_extent *e, uint64_t block, uint64_t size)
{
	uint64_t end = ((uint64_t)e->block + e->n_blocks) * TREE_BLOCK;

	p->runs[p->n_runs++] = (struct ext4_run){
		.block = block,
		.spool = e->spool,
		.n_blocks = e->n_blocks,
		.short_by = end > size ? (uint32_t)(end - size) : 0,
	};
	p->data_blocks += e->n_blocks;
}

static void place_small(struct ext4_plan *p, const struct tree_node *n)
{
	const struct tree_extent *e = tree_extents(p->tree, n);
	uint64_t blocks = ext4_div_up(n->file.size, TREE_BLOCK);
	uint64_t start = layout_small(&p->layout, blocks, &n->file.digest);

	for (uint32_t i = 0; i < n->file.n_extents; i++)
		add_run(p, &e[i], start + e[i].block, n->file.size);
}

/* Units without data take no place: what follows moves up. */
static void place_large(struct ext4_plan *p, const struct tree_node *n)
{
	const struct tree_extent *e = tree_extents(p->tree, n);
	uint64_t align = p->layout.align;
	uint64_t start = layout_large(&p->layout, layout_units(&p->layout, e, n->file.n_extents));
	uint64_t skipped = 0, next = 0; /* units */

	for (uint32_t i = 0; i < n->file.n_extents; i++) {
		uint64_t from = e[i].block / align;
		if (from > next)
			skipped += from - next;
		next = ((uint64_t)e[i].block + e[i].n_blocks - 1) / align + 1;
		add_run(p, &e[i], start + e[i].block - skipped * align, n->file.size);
	}
}

int ext4_plan_data(struct ext4_plan *p, struct smr_error *err)
{
	size_t n = count_runs(p);

	if (n > UINT32_MAX)
		return error_set(err, -EFBIG, "more than 2^32 extents of files");
	p->runs = malloc((n + 1) * sizeof(*p->runs));
	if (!p->runs)
		return -ENOMEM;
	for (int large = 0; large < 2; large++) {
		for (uint32_t i = 0; i < p->n_slots; i++) {
			const struct tree_node *node = ext4_node(p, i);
			if (!S_ISREG(node->mode) ||
				layout_is_small(&p->layout, node->file.size) == large)
				continue;
			p->slots[i].from = (uint32_t)p->n_runs;
			if (large)
				place_large(p, node);
			else
				place_small(p, node);
		}
	}
	return 0;
}
