/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/codec.h"
#include "../chunker/core/fd.h"

static void step_store(struct work *w);

static enum workers_priority work_priority(const struct flight *f)
{
	switch (f->priority) {
	case STORE_DEMAND:
		return WORKERS_DEMAND;
	case STORE_AHEAD:
		return WORKERS_AHEAD;
	default:
		return WORKERS_IDLE;
	}
}

/* A waiter's own descriptor of the chunk, which counts as held from now on. */
static int hand_out(struct engine *e, const struct flight *f, int fd, int *ret)
{
	int r, mine = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (mine < 0)
		return -errno;
	r = engine_hold_add(e, &f->id);
	if (r < 0) {
		close(mine);
		return r;
	}
	*ret = mine;
	return 0;
}

static void answer(
	struct engine *e, struct cache_get *get, int r, int fd, struct cache_store *origin)
{
	engine_status_answered(e, get, r, origin);
	get->done(get, r, fd);
}

/* Answers every waiter; `origin` is where the chunk comes from, NULL for the pool. The flight's own hold goes when theirs are there: whoever evicts meanwhile knows that the
 * chunk is held. */
static void land(struct engine *e, struct flight *f, int r, int fd, struct cache_store *origin)
{
	struct cache_get *get, *next;

	{
		locked(&e->lock);
		get = flight_land(e->flights, f);
	}
	if (r < 0)
		engine_hold_drop(&e->base, &f->id, 1);
	for (; get; get = next) {
		int mine = -1, mine_r = r;

		next = get->next;
		/* The last takes over what is the flight's. */
		if (r == 0 && next)
			mine_r = hand_out(e, f, fd, &mine);
		else if (r == 0)
			mine = fd;
		answer(e, get, mine_r, mine, origin);
	}
	flight_free(f);
}

static void fetched(struct store_get *g, int r, struct buf *body, const struct smr_error *err);

/* Asks the next source, or lands the flight when there is none left. Called without the lock by the
 * owner of the step. */
static void fetch_next(struct engine *e, struct flight *f)
{
	struct cache_store *source;
	int r = -ECANCELED;

	{
		locked(&e->lock);
		source = e->stopped ? NULL : flight_next_source(f);
		if (!source && !e->stopped)
			r = flight_result(f);
		f->fetch = (struct store_get){.id = f->id,
			.max_bytes = codec_wire_max(f->chunk_size),
			.priority = f->priority,
			.done = fetched,
			.user = f};
	}
	if (source) {
		atomic_fetch_add_explicit(&e->meter.fetches, 1, memory_order_relaxed);
		store_get(source->store, &f->fetch);
		return;
	}
	engine_report_count(e, r);
	land(e, f, r, -1, NULL);
}

/* Asking the next source may block when that is a local one, so it is a worker's job too. */
static void step_retry(struct work *w)
{
	struct flight *f = (struct flight *)((char *)w - offsetof(struct flight, work));

	fetch_next(f->engine, f);
}

static void fetched(struct store_get *g, int r, struct buf *body, const struct smr_error *err)
{
	struct flight *f = g->user;
	struct engine *e = f->engine;
	enum workers_priority prio;

	atomic_fetch_sub_explicit(&e->meter.fetches, 1, memory_order_relaxed);
	if (r == 0)
		atomic_fetch_add(&e->count.fetched_bytes, body->len);
	else
		engine_report_source(e, f, r, error_text(err, r));
	{
		locked(&e->lock);
		if (r == 0)
			flight_fetched(f, body);
		else
			flight_source_failed(f, r);
		f->work.run = r == 0 ? step_store : step_retry;
		prio = work_priority(f);
	}
	workers_add(e->workers, &f->work, prio);
}

/* Into the pool; where that is full or read-only, into a sealed memfd. */
static int keep(struct engine *e, const struct flight *f, const void *bytes, int *ret_fd)
{
	int r = local_put(e->local, &f->id, bytes, f->chunk_size, ret_fd);

	if (atomic_load_explicit(&e->meter.full, memory_order_relaxed) != (r < 0))
		atomic_store_explicit(&e->meter.full, r < 0, memory_order_relaxed);
	if (r == 0)
		return 0;
	atomic_fetch_add(&e->count.pool_full, 1);
	engine_report(e, REPORT_FULL, &f->id, e->dir, "cannot be kept on disk; served from memory");
	r = fd_sealed_memfd("smr-chunk", bytes, f->chunk_size);
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}

static void step_store(struct work *w)
{
	struct flight *f = (struct flight *)((char *)w - offsetof(struct flight, work));
	struct engine *e = f->engine;
	void *bytes = local_scratch_take(e->local);
	struct cache_store *origin;
	int fd = -1, r = -ENOMEM;

	if (bytes)
		r = codec_decode_verify(f->body.data, f->body.len, &f->id, bytes, f->chunk_size);
	if (r == -EBADMSG)
		engine_report_source(e, f, r, NULL);
	if (r == 0) {
		atomic_fetch_add(&e->count.fetched_chunks, 1);
		r = keep(e, f, bytes, &fd);
	}
	local_scratch_give(e->local, bytes);
	if (r == -EBADMSG) {
		{
			locked(&e->lock);
			flight_source_failed(f, r);
		}
		fetch_next(e, f);
		return;
	}
	/* Right, or this process lacks memory or descriptors, which is not the source's fault. */
	buf_done(&f->body);
	{
		locked(&e->lock);
		origin = f->sources[f->source].store;
	}
	land(e, f, r, fd, origin);
}

static void step_lookup(struct work *w)
{
	struct flight *f = (struct flight *)((char *)w - offsetof(struct flight, work));
	struct engine *e = f->engine;
	int fd = -1;
	int r = local_get(e->local, &f->id, f->chunk_size, &fd);

	if (r == -EBADMSG)
		engine_report(e, REPORT_POOL, &f->id, e->dir,
			"is damaged in the pool; fetching it again");
	/* What the pool cannot be looked at for, a download would fail by, too. */
	if (r == 0 || r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		land(e, f, r, fd, NULL);
	else
		fetch_next(e, f);
}

/* ---- */

void engine_flight_get(struct cache *c, struct cache_get *get)
{
	struct engine *e = engine_of(c);
	struct flight *f = NULL;
	struct chunkid id = get->id;
	enum workers_priority prio = WORKERS_DEMAND;
	int r = engine_hold_add(e, &id);

	engine_status_asked(e, get);
	if (r < 0) {
		answer(e, get, r, -1, NULL);
		return;
	}
	{
		locked(&e->lock);
		r = e->stopped ? -ECANCELED : flight_join(e->flights, get, &f);
		if (r == 1) {
			f->engine = e;
			f->work.run = step_lookup;
			prio = work_priority(f);
		}
	}
	/* Who leads holds it for the flight, the others when they are answered. */
	if (r != 1)
		engine_hold_drop(c, &id, 1);
	if (r < 0)
		answer(e, get, r, -1, NULL);
	else if (r == 1)
		workers_add(e->workers, &f->work, prio);
}
