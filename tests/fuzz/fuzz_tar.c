/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Archives into a tree. The first byte says how the rest comes: in pieces of so many bytes; the result must not depend on it.
 * Whatever a layer does, the tree stays one: every name is valid, every directory is where it says, and nothing is left out.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../chunker/build/layer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
	const uint8_t *data;
	size_t n, at, piece;
};

static int take(void *user, const void **ret_data, size_t *ret_n, struct smr_error *err)
{
	struct input *in = user;
	size_t left = in->n - in->at;

	(void)err;
	*ret_data = in->data + in->at;
	*ret_n = left < in->piece ? left : in->piece;
	in->at += *ret_n;
	return 0;
}

static void check_tree(const struct tree *t)
{
	uint32_t n_names = 0;

	for (uint32_t i = 0; i < tree_n_nodes(t); i++) {
		const struct tree_node *d = tree_node(t, i);
		if (!d || !S_ISDIR(d->mode))
			continue;
		for (uint32_t e = d->dir.first_child; e != TREE_NONE; e = tree_entry(t, e)->next) {
			const struct tree_entry *entry = tree_entry(t, e);
			uint32_t node;
			if (entry->dir != i || !tree_node(t, entry->node) ||
				memchr(tree_name(t, entry), '/', entry->name_len) ||
				tree_lookup(t, i, tree_name(t, entry), entry->name_len, &node) <
					0 ||
				node != entry->node)
				abort();
			n_names++;
		}
	}
	if (n_names != tree_n_entries(t))
		abort();
}

/* 1 and the number of names when all went well. */
static int run(const uint8_t *data, size_t n, size_t piece, struct spool *spool, uint32_t *ret)
{
	struct input in = {.data = data, .n = n, .piece = piece};
	struct layer_target to = {.spool = spool, .tree = tree_new(NULL)};
	struct tar_reader *tar = tar_reader_new(take, NULL, &in);
	struct smr_error err = {0};

	if (!to.tree || !tar)
		abort();
	to.limits = limits_or_defaults(NULL);
	int r = layer_apply_archive(&to, tar, &err);
	if (r == 0)
		r = tar_reader_finish(tar, &err);
	if (r < 0 && !err.message[0])
		abort();
	check_tree(to.tree);
	*ret = tree_n_entries(to.tree);
	tar_reader_free(tar);
	tree_free(to.tree);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct spool *spool;
	uint32_t pieces, whole;

	if (!spool && spool_new(NULL, 0, &spool, NULL) < 0)
		abort();
	if (n < 1)
		return 0;
	size_t piece = data[0] ? data[0] : 1;
	if (run(data + 1, n - 1, piece, spool, &pieces) != run(data + 1, n - 1, n, spool, &whole) ||
		pieces != whole)
		abort();
	/* What was spooled is never read: start again before it fills the disk. */
	if (spool_bytes(spool) > 64u << 20) {
		spool_free(spool);
		spool = NULL;
	}
	return 0;
}
