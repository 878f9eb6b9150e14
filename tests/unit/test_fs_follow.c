/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../chunker/core/clock.h"
#include "../../fs/follow.h"

#define NUMBERS_TO_38                                                                     \
	" 1 2 2 0 -1 4194560 5 0 0 0 1 2 0 0 20 0 1 0 99 1000 200 18446744073709551615 1" \
	" 1 0 0 0 0 0 0 0 0 0 0 17"

static void test_the_processor_is_the_39th_field(void **state)
{
	(void)state;
	assert_int_equal(follow_parse_cpu("7 (dd) S" NUMBERS_TO_38 " 3 0 0 0 0 0\n"), 3);
	assert_int_equal(follow_parse_cpu("7 (dd) R" NUMBERS_TO_38 " 0"), 0);
}

static void test_a_name_may_look_like_fields(void **state)
{
	(void)state;
	assert_int_equal(follow_parse_cpu("7 (a) S 1 (b) c) S" NUMBERS_TO_38 " 1 0 0\n"), 1);
}

static void test_what_is_no_stat_has_no_processor(void **state)
{
	(void)state;
	assert_int_equal(follow_parse_cpu(""), -1);
	assert_int_equal(follow_parse_cpu("7 (dd) S 1 2 3\n"), -1);
	assert_int_equal(follow_parse_cpu("7 (dd) S" NUMBERS_TO_38), -1);
	assert_int_equal(follow_parse_cpu("7 (dd) S" NUMBERS_TO_38 " x 0\n"), -1);
	assert_int_equal(follow_parse_cpu("7 (dd) S" NUMBERS_TO_38 " -1 0\n"), -1);
	assert_int_equal(follow_parse_cpu("7 (dd) S" NUMBERS_TO_38 " 99999999 0\n"), -1);
}

#define GAP_FAR 16000

static void requests(struct follow *f, pid_t tid, uint64_t *now, unsigned n)
{
	for (; n > 0; n--) {
		follow_request(f, tid, *now += GAP_FAR);
		follow_answered(f, *now += 2000);
	}
}

static int cpus_now(void)
{
	cpu_set_t set;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	return CPU_COUNT(&set);
}

static void start_or_skip(struct follow *f)
{
	follow_init(f);
	if (f->off)
		skip();
}

static void test_a_run_of_one_thread_binds_and_another_frees(void **state)
{
	(void)state;
	struct follow f;
	uint64_t now = CLOCK_NS_PER_S;
	start_or_skip(&f);
	int all = cpus_now();
	requests(&f, getpid(), &now, 7);
	assert_int_equal(cpus_now(), all);
	requests(&f, getpid(), &now, 100);
	assert_int_equal(cpus_now(), 1);
	requests(&f, getppid(), &now, 1);
	assert_int_equal(cpus_now(), all);
}

static void test_requests_that_come_at_once_bind_nothing(void **state)
{
	(void)state;
	struct follow f;
	uint64_t now = CLOCK_NS_PER_S;
	start_or_skip(&f);
	int all = cpus_now();
	for (int i = 0; i < 1000; i++) {
		follow_request(&f, getpid(), now += i % 8 == 0 ? GAP_FAR : 2500);
		follow_answered(&f, now += 2000);
	}
	assert_int_equal(cpus_now(), all);
}

static void test_one_that_is_here_is_looked_for_less_and_less(void **state)
{
	(void)state;
	struct follow f;
	uint64_t now = CLOCK_NS_PER_S;
	start_or_skip(&f);
	requests(&f, getpid(), &now, 8);
	assert_int_equal(cpus_now(), 1);
	unsigned before = f.wait;
	requests(&f, getpid(), &now, 100);
	assert_true(f.wait > before);
	requests(&f, getpid(), &now, 1000000);
	assert_true(f.wait <= 1024);
	follow_end(&f);
	assert_int_equal(f.wait, before);
}

static void test_a_pause_frees(void **state)
{
	(void)state;
	struct follow f;
	uint64_t now = CLOCK_NS_PER_S;
	start_or_skip(&f);
	int all = cpus_now();
	requests(&f, getpid(), &now, 100);
	assert_int_equal(cpus_now(), 1);
	now += CLOCK_NS_PER_S;
	requests(&f, getpid(), &now, 1);
	assert_int_equal(cpus_now(), all);
}

static void test_several_threads_in_turn_bind_nothing(void **state)
{
	(void)state;
	struct follow f;
	uint64_t now = CLOCK_NS_PER_S;
	start_or_skip(&f);
	int all = cpus_now();
	for (int i = 0; i < 500; i++)
		requests(&f, i % 2 ? getpid() : getppid(), &now, 1);
	assert_int_equal(cpus_now(), all);
}

static void test_who_is_not_seen_is_not_followed(void **state)
{
	(void)state;
	struct follow f;
	uint64_t now = CLOCK_NS_PER_S;
	start_or_skip(&f);
	int all = cpus_now();
	requests(&f, 0, &now, 100);
	assert_int_equal(cpus_now(), all);
	requests(&f, 0x7ffffff0, &now, 100);
	assert_int_equal(cpus_now(), all);
	follow_end(&f);
	assert_int_equal(cpus_now(), all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_processor_is_the_39th_field),
		cmocka_unit_test(test_a_name_may_look_like_fields),
		cmocka_unit_test(test_what_is_no_stat_has_no_processor),
		cmocka_unit_test(test_a_run_of_one_thread_binds_and_another_frees),
		cmocka_unit_test(test_requests_that_come_at_once_bind_nothing),
		cmocka_unit_test(test_one_that_is_here_is_looked_for_less_and_less),
		cmocka_unit_test(test_a_pause_frees),
		cmocka_unit_test(test_several_threads_in_turn_bind_nothing),
		cmocka_unit_test(test_who_is_not_seen_is_not_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
