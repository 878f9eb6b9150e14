/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/core/name.h"

#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_the_alphabet_is_exactly_what_needs_no_escape(void **state)
{
	(void)state;
	static const char alphabet[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	for (int c = 1; c < 256; c++) {
		char name[] = {'x', (char)c, '\0'};
		assert_int_equal(name_valid(name), strchr(alphabet, c) != NULL);
	}
	assert_false(name_valid(""));
	assert_false(name_valid("."));
	assert_false(name_valid(".."));
	assert_false(name_valid(".hidden"));
	assert_true(name_valid("a"));
	assert_true(name_valid("-"));
}

static void test_200_bytes_are_the_most(void **state)
{
	(void)state;
	char name[NAME_LEN_MAX + 2];
	memset(name, 'n', sizeof(name));
	name[NAME_LEN_MAX + 1] = '\0';
	assert_false(name_valid(name));
	name[NAME_LEN_MAX] = '\0';
	assert_true(name_valid(name));
}

static void test_names_come_from_paths(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"debian.img", "debian"},
		{"/srv/images/debian.img", "debian"},
		{"debian", "debian"},
		{"./a.b.img", "a.b"},
		{"dir/debian.img/", "debian"},
		{"debian.img.img", "debian.img"},
		{"/x/python:3.12-slim.img", "python_3.12-slim"},
		{"debian.raw", "debian.raw"},
		{"ximg", "ximg"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[NAME_LEN_MAX + 1];
		assert_int_equal(name_from_path(cases[i][0], name, NULL), 0);
		assert_string_equal(name, cases[i][1]);
	}
}

static void test_paths_without_a_usable_name_point_at_the_option(void **state)
{
	(void)state;
	char long_path[400];
	memset(long_path, 'x', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	const char *const cases[] = {
		"", "/", ".img", "dir/.img", "my image.img", "..", ".", "caf\xc3\xa9", long_path};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[NAME_LEN_MAX + 1] = "untouched";
		struct smr_error err = {0};
		assert_int_equal(name_from_path(cases[i], name, &err), -EINVAL);
		assert_non_null(strstr(err.message, "--name"));
		assert_string_equal(name, "untouched");
	}
	struct smr_error err = {0};
	char name[NAME_LEN_MAX + 1];
	name_from_path("/srv/my image.img", name, &err);
	assert_non_null(strstr(err.message, "\"my image\""));
}

static void test_a_pin_is_a_whole_digest(void **state)
{
	(void)state;
	char name[NAME_LEN_MAX + 1];
	struct chunkid digest, expected;
	bool pinned = true;
	assert_int_equal(name_parse_pinned("debian_12", name, &digest, &pinned, NULL), 0);
	assert_string_equal(name, "debian_12");
	assert_false(pinned);
	assert_int_equal(name_parse_pinned("x@sha256:" HEX, name, &digest, &pinned, NULL), 0);
	assert_string_equal(name, "x");
	assert_true(pinned);
	assert_int_equal(chunkid_parse(HEX, &expected), 0);
	assert_true(chunkid_equal(&digest, &expected));
}

static void test_bad_pins_are_refused_with_a_message(void **state)
{
	(void)state;
	static const char *const cases[] = {"", "@", "@sha256:" HEX, "x@", "x@sha256:", "x@sha256",
		"x@md5:" HEX, "x@sha256:" HEX "0", "x@sha256:ba78",
		"x@sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"x@@sha256:" HEX, "x y", "x@sha256:" HEX "@sha256:" HEX, "../x@sha256:" HEX, ".x"};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[NAME_LEN_MAX + 1] = "untouched";
		struct chunkid digest = {{0}};
		bool pinned = false;
		struct smr_error err = {0};
		assert_int_equal(
			name_parse_pinned(cases[i], name, &digest, &pinned, &err), -EINVAL);
		assert_true(err.message[0] != '\0');
		assert_string_equal(name, "untouched");
	}
	char longest[NAME_LEN_MAX + 80];
	memset(longest, 'n', sizeof(longest));
	strcpy(longest + NAME_LEN_MAX, "@sha256:" HEX);
	char name[NAME_LEN_MAX + 1];
	struct chunkid digest;
	bool pinned;
	assert_int_equal(name_parse_pinned(longest, name, &digest, &pinned, NULL), 0);
	assert_int_equal(strlen(name), NAME_LEN_MAX);
	memset(longest, 'n', NAME_LEN_MAX + 1);
	strcpy(longest + NAME_LEN_MAX + 1, "@x");
	assert_int_equal(name_parse_pinned(longest, name, &digest, &pinned, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_alphabet_is_exactly_what_needs_no_escape),
		cmocka_unit_test(test_200_bytes_are_the_most),
		cmocka_unit_test(test_names_come_from_paths),
		cmocka_unit_test(test_paths_without_a_usable_name_point_at_the_option),
		cmocka_unit_test(test_a_pin_is_a_whole_digest),
		cmocka_unit_test(test_bad_pins_are_refused_with_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
