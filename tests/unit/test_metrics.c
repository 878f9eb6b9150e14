/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../cached/metrics.h"
#include "../../chunker/core/clock.h"

#define US     1000ull
#define MINUTE (60 * CLOCK_NS_PER_S)

static void test_bounds_ascend_and_hold_their_times(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < METRICS_BUCKETS; i++) {
		uint64_t bound = metrics_bound_us(i);

		assert_true(i == 0 || bound > metrics_bound_us(i - 1));
		assert_int_equal(metrics_bucket(bound * US - 1), i);
		assert_int_equal(metrics_bucket(bound * US), i + 1);
	}
	assert_true(metrics_bound_us(METRICS_BUCKETS - 1) == UINT64_MAX);
	assert_true(metrics_bound_us(METRICS_BUCKETS - 2) == 1u << 26);
	assert_int_equal(metrics_bucket(0), 0);
	assert_int_equal(metrics_bucket(UINT64_MAX), METRICS_BUCKETS - 1);
}

static void test_buckets_are_narrow(void **state)
{
	(void)state;
	for (unsigned i = 4; i + 1 < METRICS_BUCKETS; i++)
		assert_true(metrics_bound_us(i) * 4 <= metrics_bound_us(i - 1) * 5);
}

static void test_quantiles(void **state)
{
	static struct metrics_histogram h;
	struct metrics_latency l;

	(void)state;
	metrics_read(&h, &l);
	assert_int_equal(metrics_quantile_us(&l, 500), 0);
	for (uint64_t us = 1; us <= 10000; us++)
		metrics_observe(&h, us * US);
	metrics_read(&h, &l);
	assert_int_equal(l.count, 10000);
	assert_int_equal(l.sum_us, 10000ull * 10001 / 2);
	assert_in_range(metrics_quantile_us(&l, 500), 5000, 6250);
	assert_in_range(metrics_quantile_us(&l, 990), 9900, 12375);
	assert_in_range(metrics_quantile_us(&l, 0), 1, 2);
	assert_in_range(metrics_quantile_us(&l, 1000), 10000, 12500);
}

static void test_quantile_of_one_and_of_the_endless(void **state)
{
	struct metrics_latency l = {.count = 1, .sum_us = 100};

	(void)state;
	l.bucket[metrics_bucket(100 * US)] = 1;
	assert_in_range(metrics_quantile_us(&l, 500), 100, 125);
	assert_int_equal(metrics_quantile_us(&l, 500), metrics_quantile_us(&l, 999));
	memset(&l, 0, sizeof(l));
	l.bucket[METRICS_BUCKETS - 1] = l.count = UINT64_MAX / 2;
	assert_true(metrics_quantile_us(&l, 999) == 1u << 26);
}

static void test_images_are_told_apart(void **state)
{
	static struct metrics_images m;
	uint64_t n[METRICS_HOWS];

	(void)state;
	metrics_image_add(&m, 0, METRICS_POOL);
	metrics_image_read(&m, 0, n);
	assert_int_equal(n[METRICS_POOL], 0);
	/* All of these want one slot. */
	for (uint32_t i = 1; i <= 8; i++)
		for (uint32_t k = 0; k < i; k++)
			metrics_image_add(&m, i * METRICS_IMAGES, METRICS_ORIGIN);
	metrics_image_add(&m, METRICS_IMAGES, METRICS_FAILED);
	for (uint32_t i = 1; i <= 8; i++) {
		metrics_image_read(&m, i * METRICS_IMAGES, n);
		assert_int_equal(n[METRICS_ORIGIN], i);
		assert_int_equal(n[METRICS_FAILED], i == 1);
		assert_int_equal(n[METRICS_POOL], 0);
	}
	metrics_image_read(&m, 77, n);
	assert_int_equal(n[METRICS_ORIGIN], 0);
	/* A full table counts those that it knows. */
	for (uint32_t tag = 1; tag <= 4 * METRICS_IMAGES; tag++)
		metrics_image_add(&m, tag, METRICS_POOL);
	metrics_image_add(&m, 8 * METRICS_IMAGES, METRICS_ORIGIN);
	metrics_image_read(&m, 8 * METRICS_IMAGES, n);
	assert_int_equal(n[METRICS_ORIGIN], 9);
}

static void test_merge_adds(void **state)
{
	static struct metrics_histogram a, b;
	struct metrics_latency sum, more;

	(void)state;
	metrics_observe(&a, 10 * US);
	metrics_observe(&b, 10 * US);
	metrics_observe(&b, 10000 * US);
	metrics_read(&a, &sum);
	metrics_read(&b, &more);
	metrics_merge(&sum, &more);
	assert_int_equal(sum.count, 3);
	assert_int_equal(sum.sum_us, 10020);
	assert_int_equal(sum.bucket[metrics_bucket(10 * US)], 2);
}

static void test_recent_forgets_after_an_hour(void **state)
{
	static struct metrics_recent r;
	uint64_t start = 12345 * MINUTE;

	(void)state;
	assert_int_equal(metrics_recent_sum(&r, 0), 0);
	assert_int_equal(metrics_recent_sum(&r, start), 0);
	for (unsigned i = 0; i < 60; i++)
		metrics_recent_add(&r, start + i * MINUTE);
	metrics_recent_add(&r, start + 59 * MINUTE);
	assert_int_equal(metrics_recent_sum(&r, start + 59 * MINUTE), 61);
	assert_int_equal(metrics_recent_sum(&r, start + 60 * MINUTE), 60);
	assert_int_equal(metrics_recent_sum(&r, start + 118 * MINUTE), 2);
	assert_int_equal(metrics_recent_sum(&r, start + 119 * MINUTE), 0);
	metrics_recent_add(&r, start + 200 * MINUTE);
	assert_int_equal(metrics_recent_sum(&r, start + 200 * MINUTE), 1);
}

#define THREADS 4
#define ROUNDS  50000

struct shared {
	struct metrics_tier tier;
	struct metrics_recent recent;
};

static void *observe_many(void *arg)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		metrics_answered(&s->tier, i * US, 10);
		metrics_recent_add(&s->recent, i);
	}
	return NULL;
}

static void test_nothing_is_lost_between_threads(void **state)
{
	static struct shared s;
	pthread_t thread[THREADS];
	struct metrics_latency l;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, observe_many, &s), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	metrics_read(&s.tier.latency, &l);
	assert_int_equal(l.count, THREADS * ROUNDS);
	assert_int_equal(atomic_load(&s.tier.bytes), THREADS * ROUNDS * 10);
	assert_int_equal(metrics_recent_sum(&s.recent, 0), THREADS * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds_ascend_and_hold_their_times),
		cmocka_unit_test(test_buckets_are_narrow),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_quantile_of_one_and_of_the_endless),
		cmocka_unit_test(test_images_are_told_apart),
		cmocka_unit_test(test_merge_adds),
		cmocka_unit_test(test_recent_forgets_after_an_hour),
		cmocka_unit_test(test_nothing_is_lost_between_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
