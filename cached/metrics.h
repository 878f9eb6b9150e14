/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is counted while the cache works: latencies as histograms, and errors of the last hour. Always on: an observation is two
 * relaxed additions, some 5 ns.
 *
 * A histogram has four buckets for each doubling of the time, from 1 us to 67 s, so a quantile is right within a fifth:
 *
 *     0..1..2..3..4 us   5 6 7 8   10 12 14 16   20 24 28 32   ...   40 48 56 67 s   longer
 *
 * Pure: the time comes from outside. Any thread, without locks; who reads meanwhile sees each number as it was at some moment of
 * the reading.
 */
#ifndef CACHED_METRICS_H
#define CACHED_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#define METRICS_BUCKETS 101u /* the last one: 67 s and longer */
#define METRICS_MINUTES 60u

/* Zeros to begin with. */
struct metrics_histogram {
	atomic_uint_fast64_t bucket[METRICS_BUCKETS], sum_us;
};

/* A histogram as it was read. */
struct metrics_latency {
	uint64_t bucket[METRICS_BUCKETS], count, sum_us;
};

/* How requests of one kind were answered. Zeros to begin with. */
struct metrics_tier {
	atomic_uint_fast64_t bytes;
	struct metrics_histogram latency;
};

/* How the requests for one image were answered. */
enum metrics_how { METRICS_POOL, METRICS_ORIGIN, METRICS_FAILED, METRICS_HOWS };

#define METRICS_IMAGES 1024u

/* The same for many images, told apart by a number that is not 0. When it is full, new ones are not counted. Zeros to begin
 * with. */
struct metrics_images {
	struct {
		atomic_uint_fast32_t tag;
		atomic_uint_fast64_t n[METRICS_HOWS];
	} slot[METRICS_IMAGES];
};

/* Events in the last hour, by the minute. Zeros to begin with. */
struct metrics_recent {
	atomic_uint_fast64_t slot[METRICS_MINUTES]; /* minute << 32 | events in it */
};

void metrics_observe(struct metrics_histogram *h, uint64_t ns);
void metrics_answered(struct metrics_tier *t, uint64_t ns, uint64_t bytes);
void metrics_read(const struct metrics_histogram *h, struct metrics_latency *ret);
/* Adds the second to the first. */
void metrics_merge(struct metrics_latency *to, const struct metrics_latency *more);
/* The bucket of a time, and the time in us that is beyond all of a bucket's; UINT64_MAX for the last bucket. */
unsigned metrics_bucket(uint64_t ns);
uint64_t metrics_bound_us(unsigned bucket);
/* A time that `permille` thousandths of the observations do not exceed, rounded up to a bucket's bound, and down for the last
 * bucket; 0 without observations. */
uint64_t metrics_quantile_us(const struct metrics_latency *l, unsigned permille);

/* 0 as the tag: nobody's. */
void metrics_image_add(struct metrics_images *m, uint32_t tag, enum metrics_how how);
/* Zeros for one that was never counted. */
void metrics_image_read(const struct metrics_images *m, uint32_t tag, uint64_t ret[METRICS_HOWS]);

/* `now_ns` of any clock that does not go back. */
void metrics_recent_add(struct metrics_recent *r, uint64_t now_ns);
uint64_t metrics_recent_sum(const struct metrics_recent *r, uint64_t now_ns);

#endif
