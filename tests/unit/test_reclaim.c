/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../cached/reclaim.h"

#define MIB     (1ull << 20)
#define SIZE    (1024 * MIB)
#define ONE     (512ull << 10)
#define WAIT_MS 5000

/* A cache of numbers. */
struct fixture {
	struct reclaim *r;
	atomic_uint_fast64_t used, pending, disk_free, evicted;
	atomic_bool late; /* what is evicted does not free the disk */
	atomic_bool stuck;
	atomic_int disk_error;
};

static void get_state(void *user, struct reclaim_state *ret)
{
	struct fixture *f = user;

	ret->used = atomic_load(&f->used);
	ret->pending = atomic_load(&f->pending);
}

static bool evict(void *user, uint64_t target)
{
	struct fixture *f = user;

	if (atomic_load(&f->stuck) || atomic_load(&f->used) <= target)
		return false;
	atomic_fetch_sub(&f->used, ONE);
	if (!atomic_load(&f->late))
		atomic_fetch_add(&f->disk_free, ONE);
	atomic_fetch_add(&f->evicted, 1);
	return true;
}

static int disk_free(void *user, uint64_t *ret)
{
	struct fixture *f = user;

	*ret = atomic_load(&f->disk_free);
	return atomic_load(&f->disk_error);
}

static void start(struct fixture *f, uint64_t min_free)
{
	struct reclaim_options opts = {.size = SIZE,
		.min_free = min_free,
		.state = get_state,
		.evict = evict,
		.disk_free = disk_free,
		.user = f};

	assert_int_equal(reclaim_new(&opts, &f->r), 0);
}

static void wait_for(atomic_uint_fast64_t *value, uint64_t want)
{
	for (unsigned i = 0; i < WAIT_MS && atomic_load(value) != want; i++)
		usleep(1000);
	assert_int_equal(atomic_load(value), want);
}

static void note(struct fixture *f, uint64_t bytes)
{
	reclaim_note(f->r, bytes, atomic_load(&f->used));
}

static void test_watermarks(void **state)
{
	(void)state;
	assert_int_equal(reclaim_high(0), 0);
	assert_int_equal(reclaim_low(0), 0);
	assert_int_equal(reclaim_high(63 * MIB), 63 * MIB);
	assert_int_equal(reclaim_low(63 * MIB), 63 * MIB);
	assert_int_equal(reclaim_high(64 * MIB), 62 * MIB);
	assert_int_equal(reclaim_low(64 * MIB), 60 * MIB);
	assert_int_equal(reclaim_low(UINT64_MAX), UINT64_MAX - 512 * MIB);
}

static void test_starts_above_high_and_stops_at_low(void **state)
{
	struct fixture f = {.used = reclaim_high(SIZE)};

	(void)state;
	start(&f, 0);
	note(&f, ONE);
	usleep(20000);
	assert_int_equal(atomic_load(&f.evicted), 0);
	atomic_fetch_add(&f.used, ONE);
	note(&f, ONE);
	wait_for(&f.used, reclaim_low(SIZE));
	usleep(20000);
	assert_int_equal(atomic_load(&f.used), reclaim_low(SIZE));
	reclaim_free(f.r);
	reclaim_free(NULL);
}

static void test_gives_up_when_nothing_can_go(void **state)
{
	struct fixture f = {.used = SIZE, .stuck = true};

	(void)state;
	start(&f, 0);
	note(&f, ONE);
	usleep(20000);
	atomic_store(&f.stuck, false);
	note(&f, ONE); /* and tries again */
	wait_for(&f.used, reclaim_low(SIZE));
	reclaim_free(f.r);
}

static void test_frees_what_the_disk_lacks(void **state)
{
	struct fixture f = {.used = SIZE / 2, .disk_free = 100 * MIB};

	(void)state;
	start(&f, 128 * MIB);
	note(&f, 7 * MIB); /* not worth a look yet */
	usleep(20000);
	assert_int_equal(atomic_load(&f.evicted), 0);
	note(&f, 1 * MIB);
	wait_for(&f.disk_free, 136 * MIB);
	assert_int_equal(atomic_load(&f.used), SIZE / 2 - 36 * MIB);
	/* it came at once, so the next look may follow at once */
	atomic_store(&f.disk_free, 127 * MIB);
	note(&f, 8 * MIB);
	wait_for(&f.disk_free, 136 * MIB);
	reclaim_free(f.r);
}

static void test_what_comes_late_is_not_evicted_twice(void **state)
{
	struct fixture f = {.used = SIZE / 2, .disk_free = 100 * MIB, .late = true};

	(void)state;
	start(&f, 128 * MIB);
	note(&f, 8 * MIB);
	wait_for(&f.used, SIZE / 2 - 36 * MIB);
	note(&f, 8 * MIB);
	usleep(50000);
	assert_int_equal(atomic_load(&f.used), SIZE / 2 - 36 * MIB);
	reclaim_free(f.r);
}

static void test_what_is_about_to_be_free_counts_as_free(void **state)
{
	struct fixture f = {.used = SIZE / 2, .disk_free = 100 * MIB, .pending = 28 * MIB};

	(void)state;
	start(&f, 128 * MIB);
	note(&f, 8 * MIB);
	usleep(50000);
	assert_int_equal(atomic_load(&f.evicted), 0);
	reclaim_free(f.r);
}

static void test_a_disk_that_does_not_tell_is_left_alone(void **state)
{
	struct fixture f = {.used = SIZE / 2, .disk_error = -EIO};

	(void)state;
	start(&f, 128 * MIB);
	note(&f, 8 * MIB);
	usleep(50000);
	assert_int_equal(atomic_load(&f.evicted), 0);
	reclaim_free(f.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_watermarks),
		cmocka_unit_test(test_starts_above_high_and_stops_at_low),
		cmocka_unit_test(test_gives_up_when_nothing_can_go),
		cmocka_unit_test(test_frees_what_the_disk_lacks),
		cmocka_unit_test(test_what_comes_late_is_not_evicted_twice),
		cmocka_unit_test(test_what_is_about_to_be_free_counts_as_free),
		cmocka_unit_test(test_a_disk_that_does_not_tell_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
