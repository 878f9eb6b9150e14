/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../chunker/build/ahead.h"

/* `n` bytes, each its offset's low byte, then `result`. */
struct plan {
	size_t n, at;
	int result;
	atomic_bool stuck; /* the producer waits until this is false */
	atomic_int n_calls;
};

static int produce(void *user, void *data, size_t n, size_t *ret_n, struct smr_error *err)
{
	struct plan *p = user;
	unsigned char *to = data;

	atomic_fetch_add(&p->n_calls, 1);
	while (atomic_load(&p->stuck))
		usleep(1000);
	if (p->at == p->n && p->result < 0)
		return error_set(err, p->result, "at %zu", p->at);
	if (n > p->n - p->at)
		n = p->n - p->at;
	if (p->result < 0 && n < 1u << 18)
		return error_set(err, p->result, "at %zu", p->at);
	for (size_t i = 0; i < n; i++)
		to[i] = (unsigned char)(p->at + i);
	p->at += n;
	*ret_n = n;
	return 0;
}

static size_t drain(struct ahead *a, int *ret_result, struct smr_error *err)
{
	const void *data;
	size_t n, total = 0;

	for (;;) {
		*ret_result = ahead_read(a, &data, &n, err);
		if (*ret_result < 0 || n == 0)
			return total;
		for (size_t i = 0; i < n; i++)
			if (((const unsigned char *)data)[i] != (unsigned char)(total + i))
				fail_msg("byte %zu", total + i);
		total += n;
	}
}

static void test_all_bytes_come_in_order(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 1u << 18, (1u << 18) + 1, 1u << 20, 5000001};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct plan p = {.n = sizes[i]};
		struct ahead *a;
		int r;
		assert_int_equal(ahead_new(produce, &p, &a), 0);
		assert_int_equal(drain(a, &r, NULL), sizes[i]);
		assert_int_equal(r, 0);
		/* the end stays the end */
		assert_int_equal(drain(a, &r, NULL), 0);
		assert_int_equal(r, 0);
		ahead_free(a);
	}
}

static void test_a_failure_comes_behind_what_was_good(void **state)
{
	(void)state;
	struct plan p = {.n = 3u << 18, .result = -EBADMSG};
	struct smr_error err = {0};
	struct ahead *a;
	int r;
	assert_int_equal(ahead_new(produce, &p, &a), 0);
	assert_int_equal(drain(a, &r, &err), 3u << 18);
	assert_int_equal(r, -EBADMSG);
	assert_string_equal(err.message, "at 786432");
	assert_int_equal(drain(a, &r, NULL), 0);
	assert_int_equal(r, -EBADMSG);
	ahead_free(a);
}

static void test_it_runs_ahead_but_not_far(void **state)
{
	(void)state;
	struct plan p = {.n = 64u << 20};
	struct ahead *a;
	assert_int_equal(ahead_new(produce, &p, &a), 0);
	for (int i = 0; i < 5000 && atomic_load(&p.n_calls) < 4; i++)
		usleep(1000);
	usleep(20000);
	assert_int_equal(atomic_load(&p.n_calls), 4);
	ahead_free(a); /* with all buffers full */
}

static void test_it_can_be_given_up_while_the_producer_works(void **state)
{
	(void)state;
	struct plan p = {.n = 1u << 20, .stuck = true};
	struct ahead *a;
	assert_int_equal(ahead_new(produce, &p, &a), 0);
	while (atomic_load(&p.n_calls) == 0)
		usleep(1000);
	atomic_store(&p.stuck, false);
	ahead_free(a);
	ahead_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_bytes_come_in_order),
		cmocka_unit_test(test_a_failure_comes_behind_what_was_good),
		cmocka_unit_test(test_it_runs_ahead_but_not_far),
		cmocka_unit_test(test_it_can_be_given_up_while_the_producer_works),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
