/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recipes that were opened, kept by digest in CACHE/recipes/<digest>.recipe (0400 under 0700), so
 * that a mounted image does not need its store to be opened again. A recipe proves itself by its
 * digest; one that does not is removed. Those not used for a month are swept when the cache is
 * opened. Any thread.
 */
#ifndef CACHED_RECIPE_CACHE_H
#define CACHED_RECIPE_CACHE_H

#include "../chunker/core/recipe.h"

struct recipe_cache;

int recipe_cache_open(int cache_fd, struct recipe_cache **ret, struct smr_error *err);
void recipe_cache_close(struct recipe_cache *c); /* NULL is fine */
/* -ENOENT, also after a damaged one was removed; others, such as -EMFILE: it cannot be read now. */
int recipe_cache_get(
	const struct recipe_cache *c, const struct chunkid *digest, struct recipe **ret);
/* Best effort: a full disk costs the copy, not the recipe. */
int recipe_cache_put(const struct recipe_cache *c, const struct recipe *r);

#endif
