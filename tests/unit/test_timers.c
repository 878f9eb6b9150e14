/* SPDX-License-Identifier: BSD-3-Clause */
#include "store_fixture.h"

#include "../../chunker/store/timers.h"

#define N 300

static uint64_t random64(uint64_t *x)
{
	*x = *x * 6364136223846793005ull + 1442695040888963407ull;
	return *x >> 33;
}

static uint64_t least(const struct timer *tm)
{
	uint64_t at = UINT64_MAX;

	for (unsigned i = 0; i < N; i++) {
		if (timers_is_set(&tm[i]) && tm[i].at_ns < at)
			at = tm[i].at_ns;
	}
	return at;
}

static void test_first_is_the_earliest_whatever_was_done(void **state)
{
	struct timer tm[N] = {0};
	struct timers t = {0};
	uint64_t x = 1;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct timer *one = &tm[random64(&x) % N];

		if (random64(&x) % 3)
			timers_set(&t, one, random64(&x) % 1000);
		else
			timers_cancel(&t, one);
		struct timer *first = timers_first(&t);
		assert_int_equal(first ? first->at_ns : UINT64_MAX, least(tm));
	}
	uint64_t last = 0;
	for (struct timer *first; (first = timers_first(&t));) {
		assert_true(first->at_ns >= last);
		last = first->at_ns;
		timers_cancel(&t, first);
		assert_false(timers_is_set(first));
	}
	assert_int_equal(least(tm), UINT64_MAX);
}

static void test_cancelling_an_unset_timer_does_nothing(void **state)
{
	struct timers t = {0};
	struct timer a = {0}, b = {0};

	(void)state;
	timers_cancel(&t, &a);
	timers_set(&t, &b, 5);
	timers_cancel(&t, &a);
	assert_ptr_equal(timers_first(&t), &b);
	timers_cancel(&t, &b);
	timers_cancel(&t, &b);
	assert_null(timers_first(&t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_is_the_earliest_whatever_was_done),
		cmocka_unit_test(test_cancelling_an_unset_timer_does_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
