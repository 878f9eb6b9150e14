/* SPDX-License-Identifier: BSD-3-Clause */
#include "gather.h"

#include <errno.h>
#include <stdlib.h>

#include "../core/codec.h"
#include "../core/workers.h"

/* How many fetches a remote store sees at once: what a client opens connections for. */
#define REMOTE_THREADS 16u

struct gather_run {
	const struct gather *g;
	atomic_uint_least64_t next;
	atomic_int result; /* the first failure */
};

struct gather_thread {
	struct work work; /* first: the job is the thread */
	struct gather_run *run;
	void *pool;
	uint32_t pool_size;
};

static int make_room(struct gather_thread *t, uint32_t chunk_size)
{
	if (t->pool_size >= chunk_size)
		return 0;
	void *p = realloc(t->pool, chunk_size);
	if (!p)
		return -ENOMEM;
	t->pool = p;
	t->pool_size = chunk_size;
	return 0;
}

static int gather_presence(const struct gather *g, uint64_t i, const struct gather_want *want)
{
	struct smr_error err = {0};
	uint64_t wire_len = 0;
	int r = store_has(g->store, &want->id, &wire_len, &err);
	struct gather_data data = {.chunk_size = want->chunk_size, .wire_len = (size_t)wire_len};
	return g->got(g->user, i, r, &data, &err);
}

static int gather_data(
	const struct gather *g, struct gather_thread *t, uint64_t i, const struct gather_want *want)
{
	struct smr_error err = {0};
	int r = make_room(t, want->chunk_size);
	if (r < 0)
		return g->got(g->user, i, r, NULL, &err);
	struct buf body;
	buf_init(&body, codec_wire_max(want->chunk_size));
	r = store_get_wait(g->store, &want->id, &body, &err);
	if (r == 0)
		r = codec_decode_verify(body.data, body.len, &want->id, t->pool, want->chunk_size);
	struct gather_data data = {t->pool, want->chunk_size, body.data, body.len};
	r = g->got(g->user, i, r, &data, &err);
	buf_done(&body);
	return r;
}

/* Told to got() like everything that was begun: others may wait for this one's turn. */
static int gather_cancelled(const struct gather *g, uint64_t i)
{
	struct smr_error err = {0};
	int r = g->got(g->user, i, -ECANCELED, NULL, &err);
	return r ? r : -ECANCELED;
}

static void gather_thread_run(struct work *w)
{
	struct gather_thread *t = (struct gather_thread *)w;
	const struct gather *g = t->run->g;
	int r = 0;

	while (r == 0 && atomic_load(&t->run->result) == 0) {
		uint64_t i = atomic_fetch_add(&t->run->next, 1);
		if (i >= g->n)
			break;
		struct gather_want want = g->want(g->user, i);
		if (g->cancel && atomic_load(g->cancel))
			r = gather_cancelled(g, i);
		else if (g->presence)
			r = gather_presence(g, i, &want);
		else
			r = gather_data(g, t, i, &want);
	}
	int none = 0;
	if (r != 0)
		atomic_compare_exchange_strong(&t->run->result, &none, r);
}

static unsigned thread_count(const struct gather *g)
{
	unsigned n = g->n_threads ? g->n_threads : workers_cpus();
	if (!g->n_threads && !store_is_local(g->store) && n < REMOTE_THREADS)
		n = REMOTE_THREADS;
	return g->n < n ? (unsigned)g->n : n;
}

static int run_threads(struct gather_run *run, struct gather_thread *threads, unsigned n)
{
	struct workers *workers;
	int r = workers_new("gather", n, &workers);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++) {
		threads[i].work.run = gather_thread_run;
		threads[i].run = run;
		workers_add(workers, &threads[i].work, WORKERS_DEMAND);
	}
	workers_free(workers);
	for (unsigned i = 0; i < n; i++)
		free(threads[i].pool);
	return atomic_load(&run->result);
}

int gather_run(const struct gather *g)
{
	struct gather_run run = {.g = g};
	unsigned n = thread_count(g);
	if (n == 0)
		return 0;
	struct gather_thread *threads = calloc(n, sizeof(*threads));
	int r = threads ? run_threads(&run, threads, n) : -ENOMEM;
	free(threads);
	return r;
}

int gather_error(struct smr_error *err, int r, const struct store *s, const char *name,
	uint64_t index, const struct chunkid *id, const struct smr_error *cause)
{
	char id_text[16];
	unsigned long long at = index;
	chunkid_format_short(id, id_text);
	if (r == -ENOENT)
		return error_set(err, r, "%s: %s: chunk %llu (%s) is missing", store_url(s), name,
			at, id_text);
	if (r == -EBADMSG)
		return error_set(err, r, "%s: %s: chunk %llu (%s) is damaged", store_url(s), name,
			at, id_text);
	return error_set(err, r, "%s: %s: chunk %llu (%s) cannot be read: %s", store_url(s), name,
		at, id_text, error_text(cause, r));
}
