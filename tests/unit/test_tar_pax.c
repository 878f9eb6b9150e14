/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/build/tar_pax.h"
#include "../../chunker/build/tar_reader.h"
#include "tar_builder.h"

static int parse_bytes(struct tar_pax *p, const char *s, size_t n)
{
	tar_pax_reset(p);
	return tar_pax_parse(p, s, n, NULL);
}

static int parse_one(struct tar_pax *p, const char *key, const char *value)
{
	struct tar_builder t;

	tar_builder_init(&t);
	tar_builder_text(&t, key, value);
	int r = parse_bytes(p, (char *)t.records.data, t.records.len);
	tar_builder_done(&t);
	return r;
}

static void assert_text(const struct tar_pax *p, const struct tar_text *t, const char *want)
{
	assert_int_equal(t->len, strlen(want));
	assert_memory_equal(tar_pax_bytes(p, t), want, t->len + 1);
}

static void test_records_say_what_headers_cannot(void **state)
{
	(void)state;
	struct tar_builder t;
	struct tar_pax p;
	tar_pax_init(&p);
	tar_builder_init(&t);
	tar_builder_text(&t, "path", "a=b\n17 path=c");
	tar_builder_text(&t, "linkpath", "to");
	tar_builder_text(&t, "size", "18446744073709551615");
	tar_builder_text(&t, "uid", "4294967294");
	tar_builder_text(&t, "SCHILY.devmajor", "259");
	tar_builder_text(&t, "unheard.of", "");
	assert_int_equal(parse_bytes(&p, (char *)t.records.data, t.records.len), 0);
	assert_text(&p, &p.path, "a=b\n17 path=c");
	assert_text(&p, &p.target, "to");
	assert_true(p.has_size && p.size == UINT64_MAX);
	assert_true(p.has_uid && p.uid == 4294967294u);
	assert_true(p.has_major && p.major == 259);
	assert_false(p.has_gid || p.has_minor || p.has_mtime);
	tar_builder_done(&t);
	tar_pax_done(&p);
}

static void test_later_records_count_and_empty_ones_take_back(void **state)
{
	(void)state;
	struct tar_builder t;
	struct tar_pax p;
	tar_pax_init(&p);
	tar_builder_init(&t);
	tar_builder_text(&t, "path", "first");
	tar_builder_text(&t, "uid", "1");
	tar_builder_text(&t, "path", "second");
	tar_builder_text(&t, "uid", "");
	assert_int_equal(parse_bytes(&p, (char *)t.records.data, t.records.len), 0);
	assert_text(&p, &p.path, "second");
	assert_false(p.has_uid);
	tar_builder_done(&t);
	tar_pax_done(&p);
}

static void test_lengths_that_lie_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"9 path=x\nx", "8 path=x\n", "99 path=x\n", "010 path=x",
		"path=x\n", " 9 path=x\n", "0 path=x\n", "-9 path=x\n", "3 \n", "5 =x\n",
		"9 pathxx\n", "18446744073709551625 path=x\n"};
	struct tar_pax p;
	tar_pax_init(&p);
	assert_int_equal(parse_bytes(&p, "10 path=x\n", 10), 0);
	assert_int_equal(parse_bytes(&p, "", 0), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_bytes(&p, bad[i], strlen(bad[i])), -EBADMSG);
	assert_int_equal(parse_bytes(&p, "11 pa\0th=x\n", 11), -EBADMSG);
	tar_pax_done(&p);
}

static void test_times_have_any_number_of_digits(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t seconds;
		uint32_t ns;
	} cases[] = {
		{"0", 0, 0},
		{"1700000000.5", 1700000000, 500000000},
		{"1.123456789", 1, 123456789},
		{"1.1234567899999", 1, 123456789},
		{"1.", 1, 0},
		{"-1", -1, 0},
		{"-446757299.75", -446757300, 250000000},
		{"-0.000000001", -1, 999999999},
		{"4260211200.000000001", 4260211200, 1},
	};
	static const char *const bad[] = {
		"-", ".5", "1.x", "1 ", "+1", "1e3", "1.2.3", "9223372036854775807"};
	struct tar_pax p;
	tar_pax_init(&p);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse_one(&p, "mtime", cases[i].text), 0);
		assert_true(p.mtime == cases[i].seconds);
		assert_int_equal(p.mtime_ns, cases[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_one(&p, "mtime", bad[i]), -EBADMSG);
	tar_pax_done(&p);
}

static void test_both_kinds_of_xattr_are_the_same(void **state)
{
	(void)state;
	struct tar_builder t;
	struct tar_pax p;
	tar_pax_init(&p);
	tar_builder_init(&t);
	tar_builder_record(&t, "SCHILY.xattr.user.binary", "\0=\n\xff", 4);
	tar_builder_text(&t, "LIBARCHIVE.xattr.user.%6eame%3D", "AD0K/w");
	tar_builder_text(&t, "LIBARCHIVE.xattr.user.padded", "AD0K/w==");
	tar_builder_text(&t, "LIBARCHIVE.xattr.user.empty", "");
	assert_int_equal(parse_bytes(&p, (char *)t.records.data, t.records.len), 0);
	assert_int_equal(p.n_xattrs, 4);
	assert_text(&p, &p.xattrs[0].name, "user.binary");
	assert_int_equal(p.xattrs[1].name.len, 10);
	assert_memory_equal(tar_pax_bytes(&p, &p.xattrs[1].name), "user.name=", 10);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(p.xattrs[i].value.len, 4);
		assert_memory_equal(tar_pax_bytes(&p, &p.xattrs[i].value), "\0=\n\xff", 4);
	}
	assert_int_equal(p.xattrs[3].value.len, 0);
	assert_int_equal(parse_one(&p, "LIBARCHIVE.xattr.user.a", "A"), -EBADMSG);
	assert_int_equal(parse_one(&p, "LIBARCHIVE.xattr.user.a", "A*=="), -EBADMSG);
	assert_int_equal(parse_one(&p, "LIBARCHIVE.xattr.user.a", "===="), -EBADMSG);
	assert_int_equal(parse_one(&p, "LIBARCHIVE.xattr.user.%4", "QQ"), -EBADMSG);
	assert_int_equal(parse_one(&p, "LIBARCHIVE.xattr.user.%zz", "QQ"), -EBADMSG);
	tar_builder_done(&t);
	tar_pax_done(&p);
}

static void test_sparse_maps_are_pairs(void **state)
{
	(void)state;
	struct tar_builder t;
	struct tar_pax p;
	tar_pax_init(&p);
	assert_int_equal(parse_one(&p, "GNU.sparse.map", "0,512,4096,1"), 0);
	assert_true(p.sparse);
	assert_int_equal(p.n_regions, 2);
	assert_int_equal(p.regions[1].offset, 4096);
	assert_int_equal(p.regions[1].n, 1);
	assert_int_equal(parse_one(&p, "GNU.sparse.map", "0"), -EBADMSG);
	assert_int_equal(parse_one(&p, "GNU.sparse.map", "0,,1,2"), -EBADMSG);
	assert_int_equal(parse_one(&p, "GNU.sparse.numbytes", "1"), -EBADMSG);
	assert_int_equal(parse_one(&p, "GNU.sparse.offset", "1"), -EBADMSG);
	assert_int_equal(parse_one(&p, "GNU.sparse.unheard", "1"), -EBADMSG);
	tar_builder_init(&t);
	tar_builder_text(&t, "GNU.sparse.offset", "4096");
	tar_builder_text(&t, "GNU.sparse.numbytes", "512");
	tar_builder_text(&t, "GNU.sparse.offset", "65536");
	tar_builder_text(&t, "GNU.sparse.numbytes", "1");
	assert_int_equal(parse_bytes(&p, (char *)t.records.data, t.records.len), 0);
	assert_int_equal(p.n_regions, 2);
	assert_int_equal(p.regions[0].n, 512);
	tar_builder_done(&t);
	tar_pax_done(&p);
}

static void test_pieces_and_xattrs_are_bounded(void **state)
{
	(void)state;
	struct tar_builder t;
	struct tar_pax p;
	tar_pax_init(&p);
	for (uint64_t i = 0; i < TAR_REGIONS_MAX; i++)
		assert_int_equal(tar_pax_region(&p, i, 1), 0);
	assert_int_equal(tar_pax_region(&p, 1, 1), -EFBIG);
	tar_builder_init(&t);
	for (int i = 0; i < 4096; i++)
		tar_builder_text(&t, "SCHILY.xattr.u", "");
	assert_int_equal(parse_bytes(&p, (char *)t.records.data, t.records.len), 0);
	tar_builder_text(&t, "SCHILY.xattr.u", "");
	assert_int_equal(parse_bytes(&p, (char *)t.records.data, t.records.len), -EFBIG);
	tar_builder_done(&t);
	tar_pax_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_say_what_headers_cannot),
		cmocka_unit_test(test_later_records_count_and_empty_ones_take_back),
		cmocka_unit_test(test_lengths_that_lie_are_refused),
		cmocka_unit_test(test_times_have_any_number_of_digits),
		cmocka_unit_test(test_both_kinds_of_xattr_are_the_same),
		cmocka_unit_test(test_sparse_maps_are_pairs),
		cmocka_unit_test(test_pieces_and_xattrs_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
