/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../cached/readahead.h"

#define KIB   1024ull
#define MIB   (1024 * KIB)
#define CHUNK (512 * KIB)

/* An image without holes, and what was fetched of it. */
struct world {
	struct readahead ra;
	uint64_t n; /* chunks */
	uint32_t window;
	uint64_t from, to; /* the last answer */
	uint64_t reached;  /* chunks before this one were fetched */
	unsigned answers;
};

static struct world world_of(uint64_t bytes, uint32_t window)
{
	return (struct world){.n = bytes / CHUNK, .window = window};
}

static bool feed(struct world *w, uint64_t offset, uint32_t length)
{
	uint64_t first = (offset + length + CHUNK - 1) / CHUNK;

	if (!readahead_feed(&w->ra, offset, length, first, w->n, w->window, &w->from, &w->to))
		return false;
	assert_true(w->from < w->to && w->to <= w->n);
	assert_true(w->to - w->from <= w->window);
	w->answers++;
	w->reached = w->to > w->reached ? w->to : w->reached;
	return true;
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void test_one_read_is_no_run_however_long(void **state)
{
	struct world w = world_of(64 * MIB, 64);
	(void)state;

	assert_false(feed(&w, 10 * MIB, MIB));
	assert_false(feed(&w, 30 * MIB, MIB));
}

static void test_small_reads_run_only_once_they_add_up(void **state)
{
	struct world w = world_of(64 * MIB, 64);
	uint64_t at = 0;
	(void)state;

	while (!feed(&w, at, 4096))
		at += 4096;
	assert_true(at >= 128 * KIB && at <= 256 * KIB);
}

static void test_the_window_doubles_up_to_its_limit(void **state)
{
	struct world w = world_of(256 * MIB, 32);
	uint64_t largest = 0, before = 0;
	(void)state;

	for (uint64_t at = 0; at < 128 * MIB; at += MIB) {
		uint64_t next = (at + MIB) / CHUNK;
		feed(&w, at, MIB);
		if (w.reached > next && w.reached - next > largest) {
			before = largest;
			largest = w.reached - next;
			assert_true(before == 0 || largest <= 2 * before + 2);
		}
		/* once at full width, half of it is always ahead */
		if (at >= 32 * MIB)
			assert_true(w.reached - next >= 15 && w.reached - next <= 32);
	}
	assert_int_equal(largest, 32);
}

static void test_the_window_grows_with_what_is_read_not_with_the_number_of_reads(void **state)
{
	struct world w = world_of(256 * MIB, 64);
	(void)state;

	for (uint64_t end = 4 * KIB; end < 64 * MIB; end += 4 * KIB) {
		feed(&w, end - 4 * KIB, 4 * KIB);
		assert_true(w.reached * CHUNK <= 4 * end + 2 * CHUNK);
	}
}

static void test_nothing_is_asked_for_twice_or_left_out(void **state)
{
	struct world w = world_of(100 * MIB, 64);
	uint64_t reached = 0;
	(void)state;

	for (uint64_t at = 0; at < 100 * MIB; at += 128 * KIB) {
		if (!feed(&w, at, 128 * KIB))
			continue;
		if (reached)
			assert_int_equal(w.from, reached);
		reached = w.to;
	}
	assert_int_equal(reached, w.n);
}

static void test_the_end_of_the_table_ends_it(void **state)
{
	struct world w = world_of(8 * MIB, 64);
	(void)state;

	for (uint64_t at = 0; at < 8 * MIB; at += MIB)
		feed(&w, at, MIB);
	assert_int_equal(w.reached, 16);
	unsigned answers = w.answers;
	assert_false(feed(&w, 7 * MIB, MIB));
	assert_int_equal(w.answers, answers);
}

static void test_without_a_window_nothing_is_fetched(void **state)
{
	struct world w = world_of(64 * MIB, 0);
	(void)state;

	for (uint64_t at = 0; at < 64 * MIB; at += MIB)
		assert_false(feed(&w, at, MIB));
}

static void test_interleaved_readers_are_told_apart(void **state)
{
	struct world w = world_of(1024 * MIB, 32);
	uint64_t from[8], to[8] = {0};
	(void)state;

	for (unsigned step = 0; step < 64; step++)
		for (unsigned i = 0; i < 8; i++) {
			uint64_t start = i * 128 * MIB, at = start + step * 128 * KIB;
			if (feed(&w, at, 128 * KIB)) {
				from[i] = w.from;
				to[i] = w.to;
				assert_true(from[i] * CHUNK >= start);
				assert_true(to[i] * CHUNK <= at + 128 * KIB + 33 * CHUNK);
			}
		}
	for (unsigned i = 0; i < 8; i++)
		assert_true(to[i] * CHUNK >= i * 128 * MIB + 64 * 128 * KIB + 2 * CHUNK);
}

static void test_reads_out_of_order_by_two_mib_are_one_run(void **state)
{
	struct world w = world_of(256 * MIB, 32);
	uint64_t x = 12345;
	(void)state;

	/* blocks of 2 MiB, their eight reads in any order */
	for (uint64_t block = 0; block < 64 * MIB; block += 2 * MIB) {
		unsigned order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
		for (unsigned i = 7; i > 0; i--) {
			unsigned j = (unsigned)(next_random(&x) % (i + 1)), t = order[i];
			order[i] = order[j];
			order[j] = t;
		}
		for (unsigned i = 0; i < 8; i++)
			feed(&w, block + order[i] * 256 * KIB, 256 * KIB);
		if (block >= 16 * MIB)
			assert_true(w.reached * CHUNK >= block + 8 * MIB);
	}
}

static void test_two_threads_that_overtake_each_other_are_one_run(void **state)
{
	struct world w = world_of(256 * MIB, 32);
	(void)state;

	for (uint64_t at = 0; at < 32 * MIB; at += 2 * MIB) {
		feed(&w, at + MIB, MIB);
		feed(&w, at, MIB);
		if (at >= 4 * MIB)
			assert_true(w.reached * CHUNK > at + 2 * MIB);
	}
}

/* A reader that leaves a few things out, as one does who seeks over holes. */
static void test_small_gaps_do_not_end_a_run(void **state)
{
	struct world w = world_of(256 * MIB, 32);
	(void)state;

	for (uint64_t at = 0; at < 8 * MIB; at += MIB)
		feed(&w, at, MIB);
	for (uint64_t at = 8 * MIB; at < 128 * MIB; at += 3 * MIB / 2) {
		feed(&w, at, MIB);
		assert_true(w.reached * CHUNK > at + MIB);
	}
}

static void test_reading_the_same_again_is_no_run(void **state)
{
	struct world w = world_of(64 * MIB, 32);
	(void)state;

	for (unsigned i = 0; i < 1000; i++)
		assert_false(feed(&w, 5 * MIB, 256 * KIB));
	for (unsigned i = 0; i < 1000; i++)
		assert_false(feed(&w, 20 * MIB + (i % 2) * 4096, 64 * KIB));
}

static unsigned count_random_answers(uint64_t image, uint32_t length, unsigned reads)
{
	struct world w = world_of(image, 64);
	uint64_t x = 88172645463325252ull;

	for (unsigned i = 0; i < reads; i++)
		feed(&w, next_random(&x) % ((image - length) / 4096) * 4096, length);
	return w.answers;
}

static void test_random_reads_fetch_nothing_ahead(void **state)
{
	(void)state;

	/* also in images so small that a read is always near an earlier one */
	for (uint64_t image = 16 * MIB; image <= 4096 * MIB; image *= 4) {
		assert_int_equal(count_random_answers(image, 4 * KIB, 20000), 0);
		assert_int_equal(count_random_answers(image, 16 * KIB, 20000), 0);
		/* longer ones meet now and then */
		if (image >= 256 * MIB)
			assert_true(count_random_answers(image, 128 * KIB, 20000) < 100);
	}
}

static void test_a_run_is_found_among_random_reads(void **state)
{
	struct world w = world_of(1024 * MIB, 32);
	uint64_t x = 99;
	(void)state;

	for (uint64_t at = 512 * MIB; at < 544 * MIB; at += 256 * KIB) {
		feed(&w, at, 256 * KIB);
		for (unsigned i = 0; i < 4; i++)
			feed(&w, next_random(&x) % (100 * 1024) * 4096, 4096);
		if (at >= 520 * MIB)
			assert_true(w.reached * CHUNK > at + 4 * MIB);
	}
}

static void test_a_reader_that_jumps_away_starts_anew(void **state)
{
	struct world w = world_of(1024 * MIB, 32);
	(void)state;

	for (uint64_t at = 0; at < 64 * MIB; at += MIB)
		feed(&w, at, MIB);
	assert_false(feed(&w, 500 * MIB, MIB));
	assert_true(feed(&w, 501 * MIB, MIB));
	assert_true(w.to - w.from <= 2);
	assert_int_equal(w.from, 502 * 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_read_is_no_run_however_long),
		cmocka_unit_test(test_small_reads_run_only_once_they_add_up),
		cmocka_unit_test(test_the_window_doubles_up_to_its_limit),
		cmocka_unit_test(
			test_the_window_grows_with_what_is_read_not_with_the_number_of_reads),
		cmocka_unit_test(test_nothing_is_asked_for_twice_or_left_out),
		cmocka_unit_test(test_the_end_of_the_table_ends_it),
		cmocka_unit_test(test_without_a_window_nothing_is_fetched),
		cmocka_unit_test(test_interleaved_readers_are_told_apart),
		cmocka_unit_test(test_reads_out_of_order_by_two_mib_are_one_run),
		cmocka_unit_test(test_two_threads_that_overtake_each_other_are_one_run),
		cmocka_unit_test(test_small_gaps_do_not_end_a_run),
		cmocka_unit_test(test_reading_the_same_again_is_no_run),
		cmocka_unit_test(test_random_reads_fetch_nothing_ahead),
		cmocka_unit_test(test_a_run_is_found_among_random_reads),
		cmocka_unit_test(test_a_reader_that_jumps_away_starts_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
