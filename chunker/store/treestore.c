/* SPDX-License-Identifier: BSD-3-Clause */
#include "treestore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/clock.h"
#include "fetch.h"
#include "flatstore.h"
#include "lister.h"
#include "publish.h"

struct tree {
	struct store store;
	struct bucket *bucket;
	struct loader *loader;
	struct lister *lister;
	pthread_mutex_t lock;
	char put_root[ROOTS_NAME_MAX + 1]; /* lock held; "" until the first put */
};

static struct tree *of(struct store *s)
{
	return (struct tree *)s;
}

/* ---- reading ---- */

static int tree_list(struct store *s, char *tag, struct store_list *ret, struct smr_error *err)
{
	return lister_list(of(s)->lister, tag, ret, err);
}

static int read_recipe(struct tree *t, const struct roots *roots, unsigned i, const char *name,
	struct recipe **ret, struct smr_error *err)
{
	struct recipe *recipe;
	struct buf body auto_with(buf_done);
	char key[BUCKET_KEY_MAX];
	int r;

	buf_init(&body, RECIPE_FILE_MAX);
	roots_recipe_key(roots, i, name, key);
	r = bucket_read(t->bucket, key, NULL, &body, err);
	if (r < 0)
		return r;
	r = recipe_from_bytes(body.data, body.len, &recipe, err);
	if (r < 0)
		return error_wrap(err, r, "%s/%s", t->bucket->url, key);
	if (strcmp(recipe_info(recipe)->name, name) != 0) {
		r = error_set(err, -EBADMSG, "%s/%s is the recipe of %s", t->bucket->url, key,
			recipe_info(recipe)->name);
		recipe_free(recipe);
		return r;
	}
	*ret = recipe;
	return 0;
}

static int find_recipe(struct tree *t, const struct roots *roots, const char *name,
	struct recipe **ret, struct smr_error *err)
{
	int r = -ENOENT;

	if (roots->flat)
		return flatstore_get_recipe(t->bucket, name, ret, err);
	for (unsigned i = 0; i < roots->n_live && r == -ENOENT; i++)
		r = read_recipe(t, roots, i, name, ret, err);
	return r;
}

static int tree_get_recipe(
	struct store *s, const char *name, struct recipe **ret, struct smr_error *err)
{
	struct tree *t = of(s);
	struct roots *roots auto_with(roots_unrefp) = NULL;
	struct roots *later auto_with(roots_unrefp) = NULL;
	int r;

	if (!name_valid(name))
		return error_set(err, -EINVAL, "\"%s\" is not an image name", name);
	r = loader_get(t->loader, LOADER_ANY, &roots, err);
	if (r < 0)
		return r;
	r = find_recipe(t, roots, name, ret, err);
	if (r != -ENOENT)
		return r;
	/* A generation may have moved on since the roots were read. */
	r = loader_get(t->loader, CLOCK_NS_PER_S, &later, err);
	if (r < 0)
		return r;
	r = later == roots ? -ENOENT : find_recipe(t, later, name, ret, err);
	return r == -ENOENT ? error_set(err, r, "%s: no image %s", s->url, name) : r;
}

static void tree_get(struct store *s, struct store_get *g)
{
	fetch_start(of(s)->bucket, of(s)->loader, g);
}

static int tree_has(struct store *s, const struct chunkid *id, uint64_t *ret, struct smr_error *err)
{
	struct tree *t = of(s);
	struct roots *roots auto_with(roots_unrefp) = NULL;
	char key[BUCKET_KEY_MAX];
	int r = loader_get(t->loader, LOADER_ANY, &roots, err);

	if (r < 0)
		return r;
	r = -ENOENT;
	for (unsigned i = 0; i < roots->n_live && r == -ENOENT; i++) {
		roots_chunk_key(roots, i, id, key);
		r = t->bucket->ops->head(t->bucket, key, ret, err);
	}
	return r;
}

static int tree_chunk_size(struct store *s, uint32_t *ret, struct smr_error *err)
{
	struct roots *roots auto_with(roots_unrefp) = NULL;
	int r = loader_get(of(s)->loader, LOADER_ANY, &roots, err);

	if (r == 0)
		*ret = roots->chunk_size;
	return r;
}

/* ---- every object ---- */

struct visiting {
	int (*visit)(void *user, const struct chunkid *id, uint64_t wire_len);
	void *user;
	bool flat;
};

/* "ab/ID.zst", in flat stores "ID.zst"; all else in a directory is nobody's chunk. */
static int visit_item(void *user, const struct bucket_item *item)
{
	struct visiting *v = user;
	const char *slash = strchr(item->key, '/');
	const char *name = slash ? slash + 1 : item->key;
	struct chunkid id;

	if (strlen(name) != CHUNKID_HEX + 4 || strcmp(name + CHUNKID_HEX, ".zst") != 0 ||
		chunkid_parse(name, &id) < 0)
		return 0;
	if (v->flat ? slash != NULL
		    : !slash || slash != item->key + 2 || memcmp(item->key, name, 2) != 0)
		return 0;
	return v->visit(v->user, &id, item->size);
}

static int tree_each(struct store *s,
	int (*visit)(void *user, const struct chunkid *id, uint64_t wire_len), void *user,
	struct smr_error *err)
{
	struct tree *t = of(s);
	struct visiting v = {visit, user, false};
	struct roots *roots auto_with(roots_unrefp) = NULL;
	char prefix[BUCKET_KEY_MAX] = "";
	int r;

	if (!t->bucket->ops->list)
		return error_set(err, -EOPNOTSUPP, "%s: its objects cannot be listed", s->url);
	r = loader_get(t->loader, LOADER_ANY, &roots, err);
	for (unsigned i = 0; r == 0 && i < roots->n_live; i++) {
		v.flat = roots->flat;
		if (!roots->flat)
			roots_chunks_prefix(roots, i, prefix);
		r = t->bucket->ops->list(t->bucket, prefix, visit_item, &v, err);
	}
	return r;
}

/* ---- writing ---- */

static int check_writable(struct tree *t, struct roots **ret, struct smr_error *err)
{
	int r;

	if (!t->bucket->ops->put)
		return error_set(err, -EROFS, "%s: this kind of store is read-only", t->store.url);
	r = loader_get(t->loader, LOADER_ANY, ret, err);
	if (r == 0 && (*ret)->flat)
		r = error_set(
			err, -EROFS, "%s: a flat directory of chunks is only read", t->store.url);
	return r;
}

/* All puts of a handle go to one root; put_recipe sees whether it is still the active one. */
static int tree_put(struct store *s, const struct chunkid *id, const void *wire, size_t n,
	struct smr_error *err)
{
	struct tree *t = of(s);
	struct roots *roots auto_with(roots_unrefp) = NULL;
	char key[BUCKET_KEY_MAX];
	int r = check_writable(t, &roots, err);

	if (r < 0)
		return r;
	roots_chunk_key(roots, 0, id, key);
	pthread_mutex_lock(&t->lock);
	if (!t->put_root[0])
		strcpy(t->put_root, roots_active(roots));
	pthread_mutex_unlock(&t->lock);
	return t->bucket->ops->queue(t->bucket, key, wire, n, err);
}

static int tree_put_recipe(
	struct store *s, const struct recipe *recipe, bool *ret_same, struct smr_error *err)
{
	struct tree *t = of(s);
	struct roots *roots auto_with(roots_unrefp) = NULL;
	char put_root[ROOTS_NAME_MAX + 1];
	int r = check_writable(t, &roots, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&t->lock);
	strcpy(put_root, t->put_root);
	pthread_mutex_unlock(&t->lock);
	r = publish_recipe(t->bucket, t->loader, put_root, recipe, ret_same, err);
	if (r == -ESTALE) {
		pthread_mutex_lock(&t->lock);
		t->put_root[0] = '\0';
		pthread_mutex_unlock(&t->lock);
	}
	return r;
}

static int tree_remove_recipe(struct store *s, const char *name, struct smr_error *err)
{
	struct tree *t = of(s);
	struct roots *roots auto_with(roots_unrefp) = NULL;
	int r = check_writable(t, &roots, err);

	if (r == 0 && !name_valid(name))
		r = error_set(err, -EINVAL, "\"%s\" is not an image name", name);
	return r < 0 ? r : publish_remove(t->bucket, t->loader, name, err);
}

static int tree_flush(struct store *s, struct smr_error *err)
{
	struct bucket *b = of(s)->bucket;

	return b->ops->flush ? b->ops->flush(b, err) : 0;
}

/* ---- life ---- */

static void tree_stop(struct store *s)
{
	struct bucket *b = of(s)->bucket;

	if (b->ops->stop)
		b->ops->stop(b);
}

static void tree_free(struct store *s)
{
	struct tree *t = of(s);

	/* The bucket first: it ends the gets that use the loader. */
	t->bucket->ops->free(t->bucket);
	lister_free(t->lister);
	loader_free(t->loader);
	pthread_mutex_destroy(&t->lock);
	free(t->store.url);
	free(t);
}

static const struct store_ops tree_ops = {
	.list = tree_list,
	.get_recipe = tree_get_recipe,
	.put_recipe = tree_put_recipe,
	.remove_recipe = tree_remove_recipe,
	.get = tree_get,
	.put = tree_put,
	.has = tree_has,
	.flush = tree_flush,
	.each = tree_each,
	.chunk_size = tree_chunk_size,
	.stop = tree_stop,
	.free = tree_free,
};

int treestore_new(struct bucket *b, const char *url, struct store **ret)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t) {
		b->ops->free(b);
		return -ENOMEM;
	}
	t->bucket = b;
	t->store = (struct store){&tree_ops, strdup(url), b->local};
	pthread_mutex_init(&t->lock, NULL);
	t->loader = loader_new(b);
	t->lister = t->loader ? lister_new(b, t->loader) : NULL;
	if (!t->store.url || !t->lister) {
		tree_free(&t->store);
		return -ENOMEM;
	}
	*ret = &t->store;
	return 0;
}

int treestore_prepare(struct bucket *b, const struct store_options *opts, struct smr_error *err)
{
	struct roots *roots = NULL;
	struct loader *l;
	uint64_t size;
	int r = b->ops->head(b, ROOTS_KEY, &size, err);

	if (r == -ENOENT) {
		/* Not made into a store of ours: its images would be gone from sight. */
		int flat = flatstore_is_one(b, err);

		if (flat != 0)
			return flat < 0 ? flat : 0;
		r = opts->create ? publish_create(b, opts->chunk_size, err) : -ENOENT;
	}
	if (r < 0)
		return r;
	l = loader_new(b);
	r = l ? loader_get(l, LOADER_NOW, &roots, err) : -ENOMEM;
	roots_unref(roots);
	loader_free(l);
	return r;
}
