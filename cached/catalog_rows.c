/* SPDX-License-Identifier: BSD-3-Clause */
#include "catalog_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void catalog_rows_done(struct catalog_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		image_unref(rows->row[i].image);
	free(rows->row);
	*rows = (struct catalog_rows){0};
}

/* The first row whose name is not before `name`. */
static size_t lower_bound(const struct catalog_rows *rows, const char *name)
{
	size_t low = 0, high = rows->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (strcmp(rows->row[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct catalog_row *catalog_rows_find(const struct catalog_rows *rows, const char *name)
{
	size_t i = lower_bound(rows, name);

	return i < rows->n && strcmp(rows->row[i].name, name) == 0 ? &rows->row[i] : NULL;
}

static bool is_same(const struct catalog_row *row, const struct store_image *info)
{
	static const struct chunkid unknown;

	if (!chunkid_equal(&row->digest, &info->digest))
		return false;
	return !chunkid_equal(&info->digest, &unknown) ||
	       (row->recipe_size == info->recipe_size && row->created == info->created);
}

static void set_row(struct catalog_row *row, const struct store_image *info, struct image *image)
{
	*row = (struct catalog_row){.digest = info->digest,
		.recipe_size = info->recipe_size,
		.created = info->created,
		.image = image};
	memcpy(row->name, info->name, sizeof(row->name));
}

int catalog_rows_merge(const struct catalog_rows *old, const struct store_list *list,
	struct image_set *set, struct cache_store *store, struct catalog_rows *ret)
{
	struct catalog_rows rows = {.row = calloc(list->n ? list->n : 1, sizeof(*rows.row))};

	if (!rows.row)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++) {
		const struct store_image *info = &list->images[i];
		const struct catalog_row *row = catalog_rows_find(old, info->name);
		struct image *image;

		if (row && is_same(row, info)) {
			image = image_ref(row->image);
		} else if (image_new(set, store, info, &image) < 0) {
			catalog_rows_done(&rows);
			return -ENOMEM;
		}
		set_row(&rows.row[rows.n++], info, image);
	}
	*ret = rows;
	return 0;
}

int catalog_rows_put(struct catalog_rows *rows, const struct store_image *info, struct image *image,
	struct image **ret_old)
{
	struct catalog_row *row = catalog_rows_find(rows, info->name);
	size_t at = lower_bound(rows, info->name);

	if (row) {
		*ret_old = row->image;
		set_row(row, info, image);
		return 0;
	}
	row = reallocarray(rows->row, rows->n + 1, sizeof(*row));
	if (!row)
		return -ENOMEM;
	rows->row = row;
	memmove(&row[at + 1], &row[at], (rows->n - at) * sizeof(*row));
	rows->n++;
	set_row(&row[at], info, image);
	*ret_old = NULL;
	return 0;
}

struct image *catalog_rows_remove(struct catalog_rows *rows, struct catalog_row *row)
{
	struct image *image = row->image;
	size_t at = (size_t)(row - rows->row);

	rows->n--;
	memmove(row, row + 1, (rows->n - at) * sizeof(*row));
	return image;
}

void catalog_rows_compare(const struct catalog_rows *old, const struct catalog_rows *new,
	void (*fn)(void *user, const char *name), void *user)
{
	size_t i = 0, j = 0;

	while (i < old->n || j < new->n) {
		int order = i == old->n   ? 1
			    : j == new->n ? -1
					  : strcmp(old->row[i].name, new->row[j].name);
		if (order != 0 || old->row[i].image != new->row[j].image)
			fn(user, order <= 0 ? old->row[i].name : new->row[j].name);
		i += order <= 0;
		j += order >= 0;
	}
}
