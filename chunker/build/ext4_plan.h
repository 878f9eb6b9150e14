/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where everything of an ext4 image goes, decided before a byte of it is written. For ext4_*.c only.
 *
 *     image    = metadata, zeros up to a multiple of A, data (layout.h), free space
 *     metadata = superblock and group descriptors, block bitmaps, inode bitmaps, inode tables, directories, extent
 *                tree blocks, xattr blocks, symlinks of 60 bytes and more; zeros up to a multiple of the chunk size
 *
 * All bitmaps and tables of all groups are together (flex_bg), so the tables are one array of inodes, and what comes
 * behind them is in the order of inodes. Inode 2 is the root; from 11 on they are numbered in the order of the tree's
 * entries, at the first name of each. There is no lost+found.
 *
 * The plan borrows the tree. It is made by one thread and then only read.
 */
#ifndef BUILD_EXT4_PLAN_H
#define BUILD_EXT4_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/error.h"
#include "ext4_image.h"
#include "layout.h"
#include "spool.h"
#include "tree.h"

#define EXT4_BLOCK            4096u
#define EXT4_BLOCKS_PER_GROUP 32768u
#define EXT4_INODE_BYTES      256u
#define EXT4_INODES_PER_BLOCK (EXT4_BLOCK / EXT4_INODE_BYTES)
#define EXT4_GROUP_INODES_MAX 32768u /* bits of a bitmap */
#define EXT4_DESC_BYTES       64u
#define EXT4_FIRST_INO        11u
#define EXT4_EXTRA_ISIZE      32u
/* Directories of more blocks have an index. */
#define EXT4_LINEAR_BLOCKS_MAX 8u
#define EXT4_FAST_SYMLINK_MAX  59u

/* Data of files, or metadata: blocks of the image that are in the spool in one piece. */
struct ext4_run {
	uint64_t block;
	uint64_t spool; /* bytes */
	uint32_t n_blocks;
	uint32_t short_by; /* bytes of the last block that the spool does not have: zeros */
};

/* An inode. Blocks are of the image; 0: there is none. */
struct ext4_slot {
	uint32_t node;
	uint32_t from;     /* regular file: its first run; directory: its position in order.dirs */
	uint32_t block;    /* directory, long symlink: the first block */
	uint32_t n_blocks; /* directory, long symlink */
	uint32_t
		extents; /* the first block of its extent tree, where that does not fit the inode */
	uint32_t xattrs; /* block */
};

struct ext4_geometry {
	uint64_t n_blocks; /* of the image */
	uint32_t n_groups;
	uint32_t inodes_per_group;
	uint64_t block_bitmaps; /* first block of each area */
	uint64_t inode_bitmaps;
	uint64_t inode_tables;
	uint64_t behind_tables;
	uint64_t meta_used; /* blocks */
	uint64_t meta_end;  /* rounded up to the chunk size, in blocks */
	uint64_t data;      /* first block of the data region */
};

struct ext4_plan {
	const struct tree *tree;
	struct layout layout;
	struct layout_order order;
	uint32_t *slot_of_node;  /* by node of the tree; UINT32_MAX: none */
	struct ext4_slot *slots; /* the root, then inodes EXT4_FIRST_INO... */
	uint32_t n_slots;
	struct ext4_run *runs; /* of all files, ascending by block */
	size_t n_runs;
	uint64_t data_blocks; /* in runs */
	uint64_t n_dropped_xattrs;
	struct ext4_geometry geo;
	struct chunkid digest; /* of the tree */
};

/* -EFBIG: the tree does not fit an ext4 of this layout; -EMLINK, -E2BIG, -EINVAL: a file that ext4 cannot hold, named in the
 * message; -ENOMEM. */
int ext4_plan_init(struct ext4_plan *p, const struct tree *t, const struct ext4_options *opts,
	struct smr_error *err);
void ext4_plan_done(struct ext4_plan *p);

/* The extents of all regular files into p->runs (ext4_plan_data.c). */
int ext4_plan_data(struct ext4_plan *p, struct smr_error *err);

/* The digest of the tree: names, attributes, links, contents; equal for equal trees only (ext4_digest.c). -ENOMEM. */
int ext4_digest(const struct ext4_plan *p, struct chunkid *ret);

static inline uint32_t ext4_ino(uint32_t slot)
{
	return slot ? EXT4_FIRST_INO - 1 + slot : 2;
}

/* The highest inode number in use; never below EXT4_FIRST_INO - 1: those are reserved. */
static inline uint32_t ext4_last_ino(const struct ext4_plan *p)
{
	return EXT4_FIRST_INO - 2 + p->n_slots;
}

static inline const struct tree_node *ext4_node(const struct ext4_plan *p, uint32_t slot)
{
	return tree_node(p->tree, p->slots[slot].node);
}

static inline uint64_t ext4_div_up(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0);
}

/* ---- where the blocks of an inode are: ext4_extent.c ---- */

#define EXT4_EXTENT_BLOCKS_MAX 32768u /* blocks that one extent can stand for */

struct ext4_extents {
	const struct ext4_plan *plan;
	const struct ext4_slot *slot;
	uint64_t i;    /* run, or 0 */
	uint32_t done; /* blocks of it */
};

struct ext4_extent {
	uint32_t logical;
	uint64_t block;
	uint32_t n_blocks;
};

void ext4_extents_begin(struct ext4_extents *it, const struct ext4_plan *p, uint32_t slot);
bool ext4_extents_next(struct ext4_extents *it, struct ext4_extent *ret);
/* Blocks of data or directory that the inode has; *ret_tree_blocks: and of its extent tree outside of the inode. */
uint64_t ext4_extents_count(const struct ext4_plan *p, uint32_t slot, uint64_t *ret_tree_blocks);
/* The 60 bytes of i_block. */
void ext4_extents_root(const struct ext4_plan *p, uint32_t slot, uint8_t ret[60]);
/* The tree's blocks, in order. */
int ext4_extents_write(
	const struct ext4_plan *p, uint32_t slot, struct spool *out, struct smr_error *err);

/* ---- directories: ext4_dir.c ---- */

/* Blocks of the directory dirs[pos]. -EFBIG, -ENOMEM. */
int ext4_dir_blocks(const struct ext4_plan *p, uint32_t pos, uint32_t *ret);
int ext4_dir_write(
	const struct ext4_plan *p, uint32_t slot, struct spool *out, struct smr_error *err);
/* The seed of name hashes, as in the superblock. */
extern const uint32_t ext4_hash_seed[4];

/* ---- xattrs: ext4_xattr.c ---- */

#define EXT4_XATTR_INODE_BYTES (EXT4_INODE_BYTES - 128 - EXT4_EXTRA_ISIZE)

struct ext4_xattrs {
	uint8_t inode[EXT4_XATTR_INODE_BYTES]; /* zeros: none there */
	uint8_t block[EXT4_BLOCK];
	bool has_block;
	unsigned n_dropped; /* in namespaces that ext4 does not have */
};

/* -E2BIG: more than inode and block hold; -EINVAL: an ACL that is none. */
int ext4_xattrs_encode(const struct tree *t, uint32_t set, struct ext4_xattrs *ret);

/* ---- the rest of the metadata: ext4_super.c, ext4_inode.c ---- */

/* Superblock, descriptors, bitmaps. */
int ext4_super_write(const struct ext4_plan *p, struct spool *out, struct smr_error *err);
void ext4_inode_encode(const struct ext4_plan *p, uint32_t slot, uint8_t ret[EXT4_INODE_BYTES]);

#endif
