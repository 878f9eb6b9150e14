/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../chunker/core/clock.h"
#include "../../fs/crew.h"

#define FAST (2000u)
#define SLOW (300u * 1000)
#define N    3

struct worker {
	struct crew *crew;
	pthread_t id;
	atomic_bool joined;
	bool result;
};

static void *join(void *arg)
{
	struct worker *w = arg;
	w->result = crew_join(w->crew);
	atomic_store(&w->joined, true);
	return NULL;
}

static void start(struct worker *w, struct crew *c)
{
	*w = (struct worker){.crew = c};
	assert_int_equal(pthread_create(&w->id, NULL, join, w), 0);
}

static void wait_joined(struct worker *w)
{
	pthread_join(w->id, NULL);
	assert_true(w->joined);
}

/* Long enough for a thread that is not held back. */
static void settle(void)
{
	usleep(20000);
}

static void test_one_reads_while_requests_are_fast(void **state)
{
	(void)state;
	struct crew c;
	struct worker w;
	crew_init(&c, 8);
	assert_true(crew_join(&c));
	start(&w, &c);
	for (int i = 0; i < 1000; i++)
		crew_report(&c, 4096, FAST);
	settle();
	assert_false(w.joined);
	assert_true(crew_is_one(&c));
	assert_true(crew_stays(&c));
	crew_leave(&c);
	wait_joined(&w);
	assert_true(w.result);
	crew_leave(&c);
	crew_done(&c);
}

static void test_one_slow_request_calls_nobody(void **state)
{
	(void)state;
	struct crew c;
	crew_init(&c, 8);
	for (int round = 0; round < 10; round++) {
		crew_report(&c, 4096, SLOW);
		assert_true(crew_is_one(&c));
		for (int i = 0; i < 20; i++)
			crew_report(&c, 4096, FAST);
	}
	crew_done(&c);
}

static void test_slow_requests_call_all_and_fast_ones_send_them_back(void **state)
{
	(void)state;
	struct crew c;
	struct worker w[N];
	crew_init(&c, 8);
	assert_true(crew_join(&c));
	for (int i = 0; i < N; i++)
		start(&w[i], &c);
	crew_report(&c, 4096, SLOW);
	crew_report(&c, 4096, SLOW);
	for (int i = 0; i < N; i++)
		wait_joined(&w[i]);
	assert_true(crew_stays(&c));

	unsigned fast = 0;
	for (; !crew_is_one(&c); fast++)
		crew_report(&c, 4096, FAST);
	assert_in_range(fast, 1, 100);
	/* three of the four go */
	for (int i = 0; i < N; i++) {
		assert_false(crew_stays(&c));
		crew_leave(&c);
	}
	assert_true(crew_stays(&c));
	crew_leave(&c);
	crew_done(&c);
}

static void test_large_requests_call_others_where_cpus_are_to_spare(void **state)
{
	(void)state;
	const uint32_t large = 1 << 20;
	struct crew many, full;
	crew_init(&many, 8);
	crew_init(&full, 2);
	for (int i = 0; i < 3; i++) {
		crew_report(&many, large, SLOW);
		crew_report(&full, large, SLOW);
	}
	assert_false(crew_is_one(&many));
	assert_true(crew_is_one(&full));
	/* so long for so little is not the memory */
	for (int i = 0; i < 3; i++)
		crew_report(&full, 4096, SLOW);
	assert_false(crew_is_one(&full));
	crew_done(&many);
	crew_done(&full);
}

static void test_the_last_one_that_leaves_is_replaced(void **state)
{
	(void)state;
	struct crew c;
	struct worker w[2];
	crew_init(&c, 8);
	assert_true(crew_join(&c));
	start(&w[0], &c);
	start(&w[1], &c);
	settle();
	crew_leave(&c);
	settle();
	assert_int_equal(w[0].joined + w[1].joined, 1);
	crew_leave(&c);
	wait_joined(&w[0]);
	wait_joined(&w[1]);
	crew_leave(&c);
	crew_done(&c);
}

static void test_stop_ends_waiting(void **state)
{
	(void)state;
	struct crew c;
	struct worker w;
	crew_init(&c, 8);
	assert_true(crew_join(&c));
	start(&w, &c);
	settle();
	crew_stop(&c);
	wait_joined(&w);
	assert_false(w.result);
	assert_false(crew_join(&c));
	crew_leave(&c);
	crew_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_reads_while_requests_are_fast),
		cmocka_unit_test(test_one_slow_request_calls_nobody),
		cmocka_unit_test(test_slow_requests_call_all_and_fast_ones_send_them_back),
		cmocka_unit_test(test_large_requests_call_others_where_cpus_are_to_spare),
		cmocka_unit_test(test_the_last_one_that_leaves_is_replaced),
		cmocka_unit_test(test_stop_ends_waiting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
