// SPDX-License-Identifier: BSD-3-Clause
/*
 * Directory blocks.
 *
 *     linear   = block*, block = entry*       entry = u32 inode, u16 length, u8 name length, u8 type, name, padding
 *     indexed  = root, node*, leaf*           (the kernel's Documentation/filesystems/ext4/directory.rst)
 *     root     = entries "." and "..", info, limit, count, first child, (hash, child)*
 *     node     = an empty entry, limit, count, first child, (hash, child)*
 *     leaf     = a linear block
 *
 * Up to EXT4_LINEAR_BLOCKS_MAX blocks a directory is linear, sorted by name. A larger one is sorted by hash (equal hashes by
 * name) and has an index of one or two levels; leaves and nodes are filled to the end. The hash of a child is that of its
 * first entry; its lowest bit, free in hashes, says that the child before ends with the same hash.
 */
#include <endian.h>
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/cleanup.h"
#include "../core/le.h"
#include "ext4_plan.h"

#define ENTRY_HEADER  8u
#define DOT_BYTES     12u /* an entry with a name of up to four bytes */
#define ROOT_INDEX_AT 32u /* behind "." and "..", and dx_root_info */
#define NODE_INDEX_AT 8u  /* behind an empty entry */
#define ROOT_LIMIT    ((EXT4_BLOCK - ROOT_INDEX_AT) / 8)
#define NODE_LIMIT    ((EXT4_BLOCK - NODE_INDEX_AT) / 8)

const uint32_t ext4_hash_seed[4] = {0x736d7266, 0x73206c61, 0x796f7574, 0x20312e30};

/* The entries of a directory in the order in which they are written. */
struct listing {
	const struct ext4_plan *plan;
	const uint32_t *entries;
	uint32_t n;
	uint64_t *by_hash; /* hash << 32 | position in entries; NULL: by name */
};

static struct listing listing_of(const struct ext4_plan *p, uint32_t pos)
{
	const struct layout_order *o = &p->order;

	return (struct listing){
		.plan = p,
		.entries = o->entries + o->first[pos],
		.n = o->first[pos + 1] - o->first[pos],
	};
}

static const struct tree_entry *entry_at(const struct listing *l, uint32_t i)
{
	uint32_t at = l->by_hash ? (uint32_t)l->by_hash[i] : i;

	return tree_entry(l->plan->tree, l->entries[at]);
}

static uint32_t entry_bytes(const struct tree_entry *e)
{
	return (ENTRY_HEADER + e->name_len + 3u) & ~3u;
}

/* How many of the entries from `from` on fit `room` bytes. */
static uint32_t fill(const struct listing *l, uint32_t from, uint32_t room)
{
	uint32_t i = from;

	while (i < l->n && entry_bytes(entry_at(l, i)) <= room)
		room -= entry_bytes(entry_at(l, i++));
	return i - from;
}

static uint32_t count_blocks(const struct listing *l, uint32_t room_in_first)
{
	uint32_t blocks = 1, i = fill(l, 0, room_in_first);

	for (; i < l->n; blocks++)
		i += fill(l, i, EXT4_BLOCK);
	return blocks;
}

static int compare_u64(const void *va, const void *vb)
{
	const uint64_t *a = va, *b = vb;

	return (*a > *b) - (*a < *b);
}

static int sort_by_hash(struct listing *l)
{
	uint64_t *keys = malloc((l->n + (size_t)1) * sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n; i++) {
		const struct tree_entry *e = entry_at(l, i);
		ext2_dirhash_t hash = 0;
		ext2fs_dirhash2(EXT2_HASH_HALF_MD4_UNSIGNED, tree_name(l->plan->tree, e),
			e->name_len, NULL, 0, ext4_hash_seed, &hash, NULL);
		hash &= ~1u;
		/* The kernel keeps the highest for the end of a directory. */
		if (hash == 0xfffffffe)
			hash = 0xfffffffc;
		keys[i] = (uint64_t)hash << 32 | i;
	}
	qsort(keys, l->n, sizeof(*keys), compare_u64);
	l->by_hash = keys;
	return 0;
}

/* ---- how large ---- */

static uint32_t nodes_for(uint32_t leaves)
{
	return leaves <= ROOT_LIMIT ? 0 : (uint32_t)ext4_div_up(leaves, NODE_LIMIT);
}

int ext4_dir_blocks(const struct ext4_plan *p, uint32_t pos, uint32_t *ret)
{
	struct listing l = listing_of(p, pos);
	uint32_t leaves, blocks = count_blocks(&l, EXT4_BLOCK - 2 * DOT_BYTES);
	int r;

	if (blocks > EXT4_LINEAR_BLOCKS_MAX) {
		r = sort_by_hash(&l);
		if (r < 0)
			return r;
		leaves = count_blocks(&l, EXT4_BLOCK);
		free(l.by_hash);
		if (nodes_for(leaves) > ROOT_LIMIT)
			return -EFBIG;
		blocks = 1 + nodes_for(leaves) + leaves;
	}
	*ret = blocks;
	return 0;
}

/* ---- writing ---- */

static uint8_t type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return EXT2_FT_REG_FILE;
	case S_IFDIR:
		return EXT2_FT_DIR;
	case S_IFCHR:
		return EXT2_FT_CHRDEV;
	case S_IFBLK:
		return EXT2_FT_BLKDEV;
	case S_IFIFO:
		return EXT2_FT_FIFO;
	case S_IFSOCK:
		return EXT2_FT_SOCK;
	default:
		return EXT2_FT_SYMLINK;
	}
}

static void put_entry(
	uint8_t *at, uint32_t ino, uint32_t bytes, const char *name, size_t len, uint8_t type)
{
	const uint16_t rec_len = htole16((uint16_t)bytes);

	le_put32(at, ino);
	memcpy(at + 4, &rec_len, 2);
	at[6] = (uint8_t)len;
	at[7] = type;
	if (len)
		memcpy(at + ENTRY_HEADER, name, len);
}

static uint32_t ino_of_node(const struct ext4_plan *p, uint32_t node)
{
	return ext4_ino(p->slot_of_node[node]);
}

/* "." and "..", the latter of `bytes` bytes. */
static void put_dots(const struct ext4_plan *p, uint32_t dir, uint8_t *block, uint32_t bytes)
{
	uint32_t entry = tree_node(p->tree, dir)->dir.entry;
	uint32_t parent = entry == TREE_NONE ? dir : tree_entry(p->tree, entry)->dir;

	put_entry(block, ino_of_node(p, dir), DOT_BYTES, ".", 1, EXT2_FT_DIR);
	put_entry(block + DOT_BYTES, ino_of_node(p, parent), bytes, "..", 2, EXT2_FT_DIR);
}

/* Entries from `from` on, as many as fit behind `at`; the last one reaches to the end. Returns how many. */
static uint32_t put_entries(const struct listing *l, uint32_t from, uint8_t *block, uint32_t at)
{
	uint32_t n = fill(l, from, EXT4_BLOCK - at);

	for (uint32_t i = from; i < from + n; i++) {
		const struct tree_entry *e = entry_at(l, i);
		uint32_t bytes = i + 1 < from + n ? entry_bytes(e) : EXT4_BLOCK - at;
		put_entry(block + at, ino_of_node(l->plan, e->node), bytes,
			tree_name(l->plan->tree, e), e->name_len,
			type_of(tree_node(l->plan->tree, e->node)->mode));
		at += bytes;
	}
	return n;
}

static int write_linear(const struct listing *l, uint32_t dir, uint32_t n_blocks, struct spool *out,
	struct smr_error *err)
{
	uint8_t block[EXT4_BLOCK];
	uint32_t done = 0, at = 2 * DOT_BYTES;
	int r = 0;

	for (uint32_t i = 0; i < n_blocks && r == 0; i++) {
		memset(block, 0, sizeof(block));
		if (i == 0)
			put_dots(l->plan, dir, block, l->n ? DOT_BYTES : EXT4_BLOCK - DOT_BYTES);
		done += put_entries(l, done, block, at);
		at = 0;
		r = spool_write(out, block, sizeof(block), err);
	}
	return r;
}

/* Entries of an index behind its limit and count: the first without a hash. `hashes[i]` and block `first + i` are child i. */
static void put_index(uint8_t *at, uint32_t limit, const uint32_t *hashes, uint32_t stride,
	uint32_t n, uint32_t first)
{
	const uint16_t limits[2] = {htole16((uint16_t)limit), htole16((uint16_t)n)};

	for (uint32_t i = 0; i < n; i++) {
		le_put32(at + 8 * (size_t)i, hashes[(size_t)i * stride]);
		le_put32(at + 8 * (size_t)i + 4, first + i);
	}
	memcpy(at, limits, sizeof(limits));
}

static int write_index(const struct ext4_plan *p, uint32_t dir, const uint32_t *hashes,
	uint32_t leaves, struct spool *out, struct smr_error *err)
{
	uint32_t nodes = nodes_for(leaves);
	uint8_t block[EXT4_BLOCK] = {0};
	int r;

	put_dots(p, dir, block, EXT4_BLOCK - DOT_BYTES);
	block[28] = EXT2_HASH_HALF_MD4; /* dx_root_info: version, its length, levels below */
	block[29] = sizeof(struct ext2_dx_root_info);
	block[30] = nodes > 0;
	if (nodes)
		put_index(block + ROOT_INDEX_AT, ROOT_LIMIT, hashes, NODE_LIMIT, nodes, 1);
	else
		put_index(block + ROOT_INDEX_AT, ROOT_LIMIT, hashes, 1, leaves, 1);
	r = spool_write(out, block, sizeof(block), err);
	for (uint32_t i = 0; i < nodes && r == 0; i++) {
		uint32_t from = i * (uint32_t)NODE_LIMIT;
		uint32_t n = leaves - from < NODE_LIMIT ? leaves - from : (uint32_t)NODE_LIMIT;
		memset(block, 0, sizeof(block));
		put_entry(block, 0, EXT4_BLOCK, NULL, 0, 0);
		put_index(block + NODE_INDEX_AT, NODE_LIMIT, hashes + from, 1, n, 1 + nodes + from);
		r = spool_write(out, block, sizeof(block), err);
	}
	return r;
}

static int write_indexed(const struct listing *l, uint32_t dir, uint32_t n_blocks,
	struct spool *out, struct smr_error *err)
{
	auto_free uint32_t *hashes = malloc(n_blocks * sizeof(*hashes));
	uint8_t block[EXT4_BLOCK];
	uint32_t leaves = 0, last = UINT32_MAX;
	int r;

	if (!hashes)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n; leaves++) {
		uint32_t hash = (uint32_t)(l->by_hash[i] >> 32);
		hashes[leaves] = hash | (hash == last);
		i += fill(l, i, EXT4_BLOCK);
		last = (uint32_t)(l->by_hash[i - 1] >> 32);
	}
	r = write_index(l->plan, dir, hashes, leaves, out, err);
	for (uint32_t i = 0; i < l->n && r == 0;) {
		memset(block, 0, sizeof(block));
		i += put_entries(l, i, block, 0);
		r = spool_write(out, block, sizeof(block), err);
	}
	return r;
}

int ext4_dir_write(
	const struct ext4_plan *p, uint32_t slot, struct spool *out, struct smr_error *err)
{
	const struct ext4_slot *s = &p->slots[slot];
	struct listing l = listing_of(p, s->from);
	int r;

	if (s->n_blocks <= EXT4_LINEAR_BLOCKS_MAX)
		return write_linear(&l, s->node, s->n_blocks, out, err);
	r = sort_by_hash(&l);
	if (r == 0)
		r = write_indexed(&l, s->node, s->n_blocks, out, err);
	free(l.by_hash);
	return r;
}
