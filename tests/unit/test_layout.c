/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../chunker/build/layout.h"
#include "../../chunker/core/le.h"

#define FILES_MAX 1000
#define NO_PLACE  UINT64_MAX

struct vector {
	char path[256];
	uint64_t size, offset[2];
	struct chunkid digest;
	bool placed;
};

static struct vector vectors[FILES_MAX];
static size_t n_vectors;
static uint64_t ends[2];

static uint64_t offset_or_none(const char *s)
{
	return strcmp(s, "-") == 0 ? NO_PLACE : strtoull(s, NULL, 10);
}

static int read_vectors(void **state)
{
	(void)state;
	FILE *f = fopen(TEST_VECTORS "/layout-1.txt", "re");
	char line[512], size[32], a[32], b[32];
	unsigned digest[4];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct vector *v = &vectors[n_vectors];
		if (line[0] == '#')
			continue;
		if (sscanf(line, "end %31s %31s", a, b) == 2) {
			ends[0] = strtoull(a, NULL, 10);
			ends[1] = strtoull(b, NULL, 10);
			break;
		}
		assert_int_equal(
			sscanf(line, "%31s %2x%2x%2x%2x %31s %31s %255[^\n]", size, &digest[0],
				&digest[1], &digest[2], &digest[3], a, b, v->path),
			8);
		v->size = strtoull(size, NULL, 10);
		v->offset[0] = offset_or_none(a);
		v->offset[1] = offset_or_none(b);
		for (int i = 0; i < 4; i++)
			v->digest.b[i] = (uint8_t)digest[i];
		n_vectors++;
		assert_true(n_vectors < FILES_MAX);
	}
	fclose(f);
	assert_true(ends[0] && ends[1] && n_vectors > 200);
	return 0;
}

static struct tree *tree_of_vectors(unsigned stride)
{
	struct tree *t = tree_new(NULL);
	struct tree_place p;
	uint32_t node;

	assert_true(stride == 1 || n_vectors % stride != 0); /* a prime: every file once */
	for (size_t i = 0; i < n_vectors; i++) {
		const struct vector *v = &vectors[i * stride % n_vectors];
		struct tree_content c = {.size = v->size, .digest = v->digest};
		struct tree_attr a = {.mode = S_IFREG | 0644, .content = &c};
		assert_int_equal(tree_walk(t, v->path, strlen(v->path), TREE_MKDIRS, &p), 0);
		assert_int_equal(tree_put(t, p.dir, p.name, p.name_len, &a, &node), 0);
	}
	return t;
}

static void test_the_order_of_a_tree(void **state)
{
	(void)state;
	static const unsigned strides[] = {1, 101, 13};
	for (int s = 0; s < 3; s++) {
		struct tree *t = tree_of_vectors(strides[s]);
		struct layout_order o;
		char path[256];
		size_t k = 0;
		assert_int_equal(layout_order_init(&o, t), 0);
		assert_int_equal(o.n_entries, tree_n_entries(t));
		for (uint32_t i = 0; i < o.n_entries; i++) {
			const struct tree_entry *e = tree_entry(t, o.entries[i]);
			if (S_ISDIR(tree_node(t, e->node)->mode))
				continue;
			tree_path(t, o.entries[i], path, sizeof(path));
			assert_string_equal(path, vectors[k++].path);
		}
		assert_int_equal(k, n_vectors);
		layout_order_done(&o);
		tree_free(t);
	}
}

static void test_places_match_the_vectors(void **state)
{
	(void)state;
	static const uint32_t chunk_sizes[] = {512 << 10, 1 << 20, 64 << 10};
	for (int c = 0; c < 3; c++) {
		struct layout l;
		layout_init(&l, chunk_sizes[c]);
		for (int large = 0; large < 2; large++) {
			for (size_t i = 0; i < n_vectors; i++) {
				const struct vector *v = &vectors[i];
				/* chunks below 512 KiB change nothing */
				uint64_t want = v->offset[c % 2], at;
				uint64_t unit = l.align * TREE_BLOCK;
				if (layout_is_small(&l, v->size) == large)
					continue;
				at = large ? layout_large(&l, (v->size + unit - 1) / unit)
					   : layout_small(&l, (v->size + 4095) / 4096, &v->digest);
				if (v->size)
					assert_int_equal(at * TREE_BLOCK, want);
				else
					assert_true(want == NO_PLACE);
			}
		}
		assert_int_equal(layout_end(&l) * TREE_BLOCK, ends[c % 2]);
	}
}

/* A group closes when LE32 / 2^32 < blocks * 4096 / 256 KiB, and not when they are equal. */
static void test_a_group_closes_at_the_exact_value(void **state)
{
	(void)state;
	struct chunkid at = {{0}}, below = {{0}};
	struct layout l;
	le_put32(at.b, 0x40000000); /* a quarter: 16 blocks */
	le_put32(below.b, 0x3fffffff);
	layout_init(&l, 512 << 10);
	assert_int_equal(layout_small(&l, 16, &at), 0);
	assert_int_equal(layout_small(&l, 16, &below), 16);
	assert_int_equal(layout_small(&l, 15, &below), 128);
	/* 15 blocks are less than 64 KiB, so it stayed open */
	assert_int_equal(layout_small(&l, 1, &at), 128 + 15);
	assert_int_equal(layout_small(&l, 112, &at), 128 + 16);
	assert_int_equal(layout_end(&l), 256);
	/* 112 blocks close it: at < 112 / 64 */
	assert_int_equal(layout_small(&l, 1, &at), 256);
	assert_int_equal(layout_small(&l, 127, &at), 257);
	assert_int_equal(layout_large(&l, 2), 384);
	assert_int_equal(layout_end(&l), 384 + 256);
}

static void test_units_without_data_do_not_count(void **state)
{
	(void)state;
	const struct tree_extent e[] = {
		{0, 1, 0}, {2, 1, 0}, {127, 2, 0}, {130, 300, 0}, {1280, 1, 0}};
	struct layout l;
	layout_init(&l, 64 << 10);
	assert_int_equal(l.align, 128);
	assert_int_equal(layout_units(&l, e, 0), 0);
	assert_int_equal(layout_units(&l, e, 1), 1);
	assert_int_equal(layout_units(&l, e, 2), 1);
	assert_int_equal(layout_units(&l, e, 3), 2);
	assert_int_equal(layout_units(&l, e, 4), 4);
	assert_int_equal(layout_units(&l, e, 5), 5);
	assert_int_equal(layout_units(&l, e + 4, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_order_of_a_tree),
		cmocka_unit_test(test_places_match_the_vectors),
		cmocka_unit_test(test_a_group_closes_at_the_exact_value),
		cmocka_unit_test(test_units_without_data_do_not_count),
	};
	return cmocka_run_group_tests(tests, read_vectors, NULL);
}
