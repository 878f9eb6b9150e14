/* SPDX-License-Identifier: BSD-3-Clause */
#include "metrics.h"

#include "../chunker/core/clock.h"

#define NS_PER_US     1000u
#define NS_PER_MINUTE (60 * CLOCK_NS_PER_S)
#define STEP_BITS     2u /* four buckets for a doubling */
#define STEPS         (1u << STEP_BITS)

/* Numbers below STEPS have a bucket each; above, the leading bits of the number are its bucket. */
unsigned metrics_bucket(uint64_t ns)
{
	uint64_t us = ns / NS_PER_US;
	unsigned top, bucket;

	if (us < STEPS)
		return (unsigned)us;
	top = 63 - (unsigned)__builtin_clzll(us);
	bucket = (top - 1) * STEPS + (unsigned)(us >> (top - STEP_BITS) & (STEPS - 1));
	return bucket < METRICS_BUCKETS ? bucket : METRICS_BUCKETS - 1;
}

uint64_t metrics_bound_us(unsigned bucket)
{
	if (bucket >= METRICS_BUCKETS - 1)
		return UINT64_MAX;
	if (bucket < STEPS)
		return bucket + 1;
	return (uint64_t)(STEPS + bucket % STEPS + 1) << (bucket / STEPS - 1);
}

static void add(atomic_uint_fast64_t *to, uint64_t n)
{
	atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

void metrics_observe(struct metrics_histogram *h, uint64_t ns)
{
	add(&h->bucket[metrics_bucket(ns)], 1);
	add(&h->sum_us, ns / NS_PER_US);
}

void metrics_answered(struct metrics_tier *t, uint64_t ns, uint64_t bytes)
{
	add(&t->bytes, bytes);
	metrics_observe(&t->latency, ns);
}

void metrics_read(const struct metrics_histogram *h, struct metrics_latency *ret)
{
	*ret = (struct metrics_latency){
		.sum_us = atomic_load_explicit(&h->sum_us, memory_order_relaxed)};
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		ret->bucket[i] = atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
		ret->count += ret->bucket[i];
	}
}

void metrics_merge(struct metrics_latency *to, const struct metrics_latency *more)
{
	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		to->bucket[i] += more->bucket[i];
	to->count += more->count;
	to->sum_us += more->sum_us;
}

uint64_t metrics_quantile_us(const struct metrics_latency *l, unsigned permille)
{
	/* The rank of the observation that is asked for, from 1, without overflow. */
	uint64_t rank = l->count / 1000 * permille + (l->count % 1000 * permille + 999) / 1000;
	uint64_t seen = 0;
	unsigned i = 0;

	if (l->count == 0)
		return 0;
	if (rank == 0)
		rank = 1;
	while (i < METRICS_BUCKETS - 1 && (seen += l->bucket[i]) < rank)
		i++;
	return metrics_bound_us(i < METRICS_BUCKETS - 1 ? i : METRICS_BUCKETS - 2);
}

/* ---- images ---- */

#define PROBES 16u

/* The slot of an image, from where its number says on; METRICS_IMAGES: it has none. Tags are digests' bytes, so the low
 * bits spread. */
static unsigned find_image(const struct metrics_images *m, uint32_t tag, uint32_t *ret_found)
{
	unsigned i = tag % METRICS_IMAGES;

	for (unsigned n = 0; n < PROBES; n++, i = (i + 1) % METRICS_IMAGES) {
		*ret_found = (uint32_t)atomic_load_explicit(&m->slot[i].tag, memory_order_relaxed);
		if (*ret_found == tag || *ret_found == 0)
			return i;
	}
	return METRICS_IMAGES;
}

void metrics_image_add(struct metrics_images *m, uint32_t tag, enum metrics_how how)
{
	uint32_t found;
	unsigned i;

	if (tag == 0)
		return;
	while ((i = find_image(m, tag, &found)) < METRICS_IMAGES) {
		uint_fast32_t none = 0;

		/* One that another took meanwhile is looked at again. */
		if (found == tag || atomic_compare_exchange_strong_explicit(&m->slot[i].tag, &none,
					    tag, memory_order_relaxed, memory_order_relaxed)) {
			add(&m->slot[i].n[how], 1);
			return;
		}
	}
}

void metrics_image_read(const struct metrics_images *m, uint32_t tag, uint64_t ret[METRICS_HOWS])
{
	uint32_t found = 0;
	unsigned i = tag ? find_image(m, tag, &found) : METRICS_IMAGES;

	for (unsigned how = 0; how < METRICS_HOWS; how++)
		ret[how] = i < METRICS_IMAGES && found == tag
				   ? atomic_load_explicit(&m->slot[i].n[how], memory_order_relaxed)
				   : 0;
}

/* ---- the last hour ---- */

/* From 1, so that zeros are no minute that could be now. */
static uint64_t minute_of(uint64_t now_ns)
{
	return now_ns / NS_PER_MINUTE + 1;
}

void metrics_recent_add(struct metrics_recent *r, uint64_t now_ns)
{
	uint64_t minute = minute_of(now_ns);
	atomic_uint_fast64_t *slot = &r->slot[minute % METRICS_MINUTES];
	uint_fast64_t old = atomic_load_explicit(slot, memory_order_relaxed), new;

	do {
		new = old >> 32 == minute ? old : minute << 32;
		if ((new &UINT32_MAX) < UINT32_MAX)
			new ++;
	} while (!atomic_compare_exchange_weak_explicit(
		slot, &old, new, memory_order_relaxed, memory_order_relaxed));
}

uint64_t metrics_recent_sum(const struct metrics_recent *r, uint64_t now_ns)
{
	uint64_t minute = minute_of(now_ns), sum = 0;

	for (unsigned i = 0; i < METRICS_MINUTES; i++) {
		uint64_t slot = atomic_load_explicit(&r->slot[i], memory_order_relaxed);

		if (slot && minute - (slot >> 32) < METRICS_MINUTES)
			sum += slot & UINT32_MAX;
	}
	return sum;
}
