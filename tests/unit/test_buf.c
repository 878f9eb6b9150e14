/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/core/buf.h"

static void test_append_up_to_the_maximum_and_not_beyond(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	assert_int_equal(buf_append(&b, "01234", 5), 0);
	assert_int_equal(buf_append(&b, "56789", 5), 0);
	assert_int_equal(b.len, 10);
	assert_int_equal(buf_append(&b, "x", 1), -EFBIG);
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.data, "0123456789", 10);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	buf_done(&b);
}

static void test_a_full_buffer_still_has_room_for_the_nul(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 4);
	assert_int_equal(buf_append_str(&b, "full"), 0);
	assert_string_equal(buf_cstr(&b), "full");
	assert_int_equal(b.len, 4);
	buf_done(&b);
	assert_string_equal(buf_cstr(&b), "");
	buf_done(&b);
}

static void test_a_maximum_of_zero_holds_nothing(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 0);
	assert_int_equal(buf_reserve(&b, 0), 0);
	assert_int_equal(buf_append(&b, "", 0), 0);
	assert_int_equal(buf_append(&b, "a", 1), -EFBIG);
	assert_string_equal(buf_cstr(&b), "");
	buf_done(&b);
}

static void test_reserve_refuses_sums_that_overflow(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_append(&b, "abc", 3), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX - 2), -EFBIG);
	assert_memory_equal(b.data, "abc", 3);
	buf_done(&b);
}

static void test_allocation_never_exceeds_the_maximum_by_more_than_the_nul(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_append(&b, "x", 1), 0);
	assert_true(b.cap <= 1001);
	buf_done(&b);
}

static void test_appendf_fits_exactly_or_changes_nothing(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 7);
	assert_int_equal(buf_appendf(&b, "%d-%s", 12, "abcd"), 0);
	assert_int_equal(b.len, 7);
	assert_memory_equal(b.data, "12-abcd", 7);
	assert_int_equal(buf_appendf(&b, "%c", 'z'), -EFBIG);
	assert_int_equal(b.len, 7);
	buf_reset(&b);
	assert_int_equal(buf_appendf(&b, "%s", "12345678"), -EFBIG);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_appendf(&b, "%s", ""), 0);
	assert_string_equal(buf_cstr(&b), "");
	buf_done(&b);
}

static void test_reset_keeps_the_memory(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	assert_int_equal(buf_append_str(&b, "something"), 0);
	const unsigned char *data = b.data;
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_ptr_equal(b.data, data);
	buf_done(&b);
	assert_null(b.data);
	assert_int_equal(b.max, 100);
}

static void test_move_hands_over_content_and_maximum(void **state)
{
	(void)state;
	struct buf from, to;
	buf_init(&from, 100);
	buf_init(&to, 3);
	assert_int_equal(buf_append_str(&from, "content"), 0);
	buf_move(&to, &from);
	assert_int_equal(to.len, 7);
	assert_int_equal(to.max, 100);
	assert_string_equal(buf_cstr(&to), "content");
	assert_null(from.data);
	assert_int_equal(from.len, 0);
	assert_int_equal(buf_append_str(&from, "again"), 0);
	buf_done(&from);
	buf_done(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_up_to_the_maximum_and_not_beyond),
		cmocka_unit_test(test_a_full_buffer_still_has_room_for_the_nul),
		cmocka_unit_test(test_a_maximum_of_zero_holds_nothing),
		cmocka_unit_test(test_reserve_refuses_sums_that_overflow),
		cmocka_unit_test(test_allocation_never_exceeds_the_maximum_by_more_than_the_nul),
		cmocka_unit_test(test_appendf_fits_exactly_or_changes_nothing),
		cmocka_unit_test(test_reset_keeps_the_memory),
		cmocka_unit_test(test_move_hands_over_content_and_maximum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
