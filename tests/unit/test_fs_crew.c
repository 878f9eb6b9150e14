/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
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
	struct crew_seat seat = {0};
	struct worker w;
	crew_init(&c, 8);
	assert_true(crew_join(&c));
	start(&w, &c);
	for (int i = 0; i < 1000; i++)
		crew_report(&c, &seat, false, FAST);
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
	struct crew_seat seat = {0};
	crew_init(&c, 8);
	for (int round = 0; round < 10; round++) {
		crew_report(&c, &seat, false, SLOW);
		assert_true(crew_is_one(&c));
		for (int i = 0; i < 20; i++)
			crew_report(&c, &seat, false, FAST);
	}
	crew_done(&c);
}

static void test_slow_requests_call_all_and_fast_ones_send_them_back(void **state)
{
	(void)state;
	struct crew c;
	struct crew_seat seat = {0};
	struct worker w[N];
	crew_init(&c, 8);
	assert_true(crew_join(&c));
	for (int i = 0; i < N; i++)
		start(&w[i], &c);
	crew_report(&c, &seat, false, SLOW);
	crew_report(&c, &seat, false, SLOW);
	for (int i = 0; i < N; i++)
		wait_joined(&w[i]);
	assert_true(crew_stays(&c));

	unsigned fast = 0;
	for (; !crew_is_one(&c); fast++)
		crew_report(&c, &seat, false, FAST);
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

/* Reads a page from the disk; false where the file system has none. */
static bool fault(void)
{
	char path[] = "crew.XXXXXX", page[4096] = {1};
	struct rusage before, after;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	getrusage(RUSAGE_THREAD, &before);
	volatile char *p = mmap(NULL, sizeof(page), PROT_READ, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED && *p == 1);
	getrusage(RUSAGE_THREAD, &after);
	munmap((void *)p, sizeof(page));
	close(fd);
	return after.ru_majflt > before.ru_majflt;
}

static void test_without_a_cpu_to_spare_only_the_disk_calls_others(void **state)
{
	(void)state;
	struct crew c;
	struct crew_seat seat = {0};
	fault();
	crew_init(&c, 2);
	for (int i = 0; i < 10; i++)
		crew_report(&c, &seat, false, SLOW);
	assert_true(crew_is_one(&c));
	if (!fault())
		skip();
	crew_report(&c, &seat, false, SLOW);
	assert_true(fault());
	crew_report(&c, &seat, false, SLOW);
	assert_false(crew_is_one(&c));
	crew_done(&c);
}

static void test_slow_requests_of_one_that_waits_call_others(void **state)
{
	(void)state;
	struct crew c;
	struct crew_seat seat = {0};
	crew_init(&c, 2);
	crew_report(&c, &seat, true, SLOW);
	crew_report(&c, &seat, true, SLOW);
	assert_false(crew_is_one(&c));
	crew_done(&c);
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
		cmocka_unit_test(test_without_a_cpu_to_spare_only_the_disk_calls_others),
		cmocka_unit_test(test_slow_requests_of_one_that_waits_call_others),
		cmocka_unit_test(test_the_last_one_that_leaves_is_replaced),
		cmocka_unit_test(test_stop_ends_waiting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
