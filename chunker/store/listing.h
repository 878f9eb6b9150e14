/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of images, and index.json, the form in which they lie beside the recipes for clients that
 * cannot list a directory:
 *
 *     {"version": 1, "images": [
 *       {"name": NAME, "digest": "sha256:HEX", "recipe_size": BYTES, "image_size": BYTES,
 * "data_size": BYTES, "chunk_size": BYTES, "chunks": N, "created": SECONDS, "source": TEXT}, ...]}
 *
 * A hint: the recipes are what counts. Its readers bound it and believe no field that could not be
 * true. Plain values; not thread-safe. Lists are released by store_list_done.
 */
#ifndef STORE_LISTING_H
#define STORE_LISTING_H

#include "store.h"

#define LISTING_FILE_MAX (64u << 20) /* bytes */

/* -EBADMSG: not a valid index; -ENOTSUP: a newer version; -ENOMEM. Sorted by name. */
int listing_parse(const void *json, size_t n, struct store_list *ret, struct smr_error *err);
/* Appends index.json. The same list gives the same bytes. -ENOMEM, -EFBIG. */
int listing_format(const struct store_list *l, struct buf *out);

/* -ENOMEM. */
int listing_add(struct store_list *l, const struct store_image *img);
/* Notes a name as damaged. -ENOMEM. */
int listing_add_damaged(struct store_list *l, const char *name);
void listing_sort(struct store_list *l);
/* Adds to `l` the images of `more` whose names are not in `l`, and its damaged ones; both sorted, `l` is again
 * afterwards. -ENOMEM. */
int listing_merge(struct store_list *l, const struct store_list *more);
/* Copies a reference for display: cut to fit between two characters, what a terminal would act on
 * made '?'. */
void listing_set_source(struct store_image *img, const char *source, size_t n);

#endif
