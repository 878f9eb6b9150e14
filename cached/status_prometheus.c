/* SPDX-License-Identifier: BSD-3-Clause */
#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Buckets a line each: one for each doubling from 16 us on, which is what dashboards resolve. */
#define FIRST_OCTAVE 4u
#define LAST_OCTAVE  26u

struct out {
	struct buf *to;
	int r; /* the first failure; nothing is written after it */
};

#define put(o, ...)                                                 \
	do {                                                        \
		if ((o)->r == 0)                                    \
			(o)->r = buf_appendf((o)->to, __VA_ARGS__); \
	} while (0)

static void put_head(struct out *o, const char *metric, const char *type, const char *help)
{
	put(o, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

static void put_number_head(struct out *o, const struct status_number *n)
{
	size_t len = strlen(n->metric);

	put_head(o, n->metric,
		len > 6 && strcmp(n->metric + len - 6, "_total") == 0 ? "counter" : "gauge",
		n->help);
}

/* ,name="value" with what must be escaped. */
static void put_label(struct out *o, const char *before, const char *name, const char *value)
{
	put(o, "%s%s=\"", before, name);
	for (; *value; value++) {
		if (*value == '\n')
			put(o, "\\n");
		else if (*value == '\\' || *value == '"')
			put(o, "\\%c", *value);
		else
			put(o, "%c", *value);
	}
	put(o, "\"");
}

/* `store` NULL: the pool. */
static void put_tier_labels(struct out *o, const char *store)
{
	put_label(o, "{", "tier", store ? "origin" : "pool");
	if (store)
		put_label(o, ",", "store", store);
}

static void put_histogram(struct out *o, const char *store, const struct metrics_latency *l)
{
	uint64_t below = 0;
	unsigned i = 0;

	for (unsigned octave = FIRST_OCTAVE; octave <= LAST_OCTAVE; octave++) {
		for (; metrics_bound_us(i) <= 1u << octave; i++)
			below += l->bucket[i];
		put(o, "smr_get_seconds_bucket");
		put_tier_labels(o, store);
		put(o, ",le=\"%u.%06u\"} %" PRIu64 "\n", (1u << octave) / 1000000,
			(1u << octave) % 1000000, below);
	}
	put(o, "smr_get_seconds_bucket");
	put_tier_labels(o, store);
	put(o, ",le=\"+Inf\"} %" PRIu64 "\nsmr_get_seconds_sum", l->count);
	put_tier_labels(o, store);
	put(o, "} %" PRIu64 ".%06" PRIu64 "\nsmr_get_seconds_count", l->sum_us / 1000000,
		l->sum_us % 1000000);
	put_tier_labels(o, store);
	put(o, "} %" PRIu64 "\n", l->count);
}

static void put_tiers(struct out *o, const struct status *s)
{
	put_head(o, "smr_get_seconds", "histogram",
		"Time to answer a request for a chunk, by where it came from.");
	put_histogram(o, NULL, &s->pool.latency);
	for (size_t i = 0; i < s->n_stores; i++)
		put_histogram(o, s->stores[i].url, &s->stores[i].origin.latency);
	put_head(o, "smr_get_bytes_total", "counter",
		"Bytes of the chunks that requests were answered with.");
	put(o, "smr_get_bytes_total");
	put_tier_labels(o, NULL);
	put(o, "} %" PRIu64 "\n", s->pool.bytes);
	for (size_t i = 0; i < s->n_stores; i++) {
		put(o, "smr_get_bytes_total");
		put_tier_labels(o, s->stores[i].url);
		put(o, "} %" PRIu64 "\n", s->stores[i].origin.bytes);
	}
}

static void put_errors(struct out *o, const struct status *s)
{
	put_head(o, "smr_errors_total", "counter",
		"Requests that failed, by kind, and damaged files caught in the pool.");
	put(o, "smr_errors_total{kind=\"missing\"} %" PRIu64 "\n", s->missing);
	put(o, "smr_errors_total{kind=\"corrupt\"} %" PRIu64 "\n", s->corrupt);
	put(o, "smr_errors_total{kind=\"unreachable\"} %" PRIu64 "\n", s->unreachable);
	put(o, "smr_errors_total{kind=\"pool_corrupt\"} %" PRIu64 "\n", s->pool_corrupt);
}

static void put_images(struct out *o, const struct status *s)
{
	for (const struct status_number *n = status_image_numbers; n->name; n++) {
		put_number_head(o, n);
		for (size_t i = 0; i < s->n_images; i++) {
			const struct status_image *m = &s->images[i];
			char hex[CHUNKID_HEX + 1];

			chunkid_format(&m->digest, hex);
			put(o, "%s", n->metric);
			put_label(o, "{", "image", m->name);
			put_label(o, ",", "digest", hex);
			put_label(o, ",", "store", m->store);
			put(o, "} %" PRIu64 "\n", *status_number_at(m, n));
		}
	}
}

static void put_clients(struct out *o, const struct status *s)
{
	for (const struct status_number *n = status_client_numbers; n->name; n++) {
		if (!n->metric)
			continue;
		put_number_head(o, n);
		for (size_t i = 0; i < s->n_clients; i++) {
			const struct status_client *c = &s->clients[i];

			/* Two of one name in one process are told apart by nothing but their place. */
			put(o, "%s{slot=\"%zu\",pid=\"%" PRIu64 "\"", n->metric, i, c->pid);
			put_label(o, ",", "client", c->name);
			put(o, "} %" PRIu64 "\n", *status_number_at(c, n));
		}
	}
}

int status_prometheus_format(const struct status *s, struct buf *text)
{
	struct out o = {.to = text};

	for (const struct status_number *n = status_numbers; n->name; n++) {
		if (!n->metric)
			continue;
		put_number_head(&o, n);
		put(&o, "%s %" PRIu64 "\n", n->metric, *status_number_at(s, n));
	}
	put_tiers(&o, s);
	put_errors(&o, s);
	put_images(&o, s);
	put_clients(&o, s);
	return o.r;
}
