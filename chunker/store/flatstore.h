/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flat store: a bucket as Go stream-my-root leaves it, recipes and objects side by side, no smr-store.json. Only read.
 *
 *     NAME.recipe, NAME.img.recipe    the image NAME (flat.h)
 *     ID.zst                          a chunk
 *
 * Any thread; all block.
 */
#ifndef STORE_FLATSTORE_H
#define STORE_FLATSTORE_H

#include "bucket.h"

/* Does a local bucket look like one? 1 or 0, or a negative errno. */
int flatstore_is_one(struct bucket *b, struct smr_error *err);
/* Appends the images of a local bucket, sorted; what does not convert is noted as damaged. */
int flatstore_list(struct bucket *b, struct store_list *l, struct smr_error *err);
/* -ENOENT; -EBADMSG: not a recipe, or one that says no size in an image without ext4. */
int flatstore_get_recipe(
	struct bucket *b, const char *name, struct recipe **ret, struct smr_error *err);

#endif
