/* SPDX-License-Identifier: BSD-3-Clause */
#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../chunker/core/clock.h"
#include "../chunker/core/units.h"

struct out {
	struct buf *to;
	int r; /* the first failure; nothing is written after it */
};

#define put(o, ...)                                                 \
	do {                                                        \
		if ((o)->r == 0)                                    \
			(o)->r = buf_appendf((o)->to, __VA_ARGS__); \
	} while (0)

static void put_cache(struct out *o, const struct status *s)
{
	char bytes[UNITS_TEXT_MAX], size[UNITS_TEXT_MAX], n[UNITS_TEXT_MAX + 4], up[UNITS_TEXT_MAX];

	put(o, "cache    %s   %s of %s, %s chunk%s   up %s, pid %" PRIu64 "\n", s->directory,
		units_format_size(s->bytes, bytes), units_format_size(s->size, size),
		units_format_count(s->chunks, n), s->chunks == 1 ? "" : "s",
		units_format_duration((s->uptime_s ? s->uptime_s : 1) * CLOCK_NS_PER_S, up),
		s->pid);
	if (s->pinned_bytes)
		put(o, "pinned   %s of it\n", units_format_size(s->pinned_bytes, bytes));
	if (s->condemned_bytes)
		put(o, "removed  %s beside it, still mapped somewhere\n",
			units_format_size(s->condemned_bytes, bytes));
	if (s->evicted)
		put(o, "evicted  %s chunk%s since the start\n", units_format_count(s->evicted, n),
			s->evicted == 1 ? "" : "s");
}

/* In thousandths, so that nothing that is not all says 100 %. */
static void put_share(struct out *o, const char *before, uint64_t part, uint64_t all)
{
	uint64_t permille = (uint64_t)((unsigned __int128)part * 1000 / all);

	put(o, "%s%" PRIu64 ".%" PRIu64 " %%", before, permille / 10, permille % 10);
}

static void put_times(struct out *o, const struct metrics_latency *l)
{
	char median[UNITS_TEXT_MAX], p99[UNITS_TEXT_MAX];

	if (l->count)
		put(o, " (median %s, p99 %s)",
			units_format_duration(metrics_quantile_us(l, 500) * 1000, median),
			units_format_duration(metrics_quantile_us(l, 990) * 1000, p99));
	put(o, "\n");
}

static void put_reads(struct out *o, const struct status *s)
{
	uint64_t all = s->pool.latency.count;
	char n[UNITS_TEXT_MAX + 4];

	for (size_t i = 0; i < s->n_stores; i++)
		all += s->stores[i].origin.latency.count;
	if (all == 0) {
		put(o, "chunks   none was asked for yet\n");
		return;
	}
	put(o, "chunks   %s asked for\n", units_format_count(all, n));
	put_share(o, "         ", s->pool.latency.count, all);
	put(o, " were here");
	put_times(o, &s->pool.latency);
	for (size_t i = 0; i < s->n_stores; i++) {
		const struct status_store *store = &s->stores[i];

		if (store->origin.latency.count == 0)
			continue;
		put_share(o, "         ", store->origin.latency.count, all);
		put(o, " from %s", store->url);
		put_times(o, &store->origin.latency);
	}
}

static void put_fetched(struct out *o, const struct status *s)
{
	char n[UNITS_TEXT_MAX + 4], bytes[UNITS_TEXT_MAX];

	if (s->fetched_chunks)
		put(o, "fetched  %s chunk%s, %s\n", units_format_count(s->fetched_chunks, n),
			s->fetched_chunks == 1 ? "" : "s",
			units_format_size(s->fetched_bytes, bytes));
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void put_now(struct out *o, const struct status *s)
{
	char waiting[UNITS_TEXT_MAX + 4], errors[UNITS_TEXT_MAX + 4];

	put(o, "now      %s download%s for %" PRIu64 " request%s, %zu client%s",
		units_format_count(s->fetches_in_flight, waiting), plural(s->fetches_in_flight),
		s->gets_in_flight, plural(s->gets_in_flight), s->n_clients, plural(s->n_clients));
	if (s->hydrations)
		put(o, ", %" PRIu64 " image%s being hydrated", s->hydrations,
			plural(s->hydrations));
	if (s->scrubbing)
		put(o, ", scrubbing");
	put(o, "\nerrors   %s in the last hour", units_format_count(s->errors_last_hour, errors));
	if (s->missing || s->corrupt || s->unreachable || s->pool_corrupt)
		put(o,
			"; since the start %" PRIu64 " missing, %" PRIu64 " corrupt, %" PRIu64
			" unreachable, %" PRIu64 " damaged in the pool",
			s->missing, s->corrupt, s->unreachable, s->pool_corrupt);
	put(o, "\n");
}

static void put_conditions(struct out *o, const struct status *s)
{
	if (s->full)
		put(o,
			"FULL     chunks cannot be kept on disk and are served from memory; make "
			"room "
			"below %s\n",
			s->directory);
	if (s->rebuilding)
		put(o, "REBUILD  the ledger is being rebuilt from the pool; everything is served "
		       "meanwhile\n");
	if (s->overdue_bytes)
		put(o, "OVERDUE  clients keep chunks mapped that they were told to drop\n");
}

/* Names are ASCII, so bytes are columns. */
static void put_images(struct out *o, const struct status *s)
{
	char local[UNITS_TEXT_MAX], of[UNITS_TEXT_MAX];
	int width = 5;

	for (size_t i = 0; i < s->n_images; i++)
		if ((int)strlen(s->images[i].name) > width)
			width = (int)strlen(s->images[i].name);
	if (s->n_images)
		put(o, "\n%-*s  MOUNTED  %-8s  OF\n", width, "IMAGE", "LOCAL");
	for (size_t i = 0; i < s->n_images; i++) {
		const struct status_image *m = &s->images[i];

		put(o, "%-*s  %-7" PRIu64 "  %-8s  %s%s\n", width, m->name, m->mounted,
			units_format_size(m->local_bytes, local), units_format_size(m->bytes, of),
			m->pinned ? ", pinned" : "");
	}
}

int status_text_format(const struct status *s, struct buf *text)
{
	struct out o = {.to = text};

	put_cache(&o, s);
	put_reads(&o, s);
	put_fetched(&o, s);
	put_now(&o, s);
	put_conditions(&o, s);
	put_images(&o, s);
	return o.r;
}
