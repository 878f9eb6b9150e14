/* SPDX-License-Identifier: BSD-3-Clause */
#include "refs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/idmap.h"
#include "cmd.h"

struct refs {
	struct idmap *map; /* id -> owner */
};

struct refs *refs_new(void)
{
	struct refs *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->map = idmap_new();
	if (!r->map) {
		free(r);
		return NULL;
	}
	return r;
}

void refs_free(struct refs *r)
{
	if (!r)
		return;
	idmap_free(r->map);
	free(r);
}

int refs_add(struct refs *r, const struct recipe *recipe, uint64_t owner)
{
	uint64_t n = recipe_info(recipe)->n_chunks;
	for (uint64_t i = 0; i < n; i++) {
		struct recipe_entry e = recipe_entry(recipe, i);
		uint64_t seen;
		if (idmap_get(r->map, &e.id, &seen) && seen == owner)
			continue;
		int k = idmap_put(r->map, &e.id, owner);
		if (k == 0) /* it was there: another image's */
			k = idmap_put(r->map, &e.id, REFS_SHARED);
		if (k < 0)
			return k;
	}
	return 0;
}

int refs_add_list(
	struct refs *r, struct store *s, const struct store_list *l, struct smr_error *err)
{
	for (size_t i = 0; i < l->n; i++) {
		struct recipe *recipe = NULL;
		struct smr_error why = {0};
		int k = store_get_recipe(s, l->images[i].name, &recipe, &why);
		if (k == -ENOENT || cmd_recipe_is_bad(k))
			continue;
		if (k == 0)
			k = refs_add(r, recipe, i);
		recipe_free(recipe);
		if (k < 0)
			return error_set(err, k, "%s", error_text(&why, k));
	}
	return 0;
}

bool refs_owner(const struct refs *r, const struct chunkid *id, uint64_t *ret)
{
	return idmap_get(r->map, id, ret);
}

int refs_own(const struct refs *r, struct store *s, struct refs_own *ret, uint64_t n,
	struct smr_error *err)
{
	size_t cursor = 0;
	struct chunkid id;
	uint64_t owner;

	memset(ret, 0, n * sizeof(*ret));
	while (idmap_next(r->map, &cursor, &id, &owner)) {
		if (owner >= n) /* REFS_SHARED */
			continue;
		uint64_t wire_len = 0;
		int k = store_has(s, &id, &wire_len, err);
		if (k < 0 && k != -ENOENT)
			return k;
		ret[owner].chunks++;
		ret[owner].bytes += wire_len;
	}
	return 0;
}
