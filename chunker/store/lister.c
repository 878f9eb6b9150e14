/* SPDX-License-Identifier: BSD-3-Clause */
#include "lister.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../core/cleanup.h"
#include "flatstore.h"
#include "listing.h"
#include "scan.h"

/* The coarsest time stamps that file systems have (FAT) are two seconds. */
#define LISTER_SETTLE_S 2

/* What is known of one root's index.json. */
struct known {
	char root[ROOTS_NAME_MAX + 1];
	char etag[BUCKET_ETAG_MAX];
	struct chunkid hash; /* of its bytes */
};

struct lister {
	struct bucket *bucket;
	struct loader *loader;
	pthread_mutex_t lock;
	/* below: lock held; what the last list was made of */
	struct chunkid tag;
	unsigned n_known;
	struct known known[ROOTS_MAX];
};

static void hasher_freep(struct chunkid_hasher **h)
{
	chunkid_hasher_free(*h);
}

struct lister *lister_new(struct bucket *b, struct loader *l)
{
	struct lister *ls = calloc(1, sizeof(*ls));

	if (!ls)
		return NULL;
	ls->bucket = b;
	ls->loader = l;
	pthread_mutex_init(&ls->lock, NULL);
	return ls;
}

void lister_free(struct lister *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- tags ---- */

static bool tag_is(const char *tag, const struct chunkid *hash)
{
	char hex[CHUNKID_HEX + 1];

	chunkid_format(hash, hex);
	return tag && strcmp(tag, hex) == 0;
}

static void set_tag(char *tag, const struct chunkid *hash)
{
	if (tag)
		chunkid_format(hash, tag);
}

/* The roots and one hash of each live one: all that a list depends on. */
static int combine(const struct roots *r, const struct chunkid *hashes, struct chunkid *ret)
{
	struct chunkid_hasher *h auto_with(hasher_freep) = chunkid_hasher_new();

	if (!h)
		return -ENOMEM;
	for (unsigned i = 0; i < r->n_live; i++) {
		chunkid_hasher_add(h, r->root[r->live[i]].name, sizeof(r->root[0].name));
		chunkid_hasher_add(h, hashes[i].b, CHUNKID_BYTES);
	}
	chunkid_hasher_finish(h, ret);
	return 0;
}

/* ---- a local bucket ---- */

/* A stamp of a local directory for tags: it changes when an entry is made, renamed or removed. *ret_settled: false while a
 * later change could still leave the same stamp, since file systems count time in ticks. */
static int stamp(struct bucket *b, const char *prefix, struct chunkid *ret, bool *ret_settled,
	struct smr_error *err)
{
	struct stat st = {0};
	int fd auto_close = -1;
	int r = b->ops->open(b, prefix, &fd, err);

	if (r < 0 && r != -ENOENT)
		return r;
	if (fd >= 0 && fstat(fd, &st) < 0)
		return error_set_errno(err, -errno, "%s/%s", b->url, prefix);
	uint64_t facts[] = {
		st.st_dev, st.st_ino, (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec};
	chunkid_hash(facts, sizeof(facts), ret);
	*ret_settled = st.st_mtim.tv_sec + LISTER_SETTLE_S < time(NULL);
	return 0;
}

static int list_local(struct lister *l, const struct roots *roots, char *tag,
	struct store_list *list, struct smr_error *err)
{
	struct chunkid stamps[ROOTS_MAX], now;
	char prefix[BUCKET_KEY_MAX];
	bool settled = true, one;
	int r;

	for (unsigned i = 0; i < roots->n_live; i++) {
		roots_recipes_prefix(roots, i, prefix);
		r = stamp(l->bucket, prefix, &stamps[i], &one, err);
		if (r < 0)
			return r;
		settled &= one;
	}
	r = combine(roots, stamps, &now);
	if (r < 0)
		return r;
	if (tag_is(tag, &now))
		return -EALREADY;
	for (unsigned i = 0; i < roots->n_live; i++) {
		struct store_list more auto_with(store_list_done) = {0};

		roots_recipes_prefix(roots, i, prefix);
		r = scan_recipes(l->bucket, prefix, &more, err);
		if (r == 0)
			r = listing_merge(list, &more);
		if (r < 0)
			return r;
	}
	if (tag)
		tag[0] = '\0';
	if (settled)
		set_tag(tag, &now);
	return 0;
}

/* The objects of a flat store lie beside its recipes: any change of the directory counts. */
static int list_flat(struct lister *l, char *tag, struct store_list *list, struct smr_error *err)
{
	struct chunkid now;
	bool settled;
	int r;

	if (!l->bucket->local)
		return error_set(err, -EOPNOTSUPP,
			"%s: no " ROOTS_KEY " there: not a store, or a flat one, whose images can "
			"be used by name but not listed",
			l->bucket->url);
	r = stamp(l->bucket, ".", &now, &settled, err);
	if (r < 0)
		return r;
	if (tag_is(tag, &now))
		return -EALREADY;
	r = flatstore_list(l->bucket, list, err);
	if (r == 0 && tag)
		tag[0] = '\0';
	if (r == 0 && settled)
		set_tag(tag, &now);
	return r;
}

/* ---- a remote one ---- */

struct index_read {
	struct buf body;
	struct known known;
	bool unchanged; /* body was not sent */
};

static int read_index(struct lister *l, const struct roots *roots, unsigned i,
	struct index_read *ix, struct smr_error *err)
{
	char key[BUCKET_KEY_MAX];
	int r;

	roots_index_key(roots, i, key);
	buf_done(&ix->body);
	buf_init(&ix->body, LISTING_FILE_MAX);
	r = bucket_read(l->bucket, key, ix->known.etag, &ix->body, err);
	ix->unchanged = r == -EALREADY;
	if (r == 0)
		chunkid_hash(ix->body.data, ix->body.len, &ix->known.hash);
	return ix->unchanged ? 0 : r;
}

/* What the caller's tag stands for, if that is what we remember. */
static void recall(
	struct lister *l, const char *tag, const struct roots *roots, struct index_read *ix)
{
	locked(&l->lock);
	for (unsigned i = 0; i < roots->n_live; i++) {
		const char *name = roots->root[roots->live[i]].name;

		strcpy(ix[i].known.root, name);
		if (!tag_is(tag, &l->tag))
			continue;
		for (unsigned k = 0; k < l->n_known; k++) {
			if (strcmp(l->known[k].root, name) == 0)
				ix[i].known = l->known[k];
		}
	}
}

static void remember(
	struct lister *l, const struct chunkid *tag, const struct index_read *ix, unsigned n)
{
	locked(&l->lock);
	l->tag = *tag;
	l->n_known = n;
	for (unsigned i = 0; i < n; i++)
		l->known[i] = ix[i].known;
}

static int merge_index(struct lister *l, const struct roots *roots, unsigned i,
	struct index_read *ix, struct store_list *list, struct smr_error *err)
{
	struct store_list more auto_with(store_list_done) = {0};
	int r = 0;

	if (ix->unchanged) {
		ix->known.etag[0] = '\0';
		r = read_index(l, roots, i, ix, err);
	}
	if (r < 0)
		return r;
	r = listing_parse(ix->body.data, ix->body.len, &more, err);
	if (r < 0)
		return error_wrap(
			err, r, "%s/roots/%s/recipes/index.json", l->bucket->url, ix->known.root);
	return listing_merge(list, &more);
}

static int list_indexes(struct lister *l, const struct roots *roots, struct index_read *ix,
	char *tag, struct store_list *list, struct smr_error *err)
{
	struct chunkid hashes[ROOTS_MAX], now;
	int r;

	recall(l, tag, roots, ix);
	for (unsigned i = 0; i < roots->n_live; i++) {
		r = read_index(l, roots, i, &ix[i], err);
		if (r < 0)
			return r;
		hashes[i] = ix[i].known.hash;
	}
	r = combine(roots, hashes, &now);
	if (r < 0)
		return r;
	if (tag_is(tag, &now)) {
		remember(l, &now, ix, roots->n_live); /* the ETags may be new */
		return -EALREADY;
	}
	for (unsigned i = 0; i < roots->n_live; i++) {
		r = merge_index(l, roots, i, &ix[i], list, err);
		if (r < 0)
			return r;
		hashes[i] = ix[i].known.hash;
	}
	r = combine(roots, hashes, &now);
	if (r < 0)
		return r;
	remember(l, &now, ix, roots->n_live);
	set_tag(tag, &now);
	return 0;
}

static int list_remote(struct lister *l, const struct roots *roots, char *tag,
	struct store_list *list, struct smr_error *err)
{
	struct index_read *ix = calloc(roots->n_live, sizeof(*ix));
	int r;

	if (!ix)
		return -ENOMEM;
	r = list_indexes(l, roots, ix, tag, list, err);
	for (unsigned i = 0; i < roots->n_live; i++)
		buf_done(&ix[i].body);
	free(ix);
	return r;
}

int lister_list(struct lister *l, char *tag, struct store_list *ret, struct smr_error *err)
{
	struct store_list list auto_with(store_list_done) = {0};
	struct roots *roots auto_with(roots_unrefp) = NULL;
	int r = loader_get(l->loader, LOADER_NOW, &roots, err);

	if (r < 0)
		return r;
	if (roots->flat)
		r = list_flat(l, tag, &list, err);
	else if (l->bucket->local)
		r = list_local(l, roots, tag, &list, err);
	else
		r = list_remote(l, roots, tag, &list, err);
	if (r < 0)
		return r;
	*ret = list;
	list = (struct store_list){0};
	return 0;
}
