/* SPDX-License-Identifier: BSD-3-Clause */
#include "store_fixture.h"

#include "../../chunker/core/le.h"
#include "../../chunker/store/flat.h"

#define A    "d9550e934a001508f24127c9a229244c248cfdaef4795b1f63c87ec4042293cb"
#define B    "656c344fdd36231e8d8dd8fd2314537e70236a1e1b79d18e965511a3437193a1"
#define ZERO "07854d2fef297a06ba81685e660c332de36d5d18d546927d30daad6d7fda1541"

static int parse(const char *text, struct flat_recipe *ret, struct smr_error *err)
{
	return flat_parse(text, strlen(text), ret, err);
}

static void test_lines_become_entries(void **state)
{
	struct smr_error err = {0};
	struct flat_recipe f;
	struct chunkid a;

	(void)state;
	ok(parse("0 " A "\n1 " B "\r\n\n36 " A, &f, &err));
	assert_int_equal(f.n_entries, 3);
	assert_int_equal(f.entries[1].index, 1);
	assert_int_equal(f.entries[2].index, 36);
	assert_int_equal(chunkid_parse(A, &a), 0);
	assert_true(chunkid_equal(&f.entries[2].id, &a));
	assert_int_equal(f.size, 0);
	assert_int_equal(f.slots, 37);
	flat_recipe_done(&f);
}

static void test_nothing_is_a_recipe_of_zeros(void **state)
{
	struct smr_error err = {0};
	struct flat_recipe f;

	(void)state;
	ok(parse("", &f, &err));
	assert_int_equal(f.n_entries, 0);
	flat_recipe_done(&f);
}

static void test_listed_zero_chunks_are_left_out(void **state)
{
	struct smr_error err = {0};
	static const unsigned char zeros[FLAT_CHUNK_SIZE];
	char hex[CHUNKID_HEX + 1];
	struct chunkid id;
	struct flat_recipe f;

	(void)state;
	chunkid_hash(zeros, sizeof(zeros), &id);
	chunkid_format(&id, hex);
	assert_string_equal(hex, ZERO);
	ok(parse("0 " A "\n3 " ZERO "\n", &f, &err));
	assert_int_equal(f.n_entries, 1);
	assert_int_equal(f.slots, 4);
	flat_recipe_done(&f);
}

static void test_size_line_may_be_anywhere(void **state)
{
	static const char *const texts[] = {
		"size=123456\n0 " A "\n", "0 " A "\nsize=123456\n", "0 " A "\nsize=123456"};
	struct smr_error err = {0};
	struct flat_recipe f;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		ok(parse(texts[i], &f, &err));
		assert_int_equal(f.size, 123456);
		flat_recipe_done(&f);
	}
}

static void test_what_is_no_recipe_is_refused_with_its_line(void **state)
{
	static const char *const texts[] = {
		"0 " A "\nx",
		"0 " A "\n1",
		"0 " A "\n1 ",
		"0 " A "\n1  " B,
		"0 " A "\n 1 " B,
		"0 " A "\n1 " B " ",
		"0 " A "\n1\t" B,
		"0 " A "\n0 " B,
		"0 " A "\n-1 " B,
		"0 " A "\n+1 " B,
		"0 " A "\n1 D9550e934a001508f24127c9a229244c248cfdaef4795b1f63c87ec4042293cb",
		"0 " A "\n1 d9550e",
		"0 " A "\nsize=",
		"0 " A "\nsize=0",
		"0 " A "\nsize=1k",
		"0 " A "\nsize=-1",
		"0 " A "\nsize=99999999999999999999",
		"size=1\nsize=1",
		"0 " A "\n99999999999999999999999 " B,
		"0 " A "\n134217728 " B,
		"0 " A "\n\r\r",
	};
	struct flat_recipe f;

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct smr_error err = {0};
		int r = parse(texts[i], &f, &err);

		if (r != -EBADMSG && r != -EFBIG)
			fail_msg("accepted: %s", texts[i]);
		assert_non_null(strstr(err.message, "line 2: "));
	}
}

static void test_nul_bytes_are_refused(void **state)
{
	struct flat_recipe f;

	(void)state;
	assert_int_equal(flat_parse("0 " A "\0\n", 67, &f, NULL), -EBADMSG);
}

static void make_super(unsigned char *chunk, uint32_t blocks_lo, uint32_t blocks_hi, uint32_t log,
	uint32_t incompat)
{
	memset(chunk, 0, 4096);
	le_put32(chunk + 1024 + 4, blocks_lo);
	le_put32(chunk + 1024 + 24, log);
	chunk[1024 + 56] = 0x53;
	chunk[1024 + 57] = 0xef;
	le_put32(chunk + 1024 + 96, incompat);
	le_put32(chunk + 1024 + 336, blocks_hi);
}

static void test_ext4_tells_the_size(void **state)
{
	unsigned char chunk[4096];
	struct smr_error err = {0};
	uint64_t size;

	(void)state;
	make_super(chunk, 1000, 0, 2, 0x2c2);
	ok(flat_ext4_size(chunk, sizeof(chunk), &size, &err));
	assert_int_equal(size, 4096000);
	make_super(chunk, 1000, 1, 0, 0x2c2);
	ok(flat_ext4_size(chunk, sizeof(chunk), &size, &err));
	assert_int_equal(size, ((1ull << 32) + 1000) * 1024);
	/* Without 64bit the upper half means nothing. */
	make_super(chunk, 1000, 7, 2, 0x242);
	ok(flat_ext4_size(chunk, sizeof(chunk), &size, &err));
	assert_int_equal(size, 4096000);
}

static void test_impossible_ext4_is_refused(void **state)
{
	unsigned char chunk[4096];
	struct smr_error err = {0};
	uint64_t size;

	(void)state;
	make_super(chunk, 1000, 0, 2, 0);
	assert_int_equal(flat_ext4_size(chunk, 2047, &size, &err), -EBADMSG);
	chunk[1024 + 56] = 0;
	assert_int_equal(flat_ext4_size(chunk, sizeof(chunk), &size, &err), -EBADMSG);
	make_super(chunk, 1000, 0, 7, 0);
	assert_int_equal(flat_ext4_size(chunk, sizeof(chunk), &size, &err), -EBADMSG);
	make_super(chunk, 1000, 0, 0xffffffff, 0);
	assert_int_equal(flat_ext4_size(chunk, sizeof(chunk), &size, &err), -EBADMSG);
	make_super(chunk, 0, 0, 2, 0);
	assert_int_equal(flat_ext4_size(chunk, sizeof(chunk), &size, &err), -EBADMSG);
	make_super(chunk, 0, 0xffffffff, 6, 0x80);
	assert_int_equal(flat_ext4_size(chunk, sizeof(chunk), &size, &err), -EBADMSG);
}

static void test_size_is_believed_in_this_order(void **state)
{
	struct smr_error err = {0};
	struct flat_recipe f;
	struct recipe *r;

	(void)state;
	ok(parse("0 " A "\n3 " B "\n", &f, &err));
	assert_int_equal(flat_convert(&f, "x", 0, 0, &r, &err), -EINVAL);
	ok(flat_convert(&f, "x", 2000000, 1900000, &r, &err));
	assert_int_equal(recipe_info(r)->image_size, 2000000);
	assert_string_equal(recipe_info(r)->name, "x");
	assert_int_equal(recipe_info(r)->n_chunks, 2);
	recipe_free(r);
	ok(flat_convert(&f, "x", 0, 1900000, &r, &err));
	assert_int_equal(recipe_info(r)->image_size, 1900000);
	recipe_free(r);
	/* The file goes on behind its file system. */
	ok(flat_convert(&f, "x", 0, 600000, &r, &err));
	assert_int_equal(recipe_info(r)->image_size, 4 * FLAT_CHUNK_SIZE);
	recipe_free(r);
	f.size = 1800000;
	ok(flat_convert(&f, "x", 0, 1900000, &r, &err));
	assert_int_equal(recipe_info(r)->image_size, 1800000);
	recipe_free(r);
	f.size = 3 * FLAT_CHUNK_SIZE;
	assert_int_equal(flat_convert(&f, "x", 0, 0, &r, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "behind the image's end"));
	flat_recipe_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_become_entries),
		cmocka_unit_test(test_nothing_is_a_recipe_of_zeros),
		cmocka_unit_test(test_listed_zero_chunks_are_left_out),
		cmocka_unit_test(test_size_line_may_be_anywhere),
		cmocka_unit_test(test_what_is_no_recipe_is_refused_with_its_line),
		cmocka_unit_test(test_nul_bytes_are_refused),
		cmocka_unit_test(test_ext4_tells_the_size),
		cmocka_unit_test(test_impossible_ext4_is_refused),
		cmocka_unit_test(test_size_is_believed_in_this_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
