// SPDX-License-Identifier: BSD-3-Clause
/*
 * Extended attributes as ext4 keeps them: in the rest of the inode as long as they fit there, the others in one block.
 *
 *     inode = u32 magic, entry*, u32 zero, ... value*       value offsets from behind the magic
 *     block = header, entry*, u32 zero, ... value*          value offsets from the start
 *     entry = u8 name length, u8 namespace, u16 value offset, u32 zero, u32 value size, u32 hash, name, padding
 *
 * Values are put from the end to the front. Entries are sorted by namespace, name length, name: the kernel searches a block
 * that way. The hash is checked in blocks only, by e2fsck.
 */
#include <endian.h>
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/le.h"
#include "ext4_plan.h"

#define VALUE_MAX EXT4_BLOCK /* none larger fits */

static const struct {
	const char *prefix;
	uint8_t index;
	bool whole; /* the name is all of it */
} namespaces[] = {
	{"user.", 1, false},
	{"system.posix_acl_access", 2, true},
	{"system.posix_acl_default", 3, true},
	{"trusted.", 4, false},
	{"security.", 6, false},
};

#define INDEX_ACL_ACCESS  2
#define INDEX_ACL_DEFAULT 3

struct attr {
	uint8_t index;
	const char *name; /* behind the prefix */
	size_t name_len;
	const uint8_t *value;
	size_t value_len;
	uint8_t *acl; /* owned; what value is, for an ACL */
};

static bool split_name(const struct tree_xattr *x, struct attr *a)
{
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		size_t n = strlen(namespaces[i].prefix);
		if (x->name_len < n || memcmp(x->name, namespaces[i].prefix, n) != 0)
			continue;
		if (namespaces[i].whole != (x->name_len == n))
			continue;
		a->index = namespaces[i].index;
		a->name = x->name + n;
		a->name_len = x->name_len - n;
		return true;
	}
	return false;
}

/* ---- ACLs ---- */

enum {
	ACL_USER_OBJ = 1,
	ACL_USER = 2,
	ACL_GROUP_OBJ = 4,
	ACL_GROUP = 8,
	ACL_MASK = 16,
	ACL_OTHER = 32
};

static uint32_t get16(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8;
}

/* From what getxattr(2) gives (version 2: u16 tag, u16 permissions, u32 id) to what ext4 keeps (version 1: an id with named
 * users and groups only). -EINVAL for what the kernel would refuse: the tags must ascend, owner, group and others be
 * there once, and a mask where somebody is named. */
static int convert_acl(const uint8_t *in, size_t n, struct attr *a)
{
	uint32_t seen = 0, last = 0;
	uint8_t *out;
	size_t len = 4;

	if (n < 4 || (n - 4) % 8 != 0 || n > VALUE_MAX || le_get32(in) != 2)
		return -EINVAL;
	out = malloc(n);
	if (!out)
		return -ENOMEM;
	a->acl = out;
	le_put32(out, 1);
	for (const uint8_t *e = in + 4; e < in + n; e += 8) {
		uint32_t tag = get16(e), named = tag & (ACL_USER | ACL_GROUP);
		if (tag == 0 || tag > ACL_OTHER || (tag & (tag - 1)) || get16(e + 2) > 7)
			return -EINVAL;
		if (tag < last || (tag == last && !named))
			return -EINVAL;
		size_t take = named ? 8 : 4;
		memcpy(out + len, e, take);
		len += take;
		seen |= tag;
		last = tag;
	}
	const uint32_t need = ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER;
	if (seen &&
		((seen & need) != need || ((seen & (ACL_USER | ACL_GROUP)) && !(seen & ACL_MASK))))
		return -EINVAL;
	a->value = out;
	a->value_len = len;
	return 0;
}

/* ---- collecting ---- */

static int compare(const void *va, const void *vb)
{
	const struct attr *a = va, *b = vb;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	if (a->name_len != b->name_len)
		return a->name_len < b->name_len ? -1 : 1;
	return memcmp(a->name, b->name, a->name_len);
}

struct attrs {
	struct attr *a;
	size_t n;
};

static void attrs_done(struct attrs *as)
{
	for (size_t i = 0; i < as->n; i++)
		free(as->a[i].acl);
	free(as->a);
}

static int collect(const struct tree *t, uint32_t set, struct attrs *as, unsigned *dropped)
{
	struct tree_xattr x;
	uint32_t pos = 0;
	size_t n = 0;

	while (tree_xattr_next(t, set, &pos, &x))
		n++;
	as->a = calloc(n + 1, sizeof(*as->a));
	if (!as->a)
		return -ENOMEM;
	for (pos = 0; tree_xattr_next(t, set, &pos, &x);) {
		struct attr *a = &as->a[as->n];
		if (!split_name(&x, a)) {
			++*dropped;
			continue;
		}
		as->n++;
		a->value = x.value;
		a->value_len = x.value_len;
		if (a->index == INDEX_ACL_ACCESS || a->index == INDEX_ACL_DEFAULT) {
			int r = convert_acl(x.value, x.value_len, a);
			if (r < 0)
				return r;
		}
	}
	qsort(as->a, as->n, sizeof(*as->a), compare);
	return 0;
}

/* ---- encoding ---- */

/* One of the two places. */
struct place {
	uint8_t *base;  /* what value offsets count from */
	size_t entries; /* where the next entry goes */
	size_t values;  /* where the last value starts */
};

static uint32_t attr_hash(const struct attr *a)
{
	uint32_t h = 0;

	for (size_t i = 0; i < a->name_len; i++)
		h = (h << 5) ^ (h >> 27) ^ (uint8_t)a->name[i];
	for (size_t i = 0; i < a->value_len; i += 4) {
		uint8_t word[4] = {0};
		memcpy(word, a->value + i, a->value_len - i < 4 ? a->value_len - i : 4);
		h = (h << 16) ^ (h >> 16) ^ le_get32(word);
	}
	return h;
}

/* False: no room. */
static bool place_attr(struct place *p, const struct attr *a, uint32_t hash)
{
	size_t entry = EXT2_EXT_ATTR_LEN(a->name_len);
	size_t value = (a->value_len + 3) & ~(size_t)3;
	struct ext2_ext_attr_entry e = {0};

	/* Four zeros end the entries. */
	if (p->entries + entry + 4 + value > p->values)
		return false;
	p->values -= value;
	e.e_name_len = (uint8_t)a->name_len;
	e.e_name_index = a->index;
	e.e_value_offs = htole16((uint16_t)(value ? p->values : 0));
	e.e_value_size = htole32((uint32_t)a->value_len);
	e.e_hash = htole32(hash);
	memcpy(p->base + p->entries, &e, sizeof(e));
	memcpy(p->base + p->entries + sizeof(e), a->name, a->name_len);
	if (value)
		memcpy(p->base + p->values, a->value, a->value_len);
	p->entries += entry;
	return true;
}

static void put_block_header(uint8_t *block, uint32_t hash)
{
	struct ext2_ext_attr_header h = {0};

	h.h_magic = htole32(EXT2_EXT_ATTR_MAGIC);
	h.h_refcount = htole32(1);
	h.h_blocks = htole32(1);
	h.h_hash = htole32(hash);
	memcpy(block, &h, sizeof(h));
}

static int encode(const struct attrs *as, struct ext4_xattrs *ret)
{
	struct place inode = {.base = ret->inode + 4, .values = sizeof(ret->inode) - 4};
	struct place block = {.base = ret->block, .entries = sizeof(struct ext2_ext_attr_header)};
	uint32_t hash = 0;
	bool shareable = true;

	block.values = sizeof(ret->block);
	for (size_t i = 0; i < as->n; i++) {
		const struct attr *a = &as->a[i];
		if (place_attr(&inode, a, 0))
			continue;
		uint32_t h = attr_hash(a);
		if (a->value_len > VALUE_MAX || !place_attr(&block, a, h))
			return -E2BIG;
		ret->has_block = true;
		shareable = shareable && h != 0;
		hash = (hash << 16) ^ (hash >> 16) ^ h;
	}
	if (inode.entries)
		le_put32(ret->inode, EXT2_EXT_ATTR_MAGIC);
	if (ret->has_block)
		put_block_header(ret->block, shareable ? hash : 0);
	return 0;
}

int ext4_xattrs_encode(const struct tree *t, uint32_t set, struct ext4_xattrs *ret)
{
	struct attrs as auto_with(attrs_done) = {0};
	int r;

	memset(ret, 0, sizeof(*ret));
	if (set == 0)
		return 0;
	r = collect(t, set, &as, &ret->n_dropped);
	return r < 0 ? r : encode(&as, ret);
}
