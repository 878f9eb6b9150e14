// SPDX-License-Identifier: BSD-3-Clause
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "tree_impl.h"

#define ENTRIES_DEFAULT 2000000u
#define BYTES_DEFAULT   (400ull << 20)
#define HEADS_MIN       1024u

/* ---- memory ---- */

int tree_grow(void *array, size_t *cap, size_t used, size_t n, size_t size)
{
	void **p = array;
	size_t want;

	if (n <= *cap - used)
		return 0;
	/* By half: large arrays move by mremap, so this costs address space rather than memory. */
	want = used + n + *cap / 2 + 16;
	void *moved = reallocarray(*p, want, size);
	if (!moved)
		return -ENOMEM;
	*p = moved;
	*cap = want;
	return 0;
}

int tree_grow32(void *array, uint32_t *cap, uint32_t used, size_t size)
{
	size_t c = *cap;
	int r = tree_grow(array, &c, used, 1, size);

	if (r == 0)
		*cap = c < TREE_NONE ? (uint32_t)c : TREE_NONE;
	return r;
}

uint64_t tree_bytes(const struct tree *t)
{
	return t->n_nodes * (sizeof(struct tree_node) + TREE_IMAGE_NODE_BYTES) +
	       t->n_entries * (sizeof(struct tree_entry) + TREE_IMAGE_ENTRY_BYTES) +
	       (uint64_t)t->n_heads * sizeof(uint32_t) + t->n_bytes +
	       t->n_extents * (sizeof(struct tree_extent) + TREE_IMAGE_EXTENT_BYTES) +
	       (t->n_sets + (uint64_t)t->n_set_table) * sizeof(uint32_t);
}

int tree_charge(const struct tree *t, uint64_t more)
{
	return tree_bytes(t) + more > t->limits.bytes ? -EFBIG : 0;
}

int tree_add_bytes(struct tree *t, const void *data, size_t n, uint32_t *ret_offset)
{
	int r = tree_charge(t, n);

	if (r < 0)
		return r;
	if (n >= UINT32_MAX - t->n_bytes)
		return -EFBIG;
	r = tree_grow(&t->bytes, &t->cap_bytes, t->n_bytes, n, 1);
	if (r < 0)
		return r;
	if (n)
		memcpy(t->bytes + t->n_bytes, data, n);
	*ret_offset = (uint32_t)t->n_bytes;
	t->n_bytes += n;
	return 0;
}

struct tree *tree_new(const struct tree_limits *limits)
{
	struct tree *t = calloc(1, sizeof(*t));
	const void *random = (const void *)getauxval(AT_RANDOM);

	if (!t)
		return NULL;
	t->limits.entries = limits && limits->entries ? limits->entries : ENTRIES_DEFAULT;
	t->limits.bytes = limits && limits->bytes ? limits->bytes : BYTES_DEFAULT;
	if (random)
		memcpy(&t->seed, random, sizeof(t->seed));
	t->free_node = t->free_entry = TREE_NONE;
	t->heads = malloc(HEADS_MIN * sizeof(*t->heads));
	if (!t->heads || tree_grow32(&t->nodes, &t->cap_nodes, 0, sizeof(*t->nodes)) < 0) {
		tree_free(t);
		return NULL;
	}
	t->n_heads = HEADS_MIN;
	memset(t->heads, 0xff, HEADS_MIN * sizeof(*t->heads));
	t->nodes[TREE_ROOT] = (struct tree_node){.mode = S_IFDIR | 0755, .n_links = 1};
	t->nodes[TREE_ROOT].dir.entry = t->nodes[TREE_ROOT].dir.first_child = TREE_NONE;
	t->n_nodes = t->n_inodes = 1;
	return t;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	free(t->nodes);
	free(t->entries);
	free(t->heads);
	free(t->bytes);
	free(t->extents);
	free(t->sets);
	free(t->set_table);
	free(t);
}

/* ---- names ---- */

/* wyhash's mixing step: good enough that a layer cannot aim at one chain without knowing the seed. */
uint64_t tree_hash(const struct tree *t, uint64_t start, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t h = t->seed ^ (start * 0x9e3779b97f4a7c15u);

	for (;;) {
		uint64_t word = 0;
		memcpy(&word, p, n < 8 ? n : 8);
		unsigned __int128 wide = (unsigned __int128)(word ^ h ^ 0xa0761d6478bd642fu) *
					 (h ^ ((uint64_t)n << 56) ^ 0xe7037ed1a0b428dbu);
		h = (uint64_t)wide ^ (uint64_t)(wide >> 64);
		if (n <= 8)
			return h;
		p += 8;
		n -= 8;
	}
}

int tree_check_name(const char *name, size_t len)
{
	if (len > TREE_NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || memchr(name, 0, len) || memchr(name, '/', len))
		return -EINVAL;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return -EINVAL;
	return 0;
}

uint32_t *tree_head(const struct tree *t, uint32_t dir, const char *name, size_t len)
{
	return &t->heads[tree_hash(t, dir, name, len) & (t->n_heads - 1)];
}

uint32_t tree_find(const struct tree *t, uint32_t dir, const char *name, size_t len)
{
	uint32_t i = *tree_head(t, dir, name, len);

	while (i != TREE_NONE) {
		const struct tree_entry *e = &t->entries[i];
		if (e->dir == dir && e->name_len == len &&
			memcmp(t->bytes + e->name, name, len) == 0)
			return i;
		i = e->chain;
	}
	return TREE_NONE;
}

int tree_rehash(struct tree *t)
{
	uint32_t n = t->n_heads * 2;
	uint32_t *heads;

	if (t->n_names < t->n_heads)
		return 0;
	heads = malloc(n * sizeof(*heads));
	if (!heads)
		return -ENOMEM;
	memset(heads, 0xff, n * sizeof(*heads));
	free(t->heads);
	t->heads = heads;
	t->n_heads = n;
	for (uint32_t i = 0; i < t->n_entries; i++) {
		struct tree_entry *e = &t->entries[i];
		if (e->node == TREE_NONE)
			continue;
		uint32_t *head = tree_head(t, e->dir, t->bytes + e->name, e->name_len);
		e->chain = *head;
		*head = i;
	}
	return 0;
}

/* ---- looking ---- */

const struct tree_node *tree_node(const struct tree *t, uint32_t node)
{
	return node < t->n_nodes && t->nodes[node].n_links > 0 ? &t->nodes[node] : NULL;
}

const struct tree_entry *tree_entry(const struct tree *t, uint32_t entry)
{
	return entry < t->n_entries && t->entries[entry].node != TREE_NONE ? &t->entries[entry]
									   : NULL;
}

const char *tree_name(const struct tree *t, const struct tree_entry *e)
{
	return t->bytes + e->name;
}

const char *tree_target(const struct tree *t, const struct tree_node *n)
{
	return t->bytes + n->link.target;
}

const struct tree_extent *tree_extents(const struct tree *t, const struct tree_node *n)
{
	return t->extents + n->file.extents;
}

uint32_t tree_n_nodes(const struct tree *t)
{
	return t->n_nodes;
}

uint32_t tree_n_entries(const struct tree *t)
{
	return t->n_names;
}

uint32_t tree_n_inodes(const struct tree *t)
{
	return t->n_inodes;
}

bool tree_is_current(const struct tree *t, uint32_t entry)
{
	return t->entries[entry].layer == t->layer;
}
