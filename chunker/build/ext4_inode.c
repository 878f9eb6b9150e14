// SPDX-License-Identifier: BSD-3-Clause
#include <endian.h>
#include <ext2fs/ext2_fs.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/le.h"
#include "ext4_plan.h"

/* Seconds are 32 bits with a sign, and two more bits for the epoch. From April 2310 on e2fsck takes what is written for a date
 * before 1970 that an old kernel got wrong, so that is where time ends here. */
#define TIME_MIN (-(INT64_C(1) << 31))
#define TIME_MAX ((INT64_C(3) << 32) - (INT64_C(1) << 31) - 1)

/* With dir_nlink a directory of more subdirectories says 1. */
#define DIR_LINKS_MAX 65000u

static void put_times(struct ext2_inode_large *in, const struct tree_node *n)
{
	int64_t s = n->mtime;
	uint32_t ns = n->mtime_ns;

	if (s < TIME_MIN || s > TIME_MAX) {
		s = s < 0 ? TIME_MIN : TIME_MAX;
		ns = 0;
	}
	/* What the epoch adds to the sign-extended low half. */
	uint32_t epoch = (uint32_t)((uint64_t)(s - (int32_t)(uint32_t)s) >> 32) & 3;
	uint32_t low = htole32((uint32_t)s), extra = htole32(ns << 2 | epoch);
	in->i_atime = in->i_ctime = in->i_mtime = in->i_crtime = low;
	in->i_atime_extra = in->i_ctime_extra = in->i_mtime_extra = in->i_crtime_extra = extra;
}

static uint32_t links(const struct tree_node *n)
{
	if (!S_ISDIR(n->mode))
		return n->n_links;
	return n->dir.n_dirs + 2 > DIR_LINKS_MAX ? 1 : n->dir.n_dirs + 2;
}

static uint64_t size_of(const struct tree_node *n, const struct ext4_slot *s)
{
	switch (n->mode & S_IFMT) {
	case S_IFREG:
		return n->file.size;
	case S_IFDIR:
		return (uint64_t)s->n_blocks * EXT4_BLOCK;
	case S_IFLNK:
		return n->link.len;
	default:
		return 0;
	}
}

/* As the kernel does: 8 bits each in the first word, or all of it in the second. */
static void put_device(uint8_t block[60], uint32_t major, uint32_t minor)
{
	if (major < 256 && minor < 256)
		le_put32(block, major << 8 | minor);
	else
		le_put32(block + 4, (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12);
}

/* i_block; returns the flags that go with it. */
static uint32_t put_block(const struct ext4_plan *p, uint32_t slot, uint8_t block[60])
{
	const struct tree_node *n = ext4_node(p, slot);
	const struct ext4_slot *s = &p->slots[slot];
	uint32_t flags = EXT4_EXTENTS_FL;

	memset(block, 0, 60);
	switch (n->mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
		put_device(block, n->dev.major, n->dev.minor);
		return 0;
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	case S_IFLNK:
		if (s->n_blocks == 0) {
			memcpy(block, tree_target(p->tree, n), n->link.len);
			return 0;
		}
		break;
	case S_IFDIR:
		if (s->n_blocks > EXT4_LINEAR_BLOCKS_MAX)
			flags |= EXT2_INDEX_FL;
		break;
	}
	ext4_extents_root(p, slot, block);
	return flags;
}

static uint64_t sectors(const struct ext4_plan *p, uint32_t slot)
{
	uint64_t tree_blocks, blocks = ext4_extents_count(p, slot, &tree_blocks);

	return (blocks + tree_blocks + (p->slots[slot].xattrs != 0)) * (EXT4_BLOCK / 512);
}

/* The attributes that fit: the plan has seen that all of them fit somewhere. */
static void put_xattrs(const struct ext4_plan *p, const struct tree_node *n, uint8_t *at)
{
	struct ext4_xattrs x;

	if (n->xattrs && ext4_xattrs_encode(p->tree, n->xattrs, &x) == 0)
		memcpy(at, x.inode, sizeof(x.inode));
}

void ext4_inode_encode(const struct ext4_plan *p, uint32_t slot, uint8_t ret[EXT4_INODE_BYTES])
{
	const struct tree_node *n = ext4_node(p, slot);
	const struct ext4_slot *s = &p->slots[slot];
	uint64_t size = size_of(n, s), n_sectors = sectors(p, slot);
	struct ext2_inode_large in = {0};
	uint8_t block[60];

	in.i_mode = htole16((uint16_t)n->mode);
	in.i_uid = htole16((uint16_t)n->uid);
	in.osd2.linux2.l_i_uid_high = htole16((uint16_t)(n->uid >> 16));
	in.i_gid = htole16((uint16_t)n->gid);
	in.osd2.linux2.l_i_gid_high = htole16((uint16_t)(n->gid >> 16));
	in.i_size = htole32((uint32_t)size);
	in.i_size_high = htole32((uint32_t)(size >> 32));
	in.i_links_count = htole16((uint16_t)links(n));
	in.i_blocks = htole32((uint32_t)n_sectors);
	in.osd2.linux2.l_i_blocks_hi = htole16((uint16_t)(n_sectors >> 32));
	in.i_file_acl = htole32(s->xattrs);
	in.i_extra_isize = htole16(EXT4_EXTRA_ISIZE);
	put_times(&in, n);
	in.i_flags = htole32(put_block(p, slot, block));
	memcpy(in.i_block, block, sizeof(block));

	memset(ret, 0, EXT4_INODE_BYTES);
	memcpy(ret, &in, sizeof(in));
	put_xattrs(p, n, ret + 128 + EXT4_EXTRA_ISIZE);
}
