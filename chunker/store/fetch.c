/* SPDX-License-Identifier: BSD-3-Clause */
#include "fetch.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "../core/cleanup.h"
#include "../core/clock.h"

struct fetch {
	struct bucket_get try;
	struct loader_ask ask;
	struct store_get *get;
	struct bucket *bucket;
	struct loader *loader;
	struct roots *roots;
	unsigned next; /* the live root to try next */
	bool again;    /* the roots were asked for a second time */
	char key[BUCKET_KEY_MAX];
};

static void finish(struct fetch *f, int r, struct buf *body, const struct smr_error *err)
{
	struct store_get *g = f->get;

	roots_unref(f->roots);
	free(f);
	g->done(g, r, body, err);
}

static void fail(struct fetch *f, int r, const struct smr_error *err)
{
	struct buf none;

	buf_init(&none, 0);
	finish(f, r, &none, err);
}

static void try_next(struct fetch *f)
{
	roots_chunk_key(f->roots, f->next++, &f->get->id, f->key);
	f->try.key = f->key;
	f->try.max_bytes = f->get->max_bytes;
	f->try.priority = f->get->priority;
	f->bucket->ops->get(f->bucket, &f->try);
}

static void absent(struct fetch *f)
{
	struct smr_error err = {0};
	char id[16];

	chunkid_format_short(&f->get->id, id);
	error_set(&err, -ENOENT, "%s: chunk %s is missing", f->bucket->url, id);
	fail(f, -ENOENT, &err);
}

static void try_done(struct bucket_get *g, int r, struct buf *body, const struct smr_error *err)
{
	struct fetch *f = (struct fetch *)((char *)g - offsetof(struct fetch, try));

	if (r != -ENOENT) {
		finish(f, r, body, err);
	} else if (f->next < f->roots->n_live) {
		try_next(f);
	} else if (!f->again) {
		f->again = true;
		loader_ask(f->loader, CLOCK_NS_PER_S, &f->ask);
	} else {
		absent(f);
	}
}

static void ask_done(struct loader_ask *a, int r, struct roots *roots, const struct smr_error *err)
{
	struct fetch *f = (struct fetch *)((char *)a - offsetof(struct fetch, ask));
	struct roots *before = f->roots;

	if (r < 0) {
		fail(f, r, err);
		return;
	}
	f->roots = roots;
	if (roots == before) {
		roots_unref(before);
		absent(f);
		return;
	}
	roots_unref(before);
	f->next = 0;
	try_next(f);
}

void fetch_start(struct bucket *b, struct loader *l, struct store_get *g)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (!f) {
		static const struct smr_error no_error;
		struct buf none;

		buf_init(&none, 0);
		g->done(g, -ENOMEM, &none, &no_error);
		return;
	}
	f->get = g;
	f->bucket = b;
	f->loader = l;
	f->try.done = try_done;
	f->ask.done = ask_done;
	loader_ask(l, LOADER_ANY, &f->ask);
}
