/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cleanup.h"
#include "../core/clock.h"
#include "gate.h"

struct loader {
	struct bucket *bucket;
	struct bucket_get get; /* the one load in flight */
	pthread_mutex_t lock;
	/* below: lock held */
	struct roots *roots; /* NULL until the first load succeeded */
	char etag[BUCKET_ETAG_MAX];
	uint64_t loaded_ns; /* when the load of `roots` was started */
	uint64_t started_ns;
	bool loading;
	struct loader_ask *joined;  /* content with the load in flight */
	struct loader_ask *waiting; /* need one that starts after it */
};

static void load_done(struct bucket_get *g, int r, struct buf *body, const struct smr_error *err);

struct loader *loader_new(struct bucket *b)
{
	struct loader *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->bucket = b;
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

void loader_free(struct loader *l)
{
	if (!l)
		return;
	roots_unref(l->roots);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* Call after `loading` was set by this thread. */
static void load_start(struct loader *l)
{
	l->get = (struct bucket_get){
		.key = ROOTS_KEY,
		.max_bytes = ROOTS_FILE_MAX,
		.impatient = true,
		.done = load_done,
	};
	memcpy(l->get.etag, l->etag, sizeof(l->etag));
	l->bucket->ops->get(l->bucket, &l->get);
}

/* What a finished load says. 0: *ret is new; 1: nothing changed; or a negative errno. */
static int load_result(
	struct loader *l, int r, const struct buf *body, struct roots **ret, struct smr_error *err)
{
	struct roots *parsed = NULL;

	if (r == -EALREADY && l->roots)
		return 1;
	if (r == -ENOENT) {
		parsed = roots_new_flat();
		r = parsed ? 0 : -ENOMEM;
	} else if (r == 0) {
		r = roots_parse(body->data, body->len, &parsed, err);
		if (r < 0)
			error_wrap(err, r, "%s/" ROOTS_KEY, l->bucket->url);
	}
	if (r < 0)
		return r;
	if (l->roots && roots_equal(parsed, l->roots)) {
		roots_unref(parsed);
		return 1;
	}
	*ret = parsed;
	return 0;
}

static void answer(struct loader_ask *asks, int r, struct roots *roots, const struct smr_error *err)
{
	while (asks) {
		struct loader_ask *next = asks->next;

		asks->done(asks, r, r == 0 ? roots_ref(roots) : NULL, err);
		asks = next;
	}
}

static void load_done(struct bucket_get *g, int r, struct buf *body, const struct smr_error *err)
{
	struct loader *l = (struct loader *)((char *)g - offsetof(struct loader, get));
	struct roots *fresh = NULL, *now = NULL;
	struct smr_error why = *err;
	struct loader_ask *asks;
	bool again;

	/* Only a load writes roots and etag, and this is the only one. */
	r = load_result(l, r, body, &fresh, &why);
	pthread_mutex_lock(&l->lock);
	if (r >= 0) {
		if (fresh) {
			if (fresh->flat)
				g->etag[0] = '\0';
			roots_unref(l->roots);
			l->roots = fresh;
		}
		memcpy(l->etag, g->etag, sizeof(l->etag));
		l->loaded_ns = l->started_ns;
		now = roots_ref(l->roots);
		r = 0;
	}
	asks = l->joined;
	l->joined = l->waiting;
	l->waiting = NULL;
	again = l->loading = l->joined != NULL;
	if (again)
		l->started_ns = clock_ns();
	pthread_mutex_unlock(&l->lock);

	/* The next load first: an answer may be the last that keeps the loader alive. */
	if (again)
		load_start(l);
	answer(asks, r, now, &why);
	roots_unref(now);
}

void loader_ask(struct loader *l, uint64_t max_age_ns, struct loader_ask *a)
{
	static const struct smr_error no_error;
	struct roots *have = NULL;
	bool start = false;
	uint64_t now = clock_ns();

	pthread_mutex_lock(&l->lock);
	if (l->roots && max_age_ns != LOADER_NOW &&
		(max_age_ns == LOADER_ANY || now - l->loaded_ns <= max_age_ns)) {
		have = roots_ref(l->roots);
	} else if (!l->loading) {
		start = l->loading = true;
		l->started_ns = now;
		a->next = NULL;
		l->joined = a;
	} else {
		bool late = max_age_ns != LOADER_ANY && now - l->started_ns >= max_age_ns;
		struct loader_ask **list = late ? &l->waiting : &l->joined;

		a->next = *list;
		*list = a;
	}
	pthread_mutex_unlock(&l->lock);

	if (have)
		a->done(a, 0, have, &no_error);
	else if (start)
		load_start(l);
}

struct waiting {
	struct loader_ask ask;
	struct gate gate;
	struct roots *roots;
	struct smr_error *err;
	int result;
};

static void waiting_done(
	struct loader_ask *a, int r, struct roots *roots, const struct smr_error *err)
{
	struct waiting *w = (struct waiting *)a;

	w->result = r;
	w->roots = roots;
	if (r < 0 && w->err)
		*w->err = *err;
	gate_open(&w->gate);
}

int loader_get(struct loader *l, uint64_t max_age_ns, struct roots **ret, struct smr_error *err)
{
	struct waiting w = {.ask = {.done = waiting_done}, .err = err};

	gate_init(&w.gate);
	loader_ask(l, max_age_ns, &w.ask);
	gate_wait(&w.gate);
	if (w.result == 0)
		*ret = w.roots;
	return w.result;
}
