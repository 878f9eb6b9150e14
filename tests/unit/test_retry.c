/* SPDX-License-Identifier: BSD-3-Clause */
#include "store_fixture.h"

#include "../../chunker/core/clock.h"
#include "../../chunker/store/retry.h"

#define MS CLOCK_NS_PER_MS

static void test_backoff_doubles_up_to_its_cap(void **state)
{
	static const unsigned ms[] = {50, 100, 200, 400, 800, 1600, 2000, 2000};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(retry_delay_ns(i + 1, 0, UINT32_MAX), ms[i] * MS);
		assert_int_equal(retry_delay_ns(i + 1, 0, 0), ms[i] * MS / 2);
	}
	assert_int_equal(retry_delay_ns(UINT32_MAX, 0, UINT32_MAX), 2000 * MS);
	assert_int_equal(retry_delay_ns(0, 0, UINT32_MAX), 50 * MS);
}

static void test_what_the_server_asks_for_is_the_least(void **state)
{
	(void)state;
	assert_int_equal(retry_delay_ns(1, 3, 0), 3000 * MS);
	assert_int_equal(retry_delay_ns(1, 4, UINT32_MAX), 5000 * MS);
	assert_int_equal(retry_delay_ns(9, 1, 0), 1000 * MS);
	assert_true(retry_delay_ns(9, 1, UINT32_MAX) == 2000 * MS);
	assert_true(retry_delay_ns(1, UINT64_MAX, UINT32_MAX) >= UINT32_MAX * CLOCK_NS_PER_S);
}

static void test_statuses(void **state)
{
	static const int again[] = {408, 429, 500, 502, 503, 504, 520, 599};
	static const int never[] = {200, 301, 304, 400, 401, 403, 404, 410, 416, 501, 505, 600, 0};

	(void)state;
	for (unsigned i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
		assert_true(retry_status(again[i]));
		assert_true(store_error_is_transient(retry_errno(again[i])));
	}
	for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		assert_false(retry_status(never[i]));
		assert_false(store_error_is_transient(retry_errno(never[i])));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff_doubles_up_to_its_cap),
		cmocka_unit_test(test_what_the_server_asks_for_is_the_least),
		cmocka_unit_test(test_statuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
