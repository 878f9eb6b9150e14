/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a cache as one document. The engine fills in a struct status and encodes it; the RPC server adds its clients;
 * `smr-cached status` shows the document as it is (--json), or decodes it into the same struct and renders that, for people or for
 * Prometheus.
 *
 *     { "version": 1,
 *       "cache":   {"directory": text, "pid", "uptime_s",
 *                   "size", "min_free",                  bounds: bytes on disk at most, bytes of the disk left free
 *                   "chunks", "bytes",                   in the pool
 *                   "pinned_bytes",                      of these
 *                   "condemned_bytes", "overdue_bytes",  removed but still mapped somewhere; of these, for more than two seconds
 *                   "rebuilding", "scrubbing", "full"},  0 or 1; full: the last chunk could not be kept and was served from memory
 *       "gets":    {"in_flight", "touched"},             touched: chunks used again on maps of frontends, by their reports
 *       "pool":    TIER                                  answered from the pool
 *       "fetches": {"in_flight", "hydrations",           downloads and images being hydrated now
                   "chunks", "bytes"},                  bytes as transferred
 *       "errors":  {"missing", "corrupt", "unreachable", GETs that failed: no source has it, all have wrong bytes, none answers
 *                   "pool_corrupt",                      damaged files that were caught in the pool
 *                   "last_hour"},                        of all these
 *       "evicted": {"chunks"},
 *       "unkept":  {"chunks"},                           served from memory, since they could not be kept
 *       "stores":  [{"url": text, "origin": TIER}],      answered from there, the waiting for a download included
 *       "images":  [{"name", "digest", "store": text, "mounted", "pinned", "chunks", "local_chunks", "bytes", "local_bytes",
 *                    "pool_gets", "origin_gets", "failed_gets"}],
 *       "clients": [{"name": text, "pid", "uid", "in_flight", "answered"}] }
 *
 *     TIER  = {"gets", "bytes", "latency": {"sum_us", "p50_us", "p90_us", "p99_us", "buckets": [[bound_us, count], ...]}}
 *             what readers asked for, which is all but what hydrate does; bytes: of chunks; bound_us: below it, and not below the bucket before; null: without bound; empty ones are left out
 *
 * Numbers are whole and not negative, and count from the start of the process unless they say what is now. "mounted" is how many
 * connected frontends have opened the image. Members may be added to a version: who reads ignores what it does not know.
 *
 * A struct status is one thread's.
 */
#ifndef CACHED_STATUS_H
#define CACHED_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../chunker/core/buf.h"
#include "../chunker/core/chunkid.h"
#include "../chunker/core/error.h"
#include "../chunker/core/name.h"
#include "metrics.h"

#define STATUS_VERSION   1
#define STATUS_MAX       (16u << 20) /* bytes of a document */
#define STATUS_LABEL_MAX 256u        /* bytes of a client's name */

struct status_tier {
	uint64_t bytes;
	struct metrics_latency latency; /* its count: the GETs */
};

struct status_store {
	char *url;
	struct status_tier origin;
};

struct status_image {
	char name[NAME_LEN_MAX + 1];
	struct chunkid digest;
	char *store; /* URL; "" when it is not known */
	uint64_t mounted, pinned;
	uint64_t chunks, local_chunks, bytes, local_bytes;
	uint64_t pool_gets, origin_gets, failed_gets;
};

struct status_client {
	char name[STATUS_LABEL_MAX];
	uint64_t pid, uid, in_flight, answered;
};

/* All numbers as above. */
struct status {
	char *directory;
	uint64_t pid, uptime_s;
	uint64_t size, min_free, chunks, bytes, pinned_bytes, condemned_bytes, overdue_bytes;
	uint64_t rebuilding, scrubbing, full;
	uint64_t gets_in_flight, touched;
	struct status_tier pool;
	uint64_t fetches_in_flight, hydrations, fetched_chunks, fetched_bytes;
	uint64_t missing, corrupt, unreachable, pool_corrupt, errors_last_hour;
	uint64_t evicted, unkept;
	struct status_store *stores;
	size_t n_stores;
	struct status_image *images;
	size_t n_images;
	struct status_client *clients;
	size_t n_clients;
};

/* Zeros are an empty one. */
void status_done(struct status *s);
/* One more, zeros, at the end of its list; valid until the next. NULL: no memory. */
struct status_store *status_add_store(struct status *s, const char *url);
struct status_image *status_add_image(struct status *s, const char *store);
struct status_client *status_add_client(struct status *s);
void status_tier_read(const struct metrics_tier *t, struct status_tier *ret);

/* The numbers outside of lists, for encoders and decoders: where they are in the document and in the struct, and how Prometheus calls
 * them (NULL: not at all; "_total" at the end is a counter). A row without a name ends the table. */
struct status_number {
	const char *group, *name;
	size_t offset;
	const char *metric, *help;
};
extern const struct status_number status_numbers[], status_image_numbers[], status_client_numbers[];

static inline uint64_t *status_number_at(const void *base, const struct status_number *n)
{
	return (uint64_t *)((char *)(uintptr_t)base + n->offset);
}

/* ---- status_json.c ---- */

/* Appends the document and a newline. -ENOMEM, -EFBIG. */
int status_json_encode(const struct status *s, struct buf *json);
/* -EBADMSG: not such a document; -ENOTSUP: one of another version. */
int status_json_decode(const char *json, size_t n, struct status *ret, struct smr_error *err);

/* ---- status_text.c, status_prometheus.c: append. -ENOMEM, -EFBIG ---- */

/* For people. */
int status_text_format(const struct status *s, struct buf *text);
/* The text format 0.0.4 that Prometheus scrapes: https://prometheus.io/docs/instrumenting/exposition_formats/ */
int status_prometheus_format(const struct status *s, struct buf *text);

#endif
