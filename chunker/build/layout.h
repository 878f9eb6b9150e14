/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layout 1: where an image keeps the contents of files. The rule decides which chunks two images share, so it never changes:
 * another rule is another layout version. With A = max(512 KiB, chunk size), offsets from the end of the metadata region, that
 * is rounded up to a multiple of A:
 *
 *  1. Files in the order of the tree (layout_order): first those smaller than A, then the others.
 *  2. A smaller file takes ceil(size / 4 KiB) blocks in a row; its holes are left free. Files are packed into groups; a
 *     group starts at a multiple of A and spans at most A. It closes before a file that does not fit, and after a file if
 *     it spans 64 KiB or more and LE32(digest[0..3]) / 2^32 < blocks * 4096 / 256 KiB: where groups end follows from what
 *     is in them, so a change in one place leaves the groups behind it as they are.
 *  3. A file of at least A is taken apart into units of A. Each that is not all zeros takes the next multiple of A, so the
 *     units of a file without such holes are in a row; blocks of zeros inside a unit are left free.
 *
 * Empty files take nothing. Pure; test vectors in tests/vectors/.
 */
#ifndef BUILD_LAYOUT_H
#define BUILD_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/chunkid.h"
#include "tree.h"

#define LAYOUT_VERSION   1
#define LAYOUT_ALIGN_MIN (512u << 10) /* bytes */

/* The order of a tree that depends on nothing but the tree: directories by memcmp of their paths ("" is the root, "a-b" comes
 * before "a/c"), and below each the entries by memcmp of their names. Numbers are the tree's. */
struct layout_order {
	uint32_t *dirs; /* nodes */
	uint32_t n_dirs;
	uint32_t *entries; /* of all directories, in the order of these */
	uint32_t n_entries;
	uint32_t *
		first; /* entries of dirs[i]: entries[first[i]] up to but not entries[first[i + 1]] */
};

/* -ENOMEM. Valid as long as the tree is not changed. */
int layout_order_init(struct layout_order *o, const struct tree *t);
void layout_order_done(struct layout_order *o);

/* Hands out places; blocks of TREE_BLOCK from the start of the data region. A plain value. */
struct layout {
	uint64_t align; /* A in blocks */
	uint64_t next;  /* where the open group starts; a multiple of A */
	uint64_t used;  /* blocks in the open group */
};

/* `chunk_size`: bytes, a power of two, at least 4 KiB. */
void layout_init(struct layout *l, uint32_t chunk_size);
/* A file of `size` bytes is one of the smaller ones. */
bool layout_is_small(const struct layout *l, uint64_t size);
/* The first block of a smaller file of ceil(size / TREE_BLOCK) blocks. */
uint64_t layout_small(struct layout *l, uint64_t blocks, const struct chunkid *digest);
/* The first block of a larger file, of which `units` units of A hold data. */
uint64_t layout_large(struct layout *l, uint64_t units);
/* Units of A that hold data of a file with these extents. */
uint64_t layout_units(const struct layout *l, const struct tree_extent *extents, size_t n);
/* Blocks that all files span: a multiple of A. */
uint64_t layout_end(const struct layout *l);

#endif
