/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine_impl.h"

#include <errno.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/clock.h"
#include "../chunker/core/log.h"

/* Of one kind of failure, at most one line in this time; the counters have them all. */
#define REPORT_INTERVAL_NS (10 * CLOCK_NS_PER_S)

void engine_report(struct engine *e, enum report kind, const struct chunkid *id, const char *where,
	const char *what)
{
	char short_id[16];
	uint64_t now = clock_ns();

	if (kind == REPORT_POOL)
		metrics_recent_add(&e->meter.errors, now);
	{
		locked(&e->lock);
		if (e->reported_ns[kind] && now - e->reported_ns[kind] < REPORT_INTERVAL_NS)
			return;
		e->reported_ns[kind] = now;
	}
	chunkid_format_short(id, short_id);
	if (where)
		log_warn("%s: chunk %s %s", where, short_id, what);
	else
		log_warn("%s", what);
}

void engine_report_source(struct engine *e, const struct flight *f, int r, const char *text)
{
	const char *where;

	{
		/* Who joins meanwhile adds a source. */
		locked(&e->lock);
		where = store_url(f->sources[f->source].store->store);
	}
	if (r == -ENOENT)
		engine_report(e, REPORT_MISSING, &f->id, where, "is missing there");
	else if (r == -EBADMSG)
		engine_report(e, REPORT_CORRUPT, &f->id, where, "has wrong bytes there; not used");
	else if (r != -ECANCELED)
		engine_report(e, REPORT_UNREACHABLE, &f->id, NULL, text);
}

void engine_report_count(struct engine *e, int r)
{
	if (r != -ECANCELED)
		metrics_recent_add(&e->meter.errors, clock_ns());
	if (r == -ENOENT)
		atomic_fetch_add(&e->count.missing, 1);
	else if (r == -EBADMSG)
		atomic_fetch_add(&e->count.corrupt, 1);
	else if (r != -ECANCELED)
		atomic_fetch_add(&e->count.unreachable, 1);
}
