/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../chunker/build/tar_header.h"
#include "tar_builder.h"

static struct tar_header parse(const unsigned char *block)
{
	struct tar_header h;
	struct smr_error err = {0};

	if (tar_header_parse(block, &h, &err) < 0)
		fail_msg("%s", err.message);
	return h;
}

static void header(unsigned char b[512], struct tar_entry e)
{
	tar_builder_header(b, &e);
}

static void test_fields_come_back(void **state)
{
	(void)state;
	unsigned char b[512];
	header(b, (struct tar_entry){.name = "dev/null",
			  .type = '3',
			  .mode = 0600,
			  .uid = 7,
			  .gid = 8,
			  .major = 1,
			  .minor = 3,
			  .mtime = 1234567890});
	struct tar_header h = parse(b);
	uint32_t mode;
	assert_int_equal(h.magic, TAR_USTAR);
	assert_int_equal(h.uid, 7);
	assert_int_equal(h.gid, 8);
	assert_int_equal(h.major, 1);
	assert_int_equal(h.minor, 3);
	assert_int_equal(h.mtime, 1234567890);
	assert_int_equal(tar_header_mode(&h, false, &mode), 0);
	assert_int_equal(mode, S_IFCHR | 0600);
}

static void test_sums_of_signed_and_unsigned_bytes_count(void **state)
{
	(void)state;
	unsigned char b[512];
	header(b, (struct tar_entry){.name = "na\xefve"});
	int sum = 0;
	parse(b);
	memset(b + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (int8_t)b[i];
	tar_builder_octal(b + 148, 8, (unsigned)sum);
	parse(b);
	tar_builder_octal(b + 148, 8, (unsigned)sum + 1);
	struct tar_header h;
	assert_int_equal(tar_header_parse(b, &h, NULL), -EBADMSG);
	memset(b + 148, 'x', 8);
	assert_int_equal(tar_header_parse(b, &h, NULL), -EBADMSG);
}

static void test_numbers_beyond_octal_are_base_256(void **state)
{
	(void)state;
	static const struct {
		unsigned char field[12];
		int64_t want;
	} cases[] = {
		{{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 256},
		{{0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255}, INT64_MAX},
		{{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 254}, -2},
		{{255, 255, 255, 255, 0x80, 0, 0, 0, 0, 0, 0, 0}, INT64_MIN},
		{{' ', ' ', '0', '0', '1', '7', ' ', 0}, 15},
		{{0}, 0},
		{{'7', '7', '7', '7', '7', '7', '7', '7', '7', '7', '7', '7'}, 0xfffffffff},
	};
	static const unsigned char bad[][12] = {
		{0x80, 0, 0, 0, 0x80, 0},        /* 2^63 */
		{0xbf, 255, 255, 255, 255, 255}, /* far beyond */
		{255, 255, 255, 255, 0x7f, 0},   /* far below */
		{'0', 'x', '1'},
		{'1', '8'},
		{'-', '1'},
		{'1', 0, '1'},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t v = 99;
		assert_int_equal(tar_number(cases[i].field, 12, &v), 0);
		assert_true(v == cases[i].want);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t v;
		assert_int_equal(tar_number(bad[i], 12, &v), -EBADMSG);
	}
}

static void test_the_magic_says_whose_prefix_it_is(void **state)
{
	(void)state;
	unsigned char b[512];
	char path[TAR_HEADER_PATH_MAX], long_name[101], long_prefix[156];
	memset(long_name, 'n', 100);
	memset(long_prefix, 'p', 155);
	long_name[100] = long_prefix[155] = 0;

	header(b, (struct tar_entry){.name = long_name});
	memcpy(b + 345, long_prefix, 155);
	tar_builder_seal(b);
	struct tar_header h = parse(b);
	assert_int_equal(tar_header_path(&h, path), 256);
	assert_int_equal(path[155], '/');

	/* star keeps times where ustar has the last of the prefix */
	memcpy(b + 508, "tar", 4);
	memset(b + 345 + 131, '0', 24);
	tar_builder_seal(b);
	h = parse(b);
	assert_int_equal(h.magic, TAR_STAR);
	assert_int_equal(tar_header_path(&h, path), 131 + 1 + 100);

	/* GNU has other things there, v7 nothing at all */
	header(b, (struct tar_entry){.name = "x", .gnu = true});
	memcpy(b + 345, "00000000001", 11);
	tar_builder_seal(b);
	h = parse(b);
	assert_int_equal(h.magic, TAR_GNU);
	assert_int_equal(tar_header_path(&h, path), 1);
	memset(b + 257, 0, 8);
	tar_builder_seal(b);
	h = parse(b);
	assert_int_equal(h.magic, TAR_V7);
	assert_int_equal(tar_header_path(&h, path), 1);
}

static void test_types_are_those_of_linux(void **state)
{
	(void)state;
	static const struct {
		char type;
		bool slash;
		uint32_t want;
	} cases[] = {
		{'0', false, S_IFREG | 0640},
		{0, false, S_IFREG | 0640},
		{'7', false, S_IFREG | 0640},
		{0, true, S_IFDIR | 0640}, /* v7 */
		{'1', false, S_IFREG | 0640},
		{'2', false, S_IFLNK | 0777},
		{'4', false, S_IFBLK | 0640},
		{'5', false, S_IFDIR | 0640},
		{'6', false, S_IFIFO | 0640},
		{'D', true, S_IFDIR | 0640},
	};
	unsigned char b[512];
	uint32_t mode;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		header(b, (struct tar_entry){.name = "x", .mode = 0640});
		b[156] = (unsigned char)cases[i].type;
		tar_builder_seal(b);
		struct tar_header h = parse(b);
		assert_int_equal(tar_header_mode(&h, cases[i].slash, &mode), 0);
		assert_int_equal(mode, cases[i].want);
	}
	header(b, (struct tar_entry){.name = "x", .type = 'V'});
	struct tar_header h = parse(b);
	assert_int_equal(tar_header_mode(&h, false, &mode), -ENOTSUP);
}

static void test_sparse_files_are_gnus_only(void **state)
{
	(void)state;
	unsigned char b[512];
	struct tar_header h;
	header(b, (struct tar_entry){.name = "x", .type = 'S'});
	assert_int_equal(tar_header_parse(b, &h, NULL), -EBADMSG);
	header(b, (struct tar_entry){.name = "x", .type = 'S', .gnu = true});
	parse(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_come_back),
		cmocka_unit_test(test_sums_of_signed_and_unsigned_bytes_count),
		cmocka_unit_test(test_numbers_beyond_octal_are_base_256),
		cmocka_unit_test(test_the_magic_says_whose_prefix_it_is),
		cmocka_unit_test(test_types_are_those_of_linux),
		cmocka_unit_test(test_sparse_files_are_gnus_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
