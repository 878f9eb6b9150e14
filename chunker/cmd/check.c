/* SPDX-License-Identifier: BSD-3-Clause */
#include "check.h"

#include <errno.h>
#include <stdlib.h>

#include "../core/cleanup.h"
#include "../core/idmap.h"
#include "../core/progress.h"
#include "gather.h"

struct object {
	struct chunkid id;
	uint32_t chunk_size;
	int result; /* of its own thread while check_run runs */
	uint64_t wire_len;
};

struct check {
	struct store *store;
	struct idmap *map; /* id -> position in objects of the first with this id */
	struct object *objects;
	size_t n, cap;
};

struct checking {
	struct check *c;
	struct progress *progress;
	pthread_mutex_t lock; /* guards err */
	struct smr_error err;
};

struct check *check_new(struct store *s)
{
	struct check *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->store = s;
	c->map = idmap_new();
	if (!c->map) {
		free(c);
		return NULL;
	}
	return c;
}

void check_free(struct check *c)
{
	if (!c)
		return;
	idmap_free(c->map);
	free(c->objects);
	free(c);
}

/* The position of a chunk, or c->n. One id with two chunk sizes is a recipe that lies, not a reason
 * to look at a chunk in the wrong size: those beyond the first are searched for. */
static size_t find(const struct check *c, const struct chunkid *id, uint32_t chunk_size)
{
	uint64_t at;
	if (!idmap_get(c->map, id, &at))
		return c->n;
	if (c->objects[at].chunk_size == chunk_size)
		return (size_t)at;
	for (; at < c->n; at++)
		if (c->objects[at].chunk_size == chunk_size &&
			chunkid_equal(&c->objects[at].id, id))
			return (size_t)at;
	return c->n;
}

static int add_object(struct check *c, const struct chunkid *id, uint32_t chunk_size)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 1024;
		struct object *p = realloc(c->objects, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		c->objects = p;
		c->cap = cap;
	}
	if (!idmap_get(c->map, id, NULL)) {
		int r = idmap_put(c->map, id, c->n);
		if (r < 0)
			return r;
	}
	c->objects[c->n++] = (struct object){.id = *id, .chunk_size = chunk_size};
	return 0;
}

int check_add(struct check *c, const struct recipe *r)
{
	const struct recipe_info *info = recipe_info(r);
	for (uint64_t i = 0; i < info->n_chunks; i++) {
		struct recipe_entry e = recipe_entry(r, i);
		if (find(c, &e.id, info->chunk_size) < c->n)
			continue;
		int k = add_object(c, &e.id, info->chunk_size);
		if (k < 0)
			return k;
	}
	return 0;
}

static struct gather_want want(void *user, uint64_t i)
{
	const struct object *o = &((struct checking *)user)->c->objects[i];
	return (struct gather_want){o->id, o->chunk_size};
}

/* Does it say something about the chunk, or only about the way to it? A local disk that cannot read
 * a file has lost the chunk; a server that does not answer has not. */
static bool is_finding(const struct store *s, int r)
{
	if (r == -ENOENT || r == -EBADMSG)
		return true;
	return r == -EIO && store_is_local(s);
}

static int got(
	void *user, uint64_t i, int r, const struct gather_data *data, const struct smr_error *err)
{
	struct checking *k = user;
	struct object *o = &k->c->objects[i];
	if (r < 0 && !is_finding(k->c->store, r)) {
		locked(&k->lock);
		if (!k->err.message[0])
			error_set(&k->err, r, "%s", error_text(err, r));
		return r;
	}
	o->result = r;
	o->wire_len = r == 0 ? data->wire_len : 0;
	progress_add(k->progress, 1, o->wire_len);
	return 0;
}

int check_run(struct check *c, bool data, bool quiet, const atomic_bool *cancel,
	struct check_totals *ret, struct smr_error *err)
{
	struct checking k = {.c = c};
	struct gather g = {
		.store = c->store,
		.n = c->n,
		.presence = !data,
		.cancel = cancel,
		.want = want,
		.got = got,
		.user = &k,
	};
	pthread_mutex_init(&k.lock, NULL);
	k.progress = progress_start("verify", c->n, quiet);
	int r = gather_run(&g);
	progress_stop(k.progress);
	pthread_mutex_destroy(&k.lock);
	if (r < 0)
		return error_set(err, r, "%s", error_text(&k.err, r));

	struct check_totals totals = {.chunks = c->n};
	for (size_t i = 0; i < c->n; i++) {
		totals.wire_bytes += c->objects[i].wire_len;
		totals.damaged += c->objects[i].result < 0;
	}
	*ret = totals;
	return 0;
}

int check_result(const struct check *c, const struct chunkid *id, uint32_t chunk_size)
{
	size_t at = find(c, id, chunk_size);
	return at < c->n ? c->objects[at].result : -ENOENT;
}

struct unreferenced {
	const struct check *c;
	struct check_unreferenced found;
};

static int visit(void *user, const struct chunkid *id, uint64_t wire_len)
{
	struct unreferenced *u = user;
	if (!idmap_get(u->c->map, id, NULL)) {
		u->found.chunks++;
		u->found.bytes += wire_len;
	}
	return 0;
}

int check_unreferenced(const struct check *c, struct check_unreferenced *ret, struct smr_error *err)
{
	struct unreferenced u = {.c = c};
	int r = store_each(c->store, visit, &u, err);
	if (r == 0)
		*ret = u.found;
	return r;
}
