/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/build/spool.h"
#include "../../chunker/core/le.h"

static struct spool *new_spool(uint64_t max)
{
	struct spool *s;

	assert_int_equal(spool_new(NULL, max, &s, NULL), 0);
	return s;
}

static unsigned char *pattern(size_t n)
{
	unsigned char *p = malloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(1 + i % 251);
	return p;
}

static void test_contents_come_back(void **state)
{
	(void)state;
	struct spool *s = new_spool(0);
	const size_t n = 3000001;
	unsigned char *data = pattern(n), *back = malloc(n);
	struct tree_content c[3];
	struct chunkid want;
	for (int round = 0; round < 3; round++) {
		/* pieces of any size */
		spool_begin(s);
		for (size_t at = 0, k = 1; at < n; k = k * 7 % 20011 + 1) {
			size_t piece = k < n - at ? k : n - at;
			assert_int_equal(spool_write(s, data + at, piece, NULL), 0);
			at += piece;
		}
		assert_int_equal(spool_finish(s, &c[round], NULL), 0);
		assert_int_equal(c[round].n_extents, 1);
		assert_int_equal(c[round].extents[0].spool, round * n);
	}
	chunkid_hash(data, n, &want);
	assert_true(chunkid_equal(&c[2].digest, &want));
	assert_int_equal(c[2].size, n);
	assert_int_equal(spool_flush(s, NULL), 0);
	assert_int_equal(spool_read(s, back, n, n, NULL), 0);
	assert_memory_equal(data, back, n);
	assert_int_equal(spool_read(s, back, n, 2 * n + 1, NULL), -EIO);
	spool_free(s);
	free(data);
	free(back);
}

/* Zeros written, zeros skipped, in pieces or not: the same content. */
static void test_holes_depend_on_the_bytes_only(void **state)
{
	(void)state;
	struct spool *s = new_spool(0);
	struct tree_content a, b;
	struct tree_extent extents[2];
	unsigned char *zeros = calloc(1, 100000);
	struct chunkid want;
	spool_begin(s);
	assert_int_equal(spool_write(s, "x", 1, NULL), 0);
	assert_int_equal(spool_write(s, zeros, 8191, NULL), 0);
	assert_int_equal(spool_write(s, "y", 1, NULL), 0);
	assert_int_equal(spool_write(s, zeros, 20000, NULL), 0);
	assert_int_equal(spool_finish(s, &a, NULL), 0);
	assert_int_equal(a.n_extents, 2);
	memcpy(extents, a.extents, sizeof(extents));
	spool_begin(s);
	assert_int_equal(spool_write(s, "x", 1, NULL), 0);
	assert_int_equal(spool_skip(s, 8191, NULL), 0);
	assert_int_equal(spool_write(s, "y", 1, NULL), 0);
	assert_int_equal(spool_skip(s, 19999, NULL), 0);
	assert_int_equal(spool_skip(s, 1, NULL), 0);
	assert_int_equal(spool_finish(s, &b, NULL), 0);
	assert_int_equal(b.size, 28193);
	assert_int_equal(b.n_extents, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(b.extents[i].block, 2 * i);
		assert_int_equal(b.extents[i].n_blocks, 1);
		assert_int_equal(b.extents[i].block, extents[i].block);
	}
	assert_true(chunkid_equal(&a.digest, &b.digest));
	zeros[0] = 'x';
	zeros[8192] = 'y';
	chunkid_hash(zeros, 28193, &want);
	assert_true(chunkid_equal(&a.digest, &want));
	free(zeros);
	spool_free(s);
}

static void test_the_holes_of_a_large_file_cost_nothing(void **state)
{
	(void)state;
	struct spool *s = new_spool(1 << 20);
	struct tree_content c;
	struct smr_error err = {0};
	const uint64_t tib = 1ull << 40;
	spool_begin(s);
	assert_int_equal(spool_skip(s, tib, NULL), 0);
	assert_int_equal(spool_write(s, "end", 3, NULL), 0);
	assert_int_equal(spool_finish(s, &c, NULL), 0);
	assert_int_equal(c.size, tib + 3);
	assert_int_equal(c.n_extents, 1);
	assert_int_equal(c.extents[0].block, tib / TREE_BLOCK);
	assert_int_equal(spool_bytes(s), 3);

	unsigned char *plain = calloc(1, SPOOL_PLAIN_MAX + 8 + TREE_BLOCK);
	struct chunkid want;
	le_put64(plain + SPOOL_PLAIN_MAX, tib / TREE_BLOCK);
	memcpy(plain + SPOOL_PLAIN_MAX + 8, "end", 3);
	chunkid_hash(plain, SPOOL_PLAIN_MAX + 8 + TREE_BLOCK, &want);
	assert_true(chunkid_equal(&c.digest, &want));
	free(plain);

	spool_begin(s);
	assert_int_equal(spool_skip(s, UINT64_MAX, &err), -EFBIG);
	assert_string_not_equal(err.message, "");
	spool_free(s);
}

static void test_no_more_than_it_may_write(void **state)
{
	(void)state;
	struct spool *s = new_spool(100000);
	unsigned char *data = pattern(100000);
	struct tree_content c;
	spool_begin(s);
	assert_int_equal(spool_write(s, data, 100000, NULL), 0);
	assert_int_equal(spool_finish(s, &c, NULL), 0);
	spool_begin(s);
	assert_int_equal(spool_write(s, data, 4096, NULL), -EFBIG);
	/* one that failed is forgotten */
	spool_begin(s);
	struct chunkid empty;
	chunkid_hash("", 0, &empty);
	assert_int_equal(spool_finish(s, &c, NULL), 0);
	assert_true(chunkid_equal(&c.digest, &empty));
	assert_int_equal(c.n_extents, 0);
	spool_free(s);
	free(data);
}

static void test_says_which_folder_it_cannot_use(void **state)
{
	(void)state;
	struct spool *s;
	struct smr_error err = {0};
	assert_int_equal(spool_new("/nonexistent/folder", 0, &s, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent/folder"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contents_come_back),
		cmocka_unit_test(test_holes_depend_on_the_bytes_only),
		cmocka_unit_test(test_the_holes_of_a_large_file_cost_nothing),
		cmocka_unit_test(test_no_more_than_it_may_write),
		cmocka_unit_test(test_says_which_folder_it_cannot_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
