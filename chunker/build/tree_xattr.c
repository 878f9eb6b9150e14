// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sets of xattrs, each different one once: whole layers carry the same label on every file.
 *
 *     set  = u32 length of what follows, attr*
 *     attr = u16 value length, u8 name length, name, value        ascending by name; machine's byte order
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "tree.h"
#include "tree_impl.h"

#define SET_MAX   65535u
#define TABLE_MIN 64u

static int compare_names(const struct tree_xattr *a, const struct tree_xattr *b)
{
	size_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int c = memcmp(a->name, b->name, n);

	return c ? c : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

/* Equal names keep the order in which they came: the last is the one that counts. */
static int compare(const void *va, const void *vb)
{
	const struct tree_xattr *const *a = va, *const *b = vb;
	int c = compare_names(*a, *b);

	return c ? c : (*a > *b) - (*a < *b);
}

static int check(const struct tree_xattr *xattrs, size_t n, size_t *ret_bytes)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		const struct tree_xattr *x = &xattrs[i];
		if (x->name_len == 0 || memchr(x->name, 0, x->name_len))
			return -EINVAL;
		if (x->name_len > TREE_NAME_MAX)
			return -ENAMETOOLONG;
		if (x->value_len > UINT16_MAX)
			return -E2BIG;
		total += 3 + x->name_len + x->value_len;
		if (total > SET_MAX)
			return -E2BIG;
	}
	*ret_bytes = total;
	return 0;
}

/* Writes the set to `out`; returns its length. */
static size_t encode(const struct tree_xattr **sorted, size_t n, char *out)
{
	size_t len = sizeof(uint32_t);

	for (size_t i = 0; i < n; i++) {
		const struct tree_xattr *x = sorted[i];
		if (i + 1 < n && compare_names(x, sorted[i + 1]) == 0)
			continue;
		uint16_t value_len = (uint16_t)x->value_len;
		memcpy(out + len, &value_len, 2);
		out[len + 2] = (char)x->name_len;
		memcpy(out + len + 3, x->name, x->name_len);
		len += 3 + x->name_len;
		if (x->value_len)
			memcpy(out + len, x->value, x->value_len);
		len += x->value_len;
	}
	uint32_t body = (uint32_t)(len - sizeof(uint32_t));
	memcpy(out, &body, sizeof(body));
	return len;
}

static uint32_t set_length(const struct tree *t, uint32_t set)
{
	uint32_t body;

	memcpy(&body, t->bytes + t->sets[set - 1], sizeof(body));
	return body + (uint32_t)sizeof(body);
}

/* Where the set is, or belongs. */
static uint32_t *slot_of(const struct tree *t, const char *set, size_t len)
{
	uint32_t mask = t->n_set_table - 1;
	uint32_t i = (uint32_t)tree_hash(t, len, set, len) & mask;

	while (t->set_table[i]) {
		uint32_t s = t->set_table[i];
		if (set_length(t, s) == len && memcmp(t->bytes + t->sets[s - 1], set, len) == 0)
			break;
		i = (i + 1) & mask;
	}
	return &t->set_table[i];
}

static int reserve_set(struct tree *t)
{
	uint32_t n = t->n_set_table ? t->n_set_table * 2 : TABLE_MIN;
	size_t cap = t->cap_sets;
	uint32_t *table;
	int r = tree_grow(&t->sets, &cap, t->n_sets, 1, sizeof(*t->sets));

	if (r < 0)
		return r;
	t->cap_sets = (uint32_t)cap;
	if (t->n_sets + 1 <= t->n_set_table / 2)
		return 0;
	r = tree_charge(t, n * sizeof(*table));
	if (r < 0)
		return r;
	table = calloc(n, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(t->set_table);
	t->set_table = table;
	t->n_set_table = n;
	for (uint32_t s = 1; s <= t->n_sets; s++)
		*slot_of(t, t->bytes + t->sets[s - 1], set_length(t, s)) = s;
	return 0;
}

int tree_xattrs(struct tree *t, const struct tree_xattr *xattrs, size_t n, uint32_t *ret_set)
{
	auto_free const struct tree_xattr **sorted = NULL;
	auto_free char *set = NULL;
	size_t len;
	uint32_t *slot;
	int r;

	if (n == 0) {
		*ret_set = 0;
		return 0;
	}
	r = check(xattrs, n, &len);
	if (r < 0)
		return r;
	sorted = malloc(n * sizeof(*sorted));
	set = malloc(sizeof(uint32_t) + len);
	if (!sorted || !set)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &xattrs[i];
	qsort(sorted, n, sizeof(*sorted), compare);
	len = encode(sorted, n, set);
	r = reserve_set(t);
	if (r < 0)
		return r;
	slot = slot_of(t, set, len);
	if (*slot == 0) {
		r = tree_add_bytes(t, set, len, &t->sets[t->n_sets]);
		if (r < 0)
			return r;
		*slot = ++t->n_sets;
	}
	*ret_set = *slot;
	return 0;
}

bool tree_xattr_next(const struct tree *t, uint32_t set, uint32_t *pos, struct tree_xattr *ret)
{
	uint16_t value_len;
	const char *p;

	if (set == 0 || set > t->n_sets)
		return false;
	if (*pos == 0)
		*pos = sizeof(uint32_t);
	if (*pos >= set_length(t, set))
		return false;
	p = t->bytes + t->sets[set - 1] + *pos;
	memcpy(&value_len, p, 2);
	ret->name_len = (unsigned char)p[2];
	ret->name = p + 3;
	ret->value = p + 3 + ret->name_len;
	ret->value_len = value_len;
	*pos += 3 + (uint32_t)ret->name_len + value_len;
	return true;
}
