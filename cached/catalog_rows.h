/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The catalog's table: names and the images that they lead to now, sorted by name. It holds a
 * reference to each image. Not thread-safe; the catalog's lock is held for every call, and as the
 * last reference frees an image, what is replaced or removed is handed to the caller.
 */
#ifndef CACHED_CATALOG_ROWS_H
#define CACHED_CATALOG_ROWS_H

#include "image.h"

struct catalog_row {
	char name[NAME_LEN_MAX + 1];
	/* What tells that a listing still means the same recipe. */
	struct chunkid digest; /* zeros: the listing does not say */
	uint64_t recipe_size;
	int64_t created;
	struct image *image;
	/* of a store that cannot list */
	uint64_t asked_ns; /* when the store was asked for it last */
	bool wanted;       /* it shall be again */
};

struct catalog_rows {
	struct catalog_row *row;
	size_t n;
};

/* Drops the references. */
void catalog_rows_done(struct catalog_rows *rows);
/* NULL: not there. Valid until the table changes. */
struct catalog_row *catalog_rows_find(const struct catalog_rows *rows, const char *name);
/* The table of a listing, in which what is as it was in `old` keeps its image. -ENOMEM. */
int catalog_rows_merge(const struct catalog_rows *old, const struct store_list *list,
	struct image_set *set, struct cache_store *store, struct catalog_rows *ret);
/* Sets or replaces one row, taking the reference to `image`; *ret_old is the image it had, or NULL.
 * -ENOMEM. */
int catalog_rows_put(struct catalog_rows *rows, const struct store_image *info, struct image *image,
	struct image **ret_old);
/* Returns the row's image. */
struct image *catalog_rows_remove(struct catalog_rows *rows, struct catalog_row *row);
/* Calls fn for every name whose image is not the same in both. */
void catalog_rows_compare(const struct catalog_rows *old, const struct catalog_rows *new,
	void (*fn)(void *user, const char *name), void *user);

#endif
