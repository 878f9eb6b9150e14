/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * smr-store.json, and the keys of a store's objects that follow from it:
 *
 *     smr-store.json                       {"version": 1, "chunk_size": BYTES,
 *                                           "roots": [{"name": NAME, "state": STATE}, ...]} newest
 * first roots/ROOT/recipes/NAME.recipe       recipe.h roots/ROOT/recipes/index.json listing.h
 *     roots/ROOT/chunks/ab/ID.zst          ab: the first two digits of ID
 *
 * STATE is "active" (takes uploads; exactly one), "retired" (read, no longer written) or "expired"
 * (never touched). Root names are [a-z0-9][a-z0-9-]{0,31}. Unknown members are ignored, unknown
 * versions refused.
 *
 * A struct roots is an immutable snapshot with a reference count; any thread may use it. A flat
 * store (flat.h) has no such file and one nameless root whose keys are ID.zst.
 */
#ifndef STORE_ROOTS_H
#define STORE_ROOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/buf.h"
#include "../core/chunkid.h"
#include "../core/error.h"
#include "bucket.h"

#define ROOTS_KEY      "smr-store.json"
#define ROOTS_FILE_MAX (1u << 20) /* bytes */
#define ROOTS_MAX      64
#define ROOTS_NAME_MAX 32

enum roots_state { ROOTS_ACTIVE, ROOTS_RETIRED, ROOTS_EXPIRED };

struct roots_one {
	char name[ROOTS_NAME_MAX + 1];
	enum roots_state state;
};

struct roots {
	unsigned refs; /* atomic */
	bool flat;
	uint32_t chunk_size; /* bytes */
	unsigned n;
	struct roots_one root[ROOTS_MAX]; /* as in the file */
	unsigned n_live;                  /* >= 1 */
	unsigned live[ROOTS_MAX]; /* positions in root[]: the active one, then the retired ones,
				     newest first */
};

/* -EBADMSG: not a valid file; -ENOTSUP: a newer version; -ENOMEM. */
int roots_parse(const void *json, size_t n, struct roots **ret, struct smr_error *err);
/* A new store with one active root. -EINVAL, -ENOMEM. */
int roots_new(uint32_t chunk_size, const char *name, struct roots **ret);
/* What a directory of stream-my-root is. NULL: no memory. */
struct roots *roots_new_flat(void);
/* Appends the file. -ENOMEM, -EFBIG. */
int roots_format(const struct roots *r, struct buf *out);

struct roots *roots_ref(struct roots *r);
void roots_unref(struct roots *r);                /* NULL is fine */
static inline void roots_unrefp(struct roots **r) /* for auto_with */
{
	roots_unref(*r);
}
bool roots_equal(const struct roots *a, const struct roots *b);

bool roots_name_valid(const char *s);
/* The active root's name; "" in a flat store. */
const char *roots_active(const struct roots *r);

/* Keys in the live root `i` < n_live; i 0 is the active one. Flat stores have chunk keys only. */
void roots_chunk_key(
	const struct roots *r, unsigned i, const struct chunkid *id, char ret[BUCKET_KEY_MAX]);
void roots_recipe_key(
	const struct roots *r, unsigned i, const char *name, char ret[BUCKET_KEY_MAX]);
void roots_index_key(const struct roots *r, unsigned i, char ret[BUCKET_KEY_MAX]);
/* Prefixes, with a '/' at the end. */
void roots_recipes_prefix(const struct roots *r, unsigned i, char ret[BUCKET_KEY_MAX]);
void roots_chunks_prefix(const struct roots *r, unsigned i, char ret[BUCKET_KEY_MAX]);

#endif
