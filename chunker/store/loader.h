/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which roots a store has, as of when: smr-store.json of a bucket, loaded when first asked for,
 * again when the caller wants it fresher, and once for all who ask meanwhile. A bucket without the
 * file is a flat store.
 *
 * Any thread may ask. The loader must outlive its asks; the bucket the loader.
 */
#ifndef STORE_LOADER_H
#define STORE_LOADER_H

#include "roots.h"

struct loader;

#define LOADER_ANY UINT64_MAX /* whatever is there */
#define LOADER_NOW 0          /* read after the question was asked */

/* One question. Owned by the caller, alive until done(), which is called exactly once, possibly
 * from within loader_ask, and must not block. With r = 0 `roots` is a reference that belongs to
 * done(). `err` is never NULL. */
struct loader_ask {
	void (*done)(struct loader_ask *a, int r, struct roots *roots, const struct smr_error *err);
	struct loader_ask *next; /* the loader's own */
};

struct loader *loader_new(struct bucket *b); /* NULL: no memory */
void loader_free(struct loader *l);          /* NULL is fine */

/* A snapshot at most max_age_ns old. An unchanged file gives the same pointer. */
void loader_ask(struct loader *l, uint64_t max_age_ns, struct loader_ask *a);
/* The same, waiting. */
int loader_get(struct loader *l, uint64_t max_age_ns, struct roots **ret, struct smr_error *err);

#endif
