// SPDX-License-Identifier: BSD-3-Clause
#include <endian.h>
#include <errno.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "ext4_plan.h"

#define SUPER_AT 1024
/* A flex_bg that no image of RECIPE_IMAGE_MAX fills. */
#define LOG_GROUPS_PER_FLEX 20

/* What each group has in use. */
struct group {
	uint32_t blocks;
	uint32_t dirs;
};

static uint32_t group_blocks(const struct ext4_plan *p, uint32_t g)
{
	uint64_t left = p->geo.n_blocks - (uint64_t)g * EXT4_BLOCKS_PER_GROUP;

	return left < EXT4_BLOCKS_PER_GROUP ? (uint32_t)left : EXT4_BLOCKS_PER_GROUP;
}

/* Inodes in use of a group: those up to the last one, as reserved ones count. */
static uint32_t group_inodes(const struct ext4_plan *p, uint32_t g)
{
	uint64_t before = (uint64_t)g * p->geo.inodes_per_group;
	uint64_t used = ext4_last_ino(p);

	if (used <= before)
		return 0;
	used -= before;
	return used < p->geo.inodes_per_group ? (uint32_t)used : p->geo.inodes_per_group;
}

/* Range `i` of the blocks in use: the metadata, then the runs. False: there are no more. */
static bool used_range(const struct ext4_plan *p, size_t i, uint64_t *ret_from, uint64_t *ret_to)
{
	if (i > p->n_runs)
		return false;
	*ret_from = i == 0 ? 0 : p->runs[i - 1].block;
	*ret_to = i == 0 ? p->geo.meta_used : *ret_from + p->runs[i - 1].n_blocks;
	return true;
}

static void count_groups(const struct ext4_plan *p, struct group *groups)
{
	uint64_t from, to;

	for (size_t i = 0; used_range(p, i, &from, &to); i++) {
		while (from < to) {
			uint64_t g = from / EXT4_BLOCKS_PER_GROUP;
			uint64_t end = (g + 1) * EXT4_BLOCKS_PER_GROUP;
			end = end < to ? end : to;
			groups[g].blocks += (uint32_t)(end - from);
			from = end;
		}
	}
	for (uint32_t i = 0; i < p->n_slots; i++)
		if (S_ISDIR(ext4_node(p, i)->mode))
			groups[(ext4_ino(i) - 1) / p->geo.inodes_per_group].dirs++;
}

/* ---- superblock and descriptors ---- */

static void put_features(struct ext2_super_block *sb)
{
	sb->s_rev_level = htole32(EXT2_DYNAMIC_REV);
	sb->s_feature_compat =
		htole32(EXT2_FEATURE_COMPAT_EXT_ATTR | EXT2_FEATURE_COMPAT_DIR_INDEX |
			EXT4_FEATURE_COMPAT_SPARSE_SUPER2);
	sb->s_feature_incompat =
		htole32(EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS |
			EXT4_FEATURE_INCOMPAT_64BIT | EXT4_FEATURE_INCOMPAT_FLEX_BG);
	sb->s_feature_ro_compat =
		htole32(EXT2_FEATURE_RO_COMPAT_LARGE_FILE | EXT4_FEATURE_RO_COMPAT_HUGE_FILE |
			EXT4_FEATURE_RO_COMPAT_DIR_NLINK | EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE);
	sb->s_default_mount_opts = htole32(EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL);
	sb->s_flags = htole32(EXT2_FLAGS_UNSIGNED_HASH);
	sb->s_def_hash_version = EXT2_HASH_HALF_MD4;
	for (int i = 0; i < 4; i++)
		sb->s_hash_seed[i] = htole32(ext4_hash_seed[i]);
	sb->s_desc_size = htole16(EXT4_DESC_BYTES);
	sb->s_inode_size = htole16(EXT4_INODE_BYTES);
	sb->s_min_extra_isize = sb->s_want_extra_isize = htole16(EXT4_EXTRA_ISIZE);
	sb->s_log_groups_per_flex = LOG_GROUPS_PER_FLEX;
}

static void put_identity(struct ext2_super_block *sb, const struct chunkid *digest)
{
	memcpy(sb->s_uuid, digest->b, sizeof(sb->s_uuid));
	sb->s_uuid[6] = (sb->s_uuid[6] & 0x0f) | 0x80; /* version 8: of our own making */
	sb->s_uuid[8] = (sb->s_uuid[8] & 0x3f) | 0x80;
	memcpy(sb->s_volume_name, "stream", 6);
	sb->s_magic = htole16(EXT2_SUPER_MAGIC);
	sb->s_state = htole16(EXT2_VALID_FS);
	sb->s_errors = htole16(EXT2_ERRORS_CONTINUE);
	sb->s_creator_os = htole32(EXT2_OS_LINUX);
	sb->s_max_mnt_count = -1; /* the same in any byte order */
				  /* Times of the superblock are 1970: no clock takes part. */
}

static void encode_super(const struct ext4_plan *p, struct ext2_super_block *sb)
{
	const struct ext4_geometry *g = &p->geo;
	uint32_t n_inodes = g->n_groups * g->inodes_per_group;
	uint64_t n_free = g->n_blocks - g->meta_used - p->data_blocks;

	put_features(sb);
	put_identity(sb, &p->digest);
	sb->s_log_block_size = sb->s_log_cluster_size = htole32(2);
	sb->s_blocks_per_group = sb->s_clusters_per_group = htole32(EXT4_BLOCKS_PER_GROUP);
	sb->s_blocks_count = htole32((uint32_t)g->n_blocks);
	sb->s_blocks_count_hi = htole32((uint32_t)(g->n_blocks >> 32));
	sb->s_free_blocks_count = htole32((uint32_t)n_free);
	sb->s_free_blocks_hi = htole32((uint32_t)(n_free >> 32));
	sb->s_overhead_clusters = htole32((uint32_t)g->behind_tables);
	sb->s_inodes_count = htole32(n_inodes);
	sb->s_free_inodes_count = htole32(n_inodes - ext4_last_ino(p));
	sb->s_inodes_per_group = htole32(g->inodes_per_group);
	sb->s_first_ino = htole32(EXT4_FIRST_INO);
}

static void encode_desc(
	const struct ext4_plan *p, uint32_t g, const struct group *used, struct ext4_group_desc *d)
{
	uint64_t bb = p->geo.block_bitmaps + g, ib = p->geo.inode_bitmaps + g;
	uint64_t it = p->geo.inode_tables +
		      (uint64_t)g * (p->geo.inodes_per_group / EXT4_INODES_PER_BLOCK);
	uint32_t free_blocks = group_blocks(p, g) - used->blocks;
	uint32_t free_inodes = p->geo.inodes_per_group - group_inodes(p, g);

	*d = (struct ext4_group_desc){
		.bg_block_bitmap = htole32((uint32_t)bb),
		.bg_block_bitmap_hi = htole32((uint32_t)(bb >> 32)),
		.bg_inode_bitmap = htole32((uint32_t)ib),
		.bg_inode_bitmap_hi = htole32((uint32_t)(ib >> 32)),
		.bg_inode_table = htole32((uint32_t)it),
		.bg_inode_table_hi = htole32((uint32_t)(it >> 32)),
		/* None of these counts is above 2^15. */
		.bg_free_blocks_count = htole16((uint16_t)free_blocks),
		.bg_free_inodes_count = htole16((uint16_t)free_inodes),
		.bg_used_dirs_count = htole16((uint16_t)used->dirs),
	};
}

static int write_descs(const struct ext4_plan *p, const struct group *groups, struct spool *out,
	struct smr_error *err)
{
	uint64_t bytes = (uint64_t)p->geo.n_groups * EXT4_DESC_BYTES;
	int r = 0;

	for (uint32_t g = 0; g < p->geo.n_groups && r == 0; g++) {
		struct ext4_group_desc d;
		encode_desc(p, g, &groups[g], &d);
		r = spool_write(out, &d, sizeof(d), err);
	}
	return r < 0 ? r : spool_skip(out, (EXT4_BLOCK - bytes % EXT4_BLOCK) % EXT4_BLOCK, err);
}

/* ---- bitmaps ---- */

static void set_bits(uint8_t *map, uint64_t from, uint64_t to)
{
	while (from < to && from % 8)
		map[from / 8] |= (uint8_t)(1u << from % 8), from++;
	memset(map + from / 8, 0xff, (to - from) / 8);
	for (from += (to - from) / 8 * 8; from < to; from++)
		map[from / 8] |= (uint8_t)(1u << from % 8);
}

static int write_block_bitmaps(const struct ext4_plan *p, struct spool *out, struct smr_error *err)
{
	uint8_t map[EXT4_BLOCK];
	uint64_t from, to;
	size_t i = 0;
	int r = 0;

	for (uint32_t g = 0; g < p->geo.n_groups && r == 0; g++) {
		uint64_t start = (uint64_t)g * EXT4_BLOCKS_PER_GROUP;
		uint64_t end = start + EXT4_BLOCKS_PER_GROUP;
		memset(map, 0, sizeof(map));
		while (used_range(p, i, &from, &to) && from < end) {
			set_bits(map, from > start ? from - start : 0,
				(to < end ? to : end) - start);
			if (to > end)
				break;
			i++;
		}
		/* What the last group lacks is not free. */
		set_bits(map, group_blocks(p, g), EXT4_BLOCKS_PER_GROUP);
		r = spool_write(out, map, sizeof(map), err);
	}
	return r;
}

static int write_inode_bitmaps(const struct ext4_plan *p, struct spool *out, struct smr_error *err)
{
	uint8_t map[EXT4_BLOCK];
	int r = 0;

	for (uint32_t g = 0; g < p->geo.n_groups && r == 0; g++) {
		memset(map, 0, sizeof(map));
		set_bits(map, 0, group_inodes(p, g));
		set_bits(map, p->geo.inodes_per_group, 8 * EXT4_BLOCK);
		r = spool_write(out, map, sizeof(map), err);
	}
	return r;
}

int ext4_super_write(const struct ext4_plan *p, struct spool *out, struct smr_error *err)
{
	auto_free struct group *groups = calloc(p->geo.n_groups, sizeof(*groups));
	uint8_t block[EXT4_BLOCK] = {0};
	struct ext2_super_block sb = {0};
	int r;

	if (!groups)
		return -ENOMEM;
	count_groups(p, groups);
	encode_super(p, &sb);
	memcpy(block + SUPER_AT, &sb, sizeof(sb));
	r = spool_write(out, block, sizeof(block), err);
	if (r == 0)
		r = write_descs(p, groups, out, err);
	if (r == 0)
		r = write_block_bitmaps(p, out, err);
	return r < 0 ? r : write_inode_bitmaps(p, out, err);
}
