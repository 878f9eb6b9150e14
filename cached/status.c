/* SPDX-License-Identifier: BSD-3-Clause */
#include "status.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER(g, n, member, m, h)                                                             \
	{                                                                                      \
		.group = g, .name = n, .offset = offsetof(struct status, member), .metric = m, \
		.help = h                                                                      \
	}
#define IMAGE(member, m, h)                                                                    \
	{                                                                                      \
		.name = #member, .offset = offsetof(struct status_image, member), .metric = m, \
		.help = h                                                                      \
	}
#define CLIENT(member, m, h)                                                                    \
	{                                                                                       \
		.name = #member, .offset = offsetof(struct status_client, member), .metric = m, \
		.help = h                                                                       \
	}

const struct status_number status_numbers[] = {
	NUMBER("cache", "pid", pid, NULL, NULL),
	NUMBER("cache", "uptime_s", uptime_s, "smr_uptime_seconds",
		"Time since the cache was opened."),
	NUMBER("cache", "size", size, "smr_size_bytes", "Bytes on disk that the cache may take."),
	NUMBER("cache", "min_free", min_free, "smr_min_free_bytes",
		"Bytes of the disk that it leaves free."),
	NUMBER("cache", "chunks", chunks, "smr_pool_chunks", "Chunks in the pool."),
	NUMBER("cache", "bytes", bytes, "smr_pool_bytes",
		"Bytes on disk of the chunks in the pool."),
	NUMBER("cache", "pinned_bytes", pinned_bytes, "smr_pinned_bytes",
		"Of these, bytes that are not evicted."),
	NUMBER("cache", "condemned_bytes", condemned_bytes, "smr_condemned_bytes",
		"Bytes of removed chunks that are still mapped."),
	NUMBER("cache", "overdue_bytes", overdue_bytes, "smr_overdue_bytes",
		"Of these, bytes whose holders have not dropped them in time."),
	NUMBER("cache", "rebuilding", rebuilding, "smr_rebuilding",
		"1 while the ledger is rebuilt from the pool."),
	NUMBER("cache", "scrubbing", scrubbing, "smr_scrubbing",
		"1 while every chunk of the pool is hashed."),
	NUMBER("cache", "full", full, "smr_full", "1 while chunks cannot be kept on disk."),
	NUMBER("gets", "in_flight", gets_in_flight, "smr_gets_in_flight",
		"Requests for chunks that are not answered yet."),
	NUMBER("gets", "touched", touched, "smr_touched_chunks_total",
		"Reports of frontends that a mapped chunk was used again."),
	NUMBER("fetches", "in_flight", fetches_in_flight, "smr_fetches_in_flight",
		"Downloads under way."),
	NUMBER("fetches", "hydrations", hydrations, "smr_hydrations",
		"Images that are being hydrated."),
	NUMBER("fetches", "chunks", fetched_chunks, "smr_fetched_chunks_total",
		"Chunks downloaded and verified."),
	NUMBER("fetches", "bytes", fetched_bytes, "smr_fetched_bytes_total",
		"Bytes downloaded, as transferred."),
	NUMBER("errors", "missing", missing, NULL, NULL), /* these four are one metric, by kind */
	NUMBER("errors", "corrupt", corrupt, NULL, NULL),
	NUMBER("errors", "unreachable", unreachable, NULL, NULL),
	NUMBER("errors", "pool_corrupt", pool_corrupt, NULL, NULL),
	NUMBER("errors", "last_hour", errors_last_hour, NULL, NULL),
	NUMBER("evicted", "chunks", evicted, "smr_evicted_chunks_total",
		"Chunks removed to make room."),
	NUMBER("unkept", "chunks", unkept, "smr_unkept_chunks_total",
		"Chunks served from memory, as they could not be kept."),
	{.name = NULL},
};

const struct status_number status_image_numbers[] = {
	IMAGE(mounted, "smr_image_mounted", "Frontends that have opened the image."),
	IMAGE(pinned, "smr_image_pinned", "1: its chunks are not evicted."),
	IMAGE(chunks, "smr_image_chunks", "Chunks of the image."),
	IMAGE(local_chunks, "smr_image_local_chunks", "Of these, in the pool."),
	IMAGE(bytes, "smr_image_bytes", "Bytes of the image in chunks."),
	IMAGE(local_bytes, "smr_image_local_bytes", "Of these, in the pool."),
	IMAGE(pool_gets, "smr_image_pool_gets_total",
		"Requests for the image answered from the pool."),
	IMAGE(origin_gets, "smr_image_origin_gets_total",
		"Requests for the image answered by downloading."),
	IMAGE(failed_gets, "smr_image_failed_gets_total", "Requests for the image that failed."),
	{.name = NULL},
};

const struct status_number status_client_numbers[] = {
	CLIENT(pid, NULL, NULL),
	CLIENT(uid, NULL, NULL),
	CLIENT(in_flight, "smr_client_gets_in_flight",
		"Requests of the client that are not answered yet."),
	CLIENT(answered, "smr_client_gets_total", "Requests of the client that were answered."),
	{.name = NULL},
};

static void *grow(void *list, size_t n, size_t size)
{
	unsigned char *more = reallocarray(list, n + 1, size);

	if (more)
		memset(more + n * size, 0, size);
	return more;
}

struct status_store *status_add_store(struct status *s, const char *url)
{
	struct status_store *more = grow(s->stores, s->n_stores, sizeof(*more));

	if (!more)
		return NULL;
	s->stores = more;
	more[s->n_stores].url = strdup(url);
	return more[s->n_stores].url ? &more[s->n_stores++] : NULL;
}

struct status_image *status_add_image(struct status *s, const char *store)
{
	struct status_image *more = grow(s->images, s->n_images, sizeof(*more));

	if (!more)
		return NULL;
	s->images = more;
	more[s->n_images].store = strdup(store);
	return more[s->n_images].store ? &more[s->n_images++] : NULL;
}

struct status_client *status_add_client(struct status *s)
{
	struct status_client *more = grow(s->clients, s->n_clients, sizeof(*more));

	if (!more)
		return NULL;
	s->clients = more;
	return &more[s->n_clients++];
}

void status_tier_read(const struct metrics_tier *t, struct status_tier *ret)
{
	ret->bytes = atomic_load_explicit(&t->bytes, memory_order_relaxed);
	metrics_read(&t->latency, &ret->latency);
}

void status_done(struct status *s)
{
	for (size_t i = 0; i < s->n_stores; i++)
		free(s->stores[i].url);
	for (size_t i = 0; i < s->n_images; i++)
		free(s->images[i].store);
	free(s->stores);
	free(s->images);
	free(s->clients);
	free(s->directory);
	*s = (struct status){0};
}
