// SPDX-License-Identifier: BSD-3-Clause
/*
 * SHA-256 over, all numbers little-endian:
 *
 *     tree  = "smr-tree-1" attr(root) directory*          in the order of layout_order
 *     directory = u32 entries, entry*
 *     entry = u8 name length, name, u32 inode, attr where this is the inode's first name
 *     attr  = u32 mode, u32 uid, u32 gid, u64 mtime, u32 nanoseconds, by type, xattrs
 *     by type: file: u64 size, u8[32] digest; symlink: u32 length, target; device: u32 major, u32 minor
 *     xattrs = u32 count, (u32 name length, u32 value length, name, value)*
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/le.h"
#include "ext4_plan.h"

struct digest {
	const struct ext4_plan *p;
	struct chunkid_hasher *h;
	uint8_t pending[1024]; /* small fields go to the hasher together */
	size_t n_pending;
};

static void add(struct digest *d, const void *data, size_t n)
{
	if (n > sizeof(d->pending) - d->n_pending) {
		chunkid_hasher_add(d->h, d->pending, d->n_pending);
		d->n_pending = 0;
	}
	if (n > sizeof(d->pending)) {
		chunkid_hasher_add(d->h, data, n);
		return;
	}
	if (n)
		memcpy(d->pending + d->n_pending, data, n);
	d->n_pending += n;
}

static void add32(struct digest *d, uint32_t v)
{
	uint8_t b[4];

	le_put32(b, v);
	add(d, b, sizeof(b));
}

static void add64(struct digest *d, uint64_t v)
{
	uint8_t b[8];

	le_put64(b, v);
	add(d, b, sizeof(b));
}

static void add_xattrs(struct digest *d, uint32_t set)
{
	struct tree_xattr x;
	uint32_t pos = 0, n = 0;

	while (tree_xattr_next(d->p->tree, set, &pos, &x))
		n++;
	add32(d, n);
	for (pos = 0; tree_xattr_next(d->p->tree, set, &pos, &x);) {
		add32(d, (uint32_t)x.name_len);
		add32(d, (uint32_t)x.value_len);
		add(d, x.name, x.name_len);
		add(d, x.value, x.value_len);
	}
}

static void add_attr(struct digest *d, const struct tree_node *n)
{
	add32(d, n->mode);
	add32(d, n->uid);
	add32(d, n->gid);
	add64(d, (uint64_t)n->mtime);
	add32(d, n->mtime_ns);
	switch (n->mode & S_IFMT) {
	case S_IFREG:
		add64(d, n->file.size);
		add(d, n->file.digest.b, CHUNKID_BYTES);
		break;
	case S_IFLNK:
		add32(d, n->link.len);
		add(d, tree_target(d->p->tree, n), n->link.len);
		break;
	case S_IFCHR:
	case S_IFBLK:
		add32(d, n->dev.major);
		add32(d, n->dev.minor);
		break;
	}
	add_xattrs(d, n->xattrs);
}

int ext4_digest(const struct ext4_plan *p, struct chunkid *ret)
{
	struct digest d = {.p = p, .h = chunkid_hasher_new()};
	const struct layout_order *o = &p->order;
	uint32_t next_slot = 1;

	if (!d.h)
		return -ENOMEM;
	add(&d, "smr-tree-1", 10);
	add_attr(&d, tree_node(p->tree, TREE_ROOT));
	for (uint32_t i = 0; i < o->n_dirs; i++) {
		add32(&d, o->first[i + 1] - o->first[i]);
		for (uint32_t k = o->first[i]; k < o->first[i + 1]; k++) {
			const struct tree_entry *e = tree_entry(p->tree, o->entries[k]);
			uint32_t slot = p->slot_of_node[e->node];
			add(&d, &e->name_len, 1);
			add(&d, tree_name(p->tree, e), e->name_len);
			add32(&d, ext4_ino(slot));
			/* Inodes are numbered in this very order. */
			if (slot == next_slot) {
				add_attr(&d, tree_node(p->tree, e->node));
				next_slot++;
			}
		}
	}
	chunkid_hasher_add(d.h, d.pending, d.n_pending);
	chunkid_hasher_finish(d.h, ret);
	chunkid_hasher_free(d.h);
	return 0;
}
