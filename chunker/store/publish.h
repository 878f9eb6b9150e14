/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What changes a store beside adding chunks: making it, publishing and removing recipes. Each holds
 * the store's lock from reading the roots to the last write, and writes in the order that leaves a
 * valid store wherever it is cut off: chunks, recipe, index.json.
 *
 * Any thread; all block.
 */
#ifndef STORE_PUBLISH_H
#define STORE_PUBLISH_H

#include "loader.h"

/* Makes smr-store.json with one active root, unless it is there by now. */
int publish_create(struct bucket *b, uint32_t chunk_size, struct smr_error *err);

/* store_put_recipe. `put_root`: the root that the chunks went to; -ESTALE when it is no longer the
 * active one. "": none went anywhere. Chunks that only a retired root has are copied into the
 * active one, since the retired one will go. */
int publish_recipe(struct bucket *b, struct loader *l, const char *put_root, const struct recipe *r,
	bool *ret_same, struct smr_error *err);
/* store_remove_recipe: from all live roots, lest an older one show through. */
int publish_remove(struct bucket *b, struct loader *l, const char *name, struct smr_error *err);

#endif
