/* SPDX-License-Identifier: BSD-3-Clause */
#include "publish.h"

#include <errno.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/codec.h"
#include "listing.h"
#include "scan.h"

#define FIRST_ROOT "r1"

/* Brings index.json of live root `i` in line with the recipes there. */
static int update_index(
	struct bucket *b, const struct roots *roots, unsigned i, struct smr_error *err)
{
	struct store_list list auto_with(store_list_done) = {0};
	struct buf now auto_with(buf_done), then auto_with(buf_done);
	char key[BUCKET_KEY_MAX];
	int r;

	buf_init(&now, LISTING_FILE_MAX);
	buf_init(&then, LISTING_FILE_MAX);
	roots_recipes_prefix(roots, i, key);
	r = scan_recipes(b, key, &list, err);
	if (r < 0)
		return r;
	roots_index_key(roots, i, key);
	r = listing_format(&list, &now);
	if (r < 0)
		return error_set_errno(err, r, "%s/%s", b->url, key);
	r = bucket_read(b, key, NULL, &then, NULL);
	if (r == 0 && then.len == now.len && memcmp(then.data, now.data, now.len) == 0)
		return 0;
	return b->ops->put(b, key, now.data, now.len, err);
}

int publish_create(struct bucket *b, uint32_t chunk_size, struct smr_error *err)
{
	struct roots *roots auto_with(roots_unrefp) = NULL;
	struct buf text auto_with(buf_done);
	uint64_t size;
	int lock auto_close = -1;
	int r = b->ops->lock(b, &lock, err);

	if (r < 0)
		return r;
	buf_init(&text, ROOTS_FILE_MAX);
	r = b->ops->head(b, ROOTS_KEY, &size, err);
	if (r != -ENOENT)
		return r;
	r = roots_new(chunk_size ? chunk_size : CODEC_CHUNK_DEFAULT, FIRST_ROOT, &roots);
	if (r == -EINVAL)
		return error_set(err, r,
			"a chunk size of %u is not a power of two from 64 KiB to 4 MiB",
			chunk_size);
	if (r == 0)
		r = update_index(b, roots, 0, err);
	if (r == 0)
		r = roots_format(roots, &text);
	return r < 0 ? r : b->ops->put(b, ROOTS_KEY, text.data, text.len, err);
}

/* ---- recipes ---- */

/* Finds a chunk in a retired root and queues it for the active one. */
static int copy_forward(struct bucket *b, const struct roots *roots, const struct chunkid *id,
	uint32_t chunk_size, struct smr_error *err)
{
	struct buf body auto_with(buf_done);
	char key[BUCKET_KEY_MAX];
	int r = -ENOENT;

	buf_init(&body, codec_wire_max(chunk_size));
	for (unsigned i = 1; i < roots->n_live && r == -ENOENT; i++) {
		roots_chunk_key(roots, i, id, key);
		r = bucket_read(b, key, NULL, &body, err);
	}
	if (r < 0) {
		char hex[16];

		chunkid_format_short(id, hex);
		return r == -ENOENT
			       ? error_set(err, r, "%s: chunk %s was not published", b->url, hex)
			       : r;
	}
	roots_chunk_key(roots, 0, id, key);
	return b->ops->queue(b, key, body.data, body.len, err);
}

static int copy_all_forward(struct bucket *b, const struct roots *roots,
	const struct recipe *recipe, struct smr_error *err)
{
	const struct recipe_info *info = recipe_info(recipe);
	char key[BUCKET_KEY_MAX];
	uint64_t size;
	int r;

	for (uint64_t i = 0; i < info->n_chunks; i++) {
		struct recipe_entry e = recipe_entry(recipe, i);

		roots_chunk_key(roots, 0, &e.id, key);
		r = b->ops->head(b, key, &size, err);
		if (r == -ENOENT)
			r = copy_forward(b, roots, &e.id, info->chunk_size, err);
		if (r < 0)
			return r;
	}
	return b->ops->flush(b, err);
}

static bool is_there(struct bucket *b, const char *key, const void *bytes, size_t n)
{
	struct buf body auto_with(buf_done);

	buf_init(&body, n);
	return bucket_read(b, key, NULL, &body, NULL) == 0 && body.len == n &&
	       memcmp(body.data, bytes, n) == 0;
}

int publish_recipe(struct bucket *b, struct loader *l, const char *put_root, const struct recipe *r,
	bool *ret_same, struct smr_error *err)
{
	struct roots *roots auto_with(roots_unrefp) = NULL;
	char key[BUCKET_KEY_MAX];
	size_t n;
	const void *bytes = recipe_bytes(r, &n);
	int lock auto_close = -1;
	int rc = b->ops->flush(b, err);

	if (rc == 0)
		rc = b->ops->lock(b, &lock, err);
	if (rc == 0)
		rc = loader_get(l, LOADER_NOW, &roots, err);
	if (rc < 0)
		return rc;
	if (*put_root && strcmp(roots_active(roots), put_root) != 0)
		return error_set(err, -ESTALE,
			"%s: root %s was replaced by %s meanwhile; run it again", b->url, put_root,
			roots_active(roots));
	if (roots->n_live > 1)
		rc = copy_all_forward(b, roots, r, err);
	if (rc < 0)
		return rc;
	roots_recipe_key(roots, 0, recipe_info(r)->name, key);
	bool same = is_there(b, key, bytes, n);
	if (!same)
		rc = b->ops->put(b, key, bytes, n, err);
	if (rc == 0)
		rc = update_index(b, roots, 0, err);
	if (rc == 0 && ret_same)
		*ret_same = same;
	return rc;
}

int publish_remove(struct bucket *b, struct loader *l, const char *name, struct smr_error *err)
{
	struct roots *roots auto_with(roots_unrefp) = NULL;
	char key[BUCKET_KEY_MAX];
	bool found = false;
	int lock auto_close = -1;
	int r = b->ops->lock(b, &lock, err);

	if (r == 0)
		r = loader_get(l, LOADER_NOW, &roots, err);
	if (r < 0)
		return r;
	/* Oldest first: cut off in between, the newest is still what the name means. */
	for (unsigned i = roots->n_live; i-- > 0;) {
		roots_recipe_key(roots, i, name, key);
		r = b->ops->remove(b, key, err);
		found |= r == 0;
		if (r == 0 || r == -ENOENT)
			r = update_index(b, roots, i, err);
		if (r < 0)
			return r;
	}
	return found ? 0 : error_set(err, -ENOENT, "%s: no image %s", b->url, name);
}
