/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/core/units.h"

static void test_sizes_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{"0", 0},
		{"4096", 4096},
		{"4096B", 4096},
		{"512k", 512 << 10},
		{"512K", 512 << 10},
		{"10G", 10ull << 30},
		{"10g", 10ull << 30},
		{"3T", 3ull << 40},
		{"2M", 2 << 20},
		{"1kB", 1000},
		{"1 kB", 1000},
		{"58.2 MB", 58200000},
		{"2MB", 2000000},
		{"2GB", 2000000000},
		{"2TB", 2000000000000},
		{"1.5GiB", 3ull << 29},
		{"1.5G", 3ull << 29},
		{"64KiB", 65536},
		{"0.5k", 512},
		{"1.0001k", 1024},
		{"1.000000000001TB", 1000000000001},
		{"1.99999999999999999999999999TB", 1999999999999},
		{"007", 7},
		{"18446744073709551615", UINT64_MAX},
		{"16777215.999999999999T", UINT64_MAX - 1},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 1;
		assert_int_equal(units_parse_size(cases[i].text, &bytes), 0);
		assert_true(bytes == cases[i].bytes);
	}
}

static void test_what_is_not_a_size_is_refused(void **state)
{
	(void)state;
	static const char *const invalid[] = {"", " ", "-1", "+1", " 1", "1 ", "1  k", "k", ".5G",
		"5.G", "1.5", "1.5B", "1.k", "1,5G", "0x10", "1e3", "1KK", "1Kib ", "1Q", "1kb!",
		"G1", "1.5.5G", "1\n"};
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		uint64_t bytes = 77;
		assert_int_equal(units_parse_size(invalid[i], &bytes), -EINVAL);
		assert_int_equal(bytes, 77);
	}
	static const char *const large[] = {"18446744073709551616", "16777216T",
		"18446744073709551615k", "99999999999999999999999999999999999",
		"99999999999999999999999.5G"};
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
		uint64_t bytes = 77;
		assert_int_equal(units_parse_size(large[i], &bytes), -ERANGE);
		assert_int_equal(bytes, 77);
	}
}

static void test_sizes_are_written_with_three_figures(void **state)
{
	(void)state;
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{812, "812 B"},
		{999, "999 B"},
		{1000, "1 kB"},
		{1200, "1.2 kB"},
		{1249, "1.2 kB"},
		{1250, "1.3 kB"},
		{999499, "999 kB"},
		{999500, "1 MB"},
		{58200000, "58.2 MB"},
		{99949999, "99.9 MB"},
		{99950000, "100 MB"},
		{112000000, "112 MB"},
		{1240000000, "1.24 GB"},
		{1200000000, "1.2 GB"},
		{9994999999, "9.99 GB"},
		{9995000000, "10 GB"},
		{10737418240, "10.7 GB"},
		{UINT64_MAX, "18.4 EB"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[UNITS_TEXT_MAX];
		assert_string_equal(units_format_size(cases[i].bytes, text), cases[i].text);
	}
}

static void test_a_written_size_is_read_back_within_its_rounding(void **state)
{
	(void)state;
	for (uint64_t v = 1; v < 1ull << 46; v = v * 7 / 5 + 1) {
		char text[UNITS_TEXT_MAX];
		uint64_t back;
		units_format_size(v, text);
		assert_int_equal(units_parse_size(text, &back), 0);
		uint64_t off = back > v ? back - v : v - back;
		assert_true(off <= v / 20);
	}
}

static void test_numbers_are_digits_within_a_range(void **state)
{
	(void)state;
	uint64_t v = 77;
	assert_int_equal(units_parse_uint("0", 0, 10, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(units_parse_uint("0010", 0, 10, &v), 0);
	assert_int_equal(v, 10);
	assert_int_equal(units_parse_uint("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	v = 77;
	assert_int_equal(units_parse_uint("11", 0, 10, &v), -ERANGE);
	assert_int_equal(units_parse_uint("1", 2, 10, &v), -ERANGE);
	assert_int_equal(units_parse_uint("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	static const char *const invalid[] = {
		"", "-1", "+1", " 1", "1 ", "1k", "0x1", "99999999999999999999999x", "1.0"};
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		assert_int_equal(units_parse_uint(invalid[i], 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(v, 77);
}

static void test_durations_have_one_unit(void **state)
{
	(void)state;
	const uint64_t ms = 1000000, s = 1000 * ms;
	static char text[UNITS_TEXT_MAX];
	assert_string_equal(units_format_duration(0, text), "0 ns");
	assert_string_equal(units_format_duration(2500, text), "2 us");
	assert_string_equal(units_format_duration(31 * ms, text), "31 ms");
	assert_string_equal(units_format_duration(s - 1, text), "999 ms");
	assert_string_equal(units_format_duration(4230 * ms, text), "4.2 s");
	assert_string_equal(units_format_duration(s, text), "1.0 s");
	assert_string_equal(units_format_duration(59 * s, text), "59 s");
	assert_string_equal(units_format_duration(200 * s, text), "3 min");
	assert_string_equal(units_format_duration(7200 * s, text), "2 h");
	assert_string_equal(units_format_duration(86400 * s, text), "1 day");
	assert_string_equal(units_format_duration(3 * 86400 * s + 5, text), "3 days");
	assert_string_equal(units_format_duration(UINT64_MAX, text), "213503 days");
}

static void test_counts_are_grouped_in_thousands(void **state)
{
	(void)state;
	static const struct {
		uint64_t n;
		const char *text;
	} cases[] = {{0, "0"}, {999, "999"}, {1000, "1,000"}, {6204, "6,204"}, {123456, "123,456"},
		{1234567, "1,234,567"}, {UINT64_MAX, "18,446,744,073,709,551,615"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[UNITS_TEXT_MAX + 4];
		assert_string_equal(units_format_count(cases[i].n, text), cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_are_read),
		cmocka_unit_test(test_what_is_not_a_size_is_refused),
		cmocka_unit_test(test_sizes_are_written_with_three_figures),
		cmocka_unit_test(test_a_written_size_is_read_back_within_its_rounding),
		cmocka_unit_test(test_numbers_are_digits_within_a_range),
		cmocka_unit_test(test_durations_have_one_unit),
		cmocka_unit_test(test_counts_are_grouped_in_thousands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
