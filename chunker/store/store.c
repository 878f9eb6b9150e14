/* SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dir.h"
#include "gate.h"
#include "http.h"
#include "treestore.h"

/* ---- opening ---- */

static int open_dir(const char *url, const char *path, const struct store_options *opts,
	struct store **ret, struct smr_error *err)
{
	struct bucket *b;
	int r = dir_open(path, opts->create, &b, err);

	if (r == 0) {
		r = treestore_prepare(b, opts, err);
		if (r < 0)
			b->ops->free(b);
	}
	if (r == -ENOENT)
		return error_set(err, r, "%s is not a store; `smr -s %s chunk FILE.img` makes one",
			url, url);
	return r < 0 ? r : treestore_new(b, url, ret);
}

static int open_http(const char *url, const struct store_options *opts, struct store **ret,
	struct smr_error *err)
{
	struct bucket *b;
	int r = http_open(url, opts, &b, err);

	return r < 0 ? r : treestore_new(b, b->url, ret);
}

/* The scheme of "SCHEME:REST" or "SCHEME://REST", else 0: paths may contain colons too, but seldom
 * before a slash. */
static size_t scheme_len(const char *url)
{
	size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return n && strncmp(url + n, "://", 3) == 0 ? n : 0;
}

int store_open(const char *url, const struct store_options *opts, struct store **ret,
	struct smr_error *err)
{
	static const struct store_options defaults;

	if (!opts)
		opts = &defaults;
	if (strncmp(url, "dir:", 4) == 0 && url[4])
		return open_dir(url, url + 4, opts, ret, err);
	if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0)
		return open_http(url, opts, ret, err);
	if (scheme_len(url))
		return error_set(err, -EINVAL,
			"%.*s: no such kind of store; it is a path, dir:PATH, http://... or "
			"https://...",
			(int)scheme_len(url), url);
	if (!*url || strcmp(url, "dir:") == 0)
		return error_set(err, -EINVAL, "\"%s\" names no store", url);
	return open_dir(url, url, opts, ret, err);
}

void store_stop(struct store *s)
{
	if (s->ops->stop)
		s->ops->stop(s);
}

void store_free(struct store *s)
{
	if (!s)
		return;
	store_stop(s);
	s->ops->free(s);
}

const char *store_url(const struct store *s)
{
	return s->url;
}

bool store_is_local(const struct store *s)
{
	return s->local;
}

bool store_error_is_transient(int code)
{
	switch (code) {
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EIO:
		return true;
	default:
		return false;
	}
}

/* ---- dispatch ---- */

static int cannot(const struct store *s, struct smr_error *err)
{
	return error_set(err, -EOPNOTSUPP, "%s: this kind of store cannot do that", s->url);
}

static int read_only(const struct store *s, struct smr_error *err)
{
	return error_set(err, -EROFS, "%s: this kind of store is read-only", s->url);
}

int store_chunk_size(struct store *s, uint32_t *ret, struct smr_error *err)
{
	return s->ops->chunk_size ? s->ops->chunk_size(s, ret, err) : cannot(s, err);
}

int store_list(struct store *s, char list_tag[128], struct store_list *ret, struct smr_error *err)
{
	return s->ops->list ? s->ops->list(s, list_tag, ret, err) : cannot(s, err);
}

void store_list_done(struct store_list *l)
{
	free(l->images);
	free(l->damaged);
	*l = (struct store_list){0};
}

int store_get_recipe(struct store *s, const char *name, struct recipe **ret, struct smr_error *err)
{
	return s->ops->get_recipe ? s->ops->get_recipe(s, name, ret, err) : cannot(s, err);
}

int store_put_recipe(struct store *s, const struct recipe *r, bool *ret_same, struct smr_error *err)
{
	return s->ops->put_recipe ? s->ops->put_recipe(s, r, ret_same, err) : read_only(s, err);
}

int store_remove_recipe(struct store *s, const char *name, struct smr_error *err)
{
	return s->ops->remove_recipe ? s->ops->remove_recipe(s, name, err) : read_only(s, err);
}

int store_put(struct store *s, const struct chunkid *id, const void *wire, size_t n,
	struct smr_error *err)
{
	return s->ops->put ? s->ops->put(s, id, wire, n, err) : read_only(s, err);
}

int store_has(
	struct store *s, const struct chunkid *id, uint64_t *ret_wire_len, struct smr_error *err)
{
	return s->ops->has ? s->ops->has(s, id, ret_wire_len, err) : cannot(s, err);
}

int store_flush(struct store *s, struct smr_error *err)
{
	return s->ops->flush ? s->ops->flush(s, err) : 0;
}

int store_each(struct store *s,
	int (*visit)(void *user, const struct chunkid *id, uint64_t wire_len), void *user,
	struct smr_error *err)
{
	return s->ops->each ? s->ops->each(s, visit, user, err) : cannot(s, err);
}

/* ---- gets ---- */

void store_get(struct store *s, struct store_get *g)
{
	s->ops->get(s, g);
}

struct waiting {
	struct store_get get;
	struct gate gate;
	struct buf *body;
	struct smr_error *err;
	int result;
};

static void waiting_done(struct store_get *g, int r, struct buf *body, const struct smr_error *err)
{
	struct waiting *w = (struct waiting *)g;

	w->result = r;
	if (r == 0)
		buf_move(w->body, body);
	else if (w->err)
		*w->err = *err;
	gate_open(&w->gate);
}

int store_get_wait(
	struct store *s, const struct chunkid *id, struct buf *body, struct smr_error *err)
{
	struct waiting w = {
		.get = {.id = *id, .max_bytes = body->max, .done = waiting_done},
		.body = body,
		.err = err,
	};

	gate_init(&w.gate);
	store_get(s, &w.get);
	gate_wait(&w.gate);
	return w.result;
}
