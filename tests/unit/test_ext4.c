/* SPDX-License-Identifier: BSD-3-Clause */
/* What needs neither e2fsck nor a kernel; those judge whole images in tests/system/4*-ext4-*.sh. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../chunker/build/ext4_image.h"
#include "../../chunker/core/le.h"

#define SUPER 1024

struct fixture {
	struct tree *t;
	struct spool *s;
	struct ext4_image *img;
};

static void setup(struct fixture *f)
{
	*f = (struct fixture){.t = tree_new(NULL)};
	assert_non_null(f->t);
	assert_int_equal(spool_new(NULL, 0, &f->s, NULL), 0);
}

static void teardown(struct fixture *f)
{
	ext4_image_free(f->img);
	spool_free(f->s);
	tree_free(f->t);
}

static uint32_t put(struct fixture *f, const char *path, const struct tree_attr *a)
{
	struct tree_place p;
	uint32_t node;

	assert_int_equal(tree_walk(f->t, path, strlen(path), TREE_MKDIRS, &p), 0);
	assert_int_equal(tree_put(f->t, p.dir, p.name, p.name_len, a, &node), 0);
	return node;
}

static void put_file(struct fixture *f, const char *path, const void *data, size_t n, uint64_t hole)
{
	struct tree_content c;
	const struct tree_attr a = {.mode = S_IFREG | 0644, .mtime = 1234567890, .content = &c};

	spool_begin(f->s);
	assert_int_equal(spool_skip(f->s, hole, NULL), 0);
	assert_int_equal(spool_write(f->s, data, n, NULL), 0);
	assert_int_equal(spool_finish(f->s, &c, NULL), 0);
	put(f, path, &a);
}

static int build(struct fixture *f, uint32_t chunk_size, uint64_t free_bytes, struct smr_error *err)
{
	const struct ext4_options opts = {.chunk_size = chunk_size, .free_bytes = free_bytes};
	return ext4_image_new(f->t, f->s, &opts, &f->img, err);
}

static unsigned char *read_all(const struct fixture *f, uint64_t *ret_size)
{
	uint64_t size = ext4_image_info(f->img)->size;
	unsigned char *data = malloc(size);

	assert_non_null(data);
	assert_int_equal(ext4_image_read(f->img, data, size, 0, NULL), 0);
	*ret_size = size;
	return data;
}

static void put_sample(struct fixture *f)
{
	static unsigned char data[700000];
	const struct tree_attr null = {.mode = S_IFCHR | 0666, .major = 1, .minor = 3};
	const struct tree_attr link = {.mode = S_IFLNK | 0777, .target = "hello", .target_len = 5};
	char path[64];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * i >> 8);
	put_file(f, "hello", "hello\n", 6, 0);
	put_file(f, "empty", "", 0, 0);
	put_file(f, "large", data, sizeof(data), 0);
	put_file(f, "sparse", data, 5000, 8192);
	put_file(f, "far", data, 5000, 3u << 20);
	put(f, "dev/null", &null);
	put(f, "symlink", &link);
	for (int i = 0; i < 3000; i++) {
		snprintf(path, sizeof(path), "wide/a-rather-long-name-%d", i);
		put_file(f, path, data + i, (size_t)i % 300, 0);
	}
}

/* The whole of layout 1 in one number: where it changes, every chunk of every store does. */
static void test_layout_1_is_what_it_was(void **state)
{
	(void)state;
	static const char *const want[] = {
		"40da18c3e47be700bf9fbdb6d31788db9f47265194a8ec5fbf0a220727097bc3",
		"17d716a26be4c96db40f8ed36bb64a85abcc4b9854de4e52d55c041b8a5510ff"};
	for (int i = 0; i < 2; i++) {
		struct fixture f;
		struct chunkid id;
		char hex[CHUNKID_HEX + 1];
		uint64_t size;
		setup(&f);
		put_sample(&f);
		assert_int_equal(build(&f, 512u << (10 + i), 0, NULL), 0);
		unsigned char *all = read_all(&f, &size);
		chunkid_hash(all, size, &id);
		chunkid_format(&id, hex);
		assert_string_equal(hex, want[i]);
		free(all);
		teardown(&f);
	}
}

static void test_any_piece_is_the_same_as_in_the_whole(void **state)
{
	(void)state;
	struct fixture f;
	uint64_t size, start, end, at = 0;
	unsigned char piece[10000];
	setup(&f);
	put_sample(&f);
	assert_int_equal(build(&f, 64 << 10, 0, NULL), 0);
	unsigned char *all = read_all(&f, &size);
	for (uint64_t i = 0; i < 3000; i++) {
		uint64_t offset = i * 7919 * 4093 % size, n = i * 31 % sizeof(piece) + 1;
		assert_int_equal(ext4_image_read(f.img, piece, n, offset, NULL), 0);
		uint64_t inside = size - offset < n ? size - offset : n;
		assert_memory_equal(piece, all + offset, inside);
		for (uint64_t k = inside; k < n; k++)
			assert_int_equal(piece[k], 0);
	}
	/* What is between the data are zeros. */
	while (ext4_image_next_data(f.img, at, &start, &end) == 0) {
		assert_true(start >= at && end > start && end <= size);
		for (; at < start; at++)
			assert_int_equal(all[at], 0);
		at = end;
	}
	for (; at < size; at++)
		assert_int_equal(all[at], 0);
	assert_int_equal(ext4_image_next_data(f.img, size, &start, &end), -ENXIO);
	free(all);
	teardown(&f);
}

static void test_an_image_outlives_its_tree_and_is_a_source(void **state)
{
	(void)state;
	struct fixture f;
	unsigned char magic[2];
	uint64_t start, end;
	setup(&f);
	put_sample(&f);
	assert_int_equal(build(&f, 512 << 10, 0, NULL), 0);
	tree_free(f.t);
	f.t = NULL;
	struct imgsource src = ext4_image_source(f.img, "sample");
	assert_int_equal(src.size, ext4_image_info(f.img)->size);
	assert_int_equal(src.size % (512 << 10), 0);
	assert_int_equal(ext4_image_info(f.img)->meta_end % (512 << 10), 0);
	assert_int_equal(src.next_data(src.of, 0, &start, &end, NULL), 0);
	assert_int_equal(start, 0);
	assert_int_equal(src.read(src.of, magic, 2, SUPER + 56, NULL), 0);
	assert_int_equal(magic[0] | magic[1] << 8, 0xef53);
	teardown(&f);
}

static void test_the_uuid_is_the_trees(void **state)
{
	(void)state;
	unsigned char uuid[3][16];
	for (int i = 0; i < 3; i++) {
		struct fixture f;
		setup(&f);
		put_file(&f, "a", i == 2 ? "y" : "x", 1, 0);
		assert_int_equal(build(&f, i == 1 ? 1 << 20 : 64 << 10, 0, NULL), 0);
		assert_int_equal(ext4_image_read(f.img, uuid[i], 16, SUPER + 104, NULL), 0);
		assert_memory_equal(uuid[i], ext4_image_info(f.img)->tree_digest.b, 6);
		assert_int_equal(uuid[i][6] >> 4, 8);
		assert_int_equal(uuid[i][8] >> 6, 2);
		teardown(&f);
	}
	assert_memory_equal(uuid[0], uuid[1], 16);
	assert_memory_not_equal(uuid[0], uuid[2], 16);
}

static void test_free_space_comes_with_inodes(void **state)
{
	(void)state;
	struct fixture f;
	unsigned char super[1024];
	setup(&f);
	put_file(&f, "a", "x", 1, 0);
	assert_int_equal(build(&f, 512 << 10, 1u << 30, NULL), 0);
	assert_int_equal(ext4_image_read(f.img, super, sizeof(super), SUPER, NULL), 0);
	assert_true(le_get32(super + 12) >= (1u << 30) / 4096);
	assert_true(le_get32(super + 16) >= (1u << 30) / 16384);
	ext4_image_free(f.img);
	f.img = NULL;
	assert_int_equal(build(&f, 512 << 10, 1ull << 46, NULL), -EFBIG);
	assert_int_equal(build(&f, 512 << 10, UINT64_MAX, NULL), -EFBIG);
	teardown(&f);
}

/* Many inodes and no data: the image grows to the groups that they need. */
static void test_inodes_bring_their_groups(void **state)
{
	(void)state;
	struct fixture f;
	struct tree_attr a = {.mode = S_IFIFO | 0644};
	unsigned char super[1024];
	uint32_t node;
	char name[16];
	setup(&f);
	for (int i = 0; i < 70000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(tree_put(f.t, TREE_ROOT, name, strlen(name), &a, &node), 0);
	}
	assert_int_equal(build(&f, 512 << 10, 0, NULL), 0);
	assert_int_equal(ext4_image_read(f.img, super, sizeof(super), SUPER, NULL), 0);
	assert_true(le_get32(super) >= 70010);
	assert_true(le_get32(super + 40) <= 32768);
	assert_int_equal(ext4_image_info(f.img)->size, 2ull * (128 << 20) + (512 << 10));
	teardown(&f);
}

static void build_must_fail(struct fixture *f, int code, const char *says)
{
	struct smr_error err = {0};

	assert_int_equal(build(f, 512 << 10, 0, &err), code);
	if (!strstr(err.message, says))
		fail_msg("does not say %s: %s", says, err.message);
	teardown(f);
}

static struct tree_attr with_xattr(struct fixture *f, const char *name, const void *value, size_t n)
{
	const struct tree_xattr x = {name, strlen(name), value, n};
	struct tree_attr a = {.mode = S_IFREG | 0644};

	assert_int_equal(tree_xattrs(f->t, &x, 1, &a.xattrs), 0);
	return a;
}

static void test_names_what_ext4_cannot_hold(void **state)
{
	(void)state;
	static char value[5000];
	static const unsigned char no_mask[] = {2, 0, 0, 0, 1, 0, 7, 0, 0, 0, 0, 0, 2, 0, 5, 0, 9,
		0, 0, 0, 4, 0, 5, 0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0};
	struct tree_attr a = {.mode = S_IFREG | 0644};
	struct fixture f;
	char name[16];

	setup(&f);
	uint32_t node = put(&f, "d/many", &a);
	for (int i = 0; i < 65000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(tree_link(f.t, TREE_ROOT, name, strlen(name), node), 0);
	}
	build_must_fail(&f, -EMLINK, "0: more hard links");

	setup(&f);
	a = with_xattr(&f, "user.large", value, sizeof(value));
	put(&f, "d/large", &a);
	build_must_fail(&f, -E2BIG, "d/large: ");

	setup(&f);
	a = with_xattr(&f, "system.posix_acl_access", no_mask, sizeof(no_mask));
	put(&f, "d/acl", &a);
	build_must_fail(&f, -EINVAL, "d/acl: ");

	setup(&f);
	a = with_xattr(&f, "system.posix_acl_access", no_mask, sizeof(no_mask) - 1);
	put(&f, "d/acl", &a);
	build_must_fail(&f, -EINVAL, "d/acl: ");
}

static void test_xattrs_of_other_systems_are_counted(void **state)
{
	(void)state;
	struct fixture f;
	struct tree_attr a;
	setup(&f);
	a = with_xattr(&f, "com.apple.provenance", "x", 1);
	put(&f, "a", &a);
	put(&f, "b", &a);
	a = with_xattr(&f, "user.", "x", 1);
	put(&f, "c", &a);
	assert_int_equal(build(&f, 512 << 10, 0, NULL), 0);
	assert_int_equal(ext4_image_info(f.img)->n_dropped_xattrs, 3);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout_1_is_what_it_was),
		cmocka_unit_test(test_any_piece_is_the_same_as_in_the_whole),
		cmocka_unit_test(test_an_image_outlives_its_tree_and_is_a_source),
		cmocka_unit_test(test_the_uuid_is_the_trees),
		cmocka_unit_test(test_free_space_comes_with_inodes),
		cmocka_unit_test(test_inodes_bring_their_groups),
		cmocka_unit_test(test_names_what_ext4_cannot_hold),
		cmocka_unit_test(test_xattrs_of_other_systems_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
