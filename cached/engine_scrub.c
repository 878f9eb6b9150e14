/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_impl.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/units.h"

/* One job that hashes a chunk and queues itself again, behind all that is more urgent. */
struct scrub {
	struct work work;
	struct engine *engine;
	struct buf ids;
	/* under engine->lock */
	size_t next; /* bytes into ids */
	uint64_t damaged;
	unsigned refs; /* of the run and of those who wait for it */
	bool ended;
};

static void scrub_unref(struct scrub *s)
{
	{
		locked(&s->engine->lock);
		if (--s->refs)
			return;
	}
	buf_done(&s->ids);
	free(s);
}

static int collect(void *user, const struct chunkid *id)
{
	struct scrub *s = user;

	return buf_append(&s->ids, id, sizeof(*id));
}

static void step(struct work *w)
{
	struct scrub *s = (struct scrub *)((char *)w - offsetof(struct scrub, work));
	struct engine *e = s->engine;
	bool more;
	int r = 0;

	if (s->next < s->ids.len)
		r = local_check(e->local, (const struct chunkid *)(s->ids.data + s->next));
	if (r == -EBADMSG)
		engine_report(e, REPORT_POOL, (const struct chunkid *)(s->ids.data + s->next),
			e->dir, "is damaged in the pool; removed");
	{
		locked(&e->lock);
		s->damaged += r == -EBADMSG;
		if (s->next < s->ids.len)
			s->next += sizeof(struct chunkid);
		more = s->next < s->ids.len && !e->stopped;
	}
	if (more) {
		workers_add(e->workers, &s->work, WORKERS_IDLE);
		return;
	}
	{
		locked(&e->lock);
		s->ended = true;
		e->scrub = NULL;
		pthread_cond_broadcast(&e->changed);
	}
	scrub_unref(s);
}

/* The one that runs, or a new one; with a reference for the caller. */
static int join_or_start(struct engine *e, struct scrub **ret)
{
	struct scrub *s = calloc(1, sizeof(*s)), *other;
	int r;

	if (!s)
		return -ENOMEM;
	s->engine = e;
	s->refs = 2;
	s->work.run = step;
	buf_init(&s->ids, SIZE_MAX);
	r = local_each(e->local, collect, s);
	{
		locked(&e->lock);
		other = e->scrub;
		if (e->stopped)
			r = -ECANCELED;
		if (r == 0 && other)
			other->refs++;
		else if (r == 0)
			e->scrub = s;
	}
	if (r == 0 && !other) {
		workers_add(e->workers, &s->work, WORKERS_IDLE);
		*ret = s;
		return 0;
	}
	buf_done(&s->ids);
	free(s);
	*ret = other;
	return r;
}

int engine_scrub(struct engine *e, bool wait, struct buf *text, struct smr_error *err)
{
	char n[UNITS_TEXT_MAX + 4], bad[UNITS_TEXT_MAX + 4];
	struct scrub *s;
	int r = join_or_start(e, &s);

	if (r < 0)
		return error_set_errno(err, r, "%s cannot be read", e->dir);
	units_format_count(s->ids.len / sizeof(struct chunkid), n);
	if (!wait) {
		r = buf_appendf(text, "checking %s chunks", n);
	} else {
		locked(&e->lock);
		while (!s->ended)
			pthread_cond_wait(&e->changed, &e->lock);
		if (s->next < s->ids.len)
			r = error_set_errno(err, -ECANCELED, "the check was ended");
		else
			r = buf_appendf(text, "checked %s chunks: %s were damaged and removed", n,
				units_format_count(s->damaged, bad));
	}
	scrub_unref(s);
	return r;
}
