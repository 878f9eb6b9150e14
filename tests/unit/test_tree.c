/* SPDX-License-Identifier: BSD-3-Clause */
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

#include "../../chunker/build/tree.h"

static const struct tree_attr plain_dir = {.mode = S_IFDIR | 0755};
static const struct tree_attr plain_file = {.mode = S_IFREG | 0644, .mtime = 7};

static struct tree_place walk(struct tree *t, const char *path, unsigned flags)
{
	struct tree_place p;

	assert_int_equal(tree_walk(t, path, strlen(path), flags, &p), 0);
	return p;
}

static int put_at(struct tree *t, const char *path, const struct tree_attr *a, uint32_t *ret)
{
	struct tree_place p = walk(t, path, TREE_MKDIRS);
	uint32_t node;
	int r = tree_put(t, p.dir, p.name, p.name_len, a, &node);

	if (ret)
		*ret = node;
	return r;
}

static void put(struct tree *t, const char *path, const struct tree_attr *a)
{
	assert_int_equal(put_at(t, path, a, NULL), 0);
}

static void put_symlink(struct tree *t, const char *path, const char *target)
{
	const struct tree_attr a = {
		.mode = S_IFLNK | 0777, .target = target, .target_len = strlen(target)};
	put(t, path, &a);
}

/* What is there: the node's number, or TREE_NONE. */
static uint32_t at(struct tree *t, const char *path)
{
	struct tree_place p;
	int r = tree_walk(t, path, strlen(path), 0, &p);

	return r < 0 ? TREE_NONE : p.node;
}

static int remove_at(struct tree *t, const char *path)
{
	struct tree_place p = walk(t, path, 0);
	return tree_remove(t, p.dir, p.name, p.name_len);
}

static int whiteout_at(struct tree *t, const char *path)
{
	struct tree_place p = walk(t, path, 0);
	return tree_whiteout(t, p.dir, p.name, p.name_len);
}

static void test_a_directory_over_a_directory_keeps_the_children(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	const struct tree_attr private = {.mode = S_IFDIR | 0700, .uid = 70000};
	put(t, "a/b", &plain_file);
	put(t, "a", &private);
	assert_int_not_equal(at(t, "a/b"), TREE_NONE);
	assert_int_equal(tree_node(t, at(t, "a"))->mode, S_IFDIR | 0700);
	assert_int_equal(tree_node(t, at(t, "a"))->uid, 70000);
	assert_int_equal(tree_n_entries(t), 2);
	tree_free(t);
}

static void test_another_type_replaces_and_removes_what_was_below(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	put(t, "a/b/c/d", &plain_file);
	put(t, "a/e", &plain_dir);
	put(t, "a", &plain_file);
	assert_int_equal(tree_n_entries(t), 1);
	assert_int_equal(tree_n_inodes(t), 2);
	assert_int_equal(tree_node(t, TREE_ROOT)->dir.n_dirs, 0);
	put(t, "a", &plain_dir);
	assert_int_equal(tree_node(t, TREE_ROOT)->dir.n_dirs, 1);
	assert_int_equal(tree_node(t, at(t, "a"))->dir.n_children, 0);
	assert_int_equal(remove_at(t, "a"), 0);
	assert_int_equal(tree_n_entries(t), 0);
	assert_int_equal(tree_n_inodes(t), 1);
	tree_free(t);
}

static void test_names_share_a_node_until_the_last_is_gone(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	uint32_t node;
	assert_int_equal(put_at(t, "a", &plain_file, &node), 0);
	put(t, "d", &plain_dir);
	assert_int_equal(tree_link(t, at(t, "d"), "b", 1, node), 0);
	assert_int_equal(tree_link(t, at(t, "d"), "b", 1, node), 0);
	assert_int_equal(tree_node(t, node)->n_links, 2);
	put(t, "a", &plain_file); /* the other name is left alone */
	assert_int_equal(tree_node(t, node)->n_links, 1);
	assert_int_equal(at(t, "d/b"), node);
	assert_int_equal(tree_link(t, TREE_ROOT, "x", 1, at(t, "d")), -EPERM);
	assert_int_equal(remove_at(t, "d"), 0);
	assert_null(tree_node(t, node));
	tree_free(t);
}

static void test_a_link_may_replace_the_directory_of_its_target(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	uint32_t node;
	assert_int_equal(put_at(t, "a/b/c", &plain_file, &node), 0);
	assert_int_equal(tree_link(t, TREE_ROOT, "a", 1, node), 0);
	assert_int_equal(at(t, "a"), node);
	assert_int_equal(tree_node(t, node)->n_links, 1);
	assert_int_equal(tree_n_inodes(t), 2);
	assert_int_equal(tree_node(t, TREE_ROOT)->dir.n_dirs, 0);
	tree_free(t);
}

static void test_a_whiteout_spares_what_its_own_layer_put(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	put(t, "d/old", &plain_file);
	put(t, "d/sub/old", &plain_file);
	put(t, "e/old", &plain_file);
	assert_int_equal(tree_next_layer(t), 0);
	put(t, "d/sub/new", &plain_file);
	put(t, "f", &plain_file);
	assert_int_equal(whiteout_at(t, "d"), 0);
	assert_int_equal(at(t, "d/old"), TREE_NONE);
	assert_int_equal(at(t, "d/sub/old"), TREE_NONE);
	assert_int_not_equal(at(t, "d/sub/new"), TREE_NONE);
	assert_int_equal(whiteout_at(t, "f"), 0);
	assert_int_not_equal(at(t, "f"), TREE_NONE);
	assert_int_equal(whiteout_at(t, "e"), 0);
	assert_int_equal(at(t, "e"), TREE_NONE);
	assert_int_equal(whiteout_at(t, "e"), -ENOENT);
	tree_free(t);
}

static void test_an_opaque_directory_hides_only_older_layers(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	put(t, "d/1/x", &plain_file);
	put(t, "d/2", &plain_file);
	assert_int_equal(tree_next_layer(t), 0);
	put(t, "d/3", &plain_file);
	tree_clear_directory(t, at(t, "d"));
	assert_int_equal(at(t, "d/1"), TREE_NONE);
	assert_int_equal(at(t, "d/2"), TREE_NONE);
	assert_int_not_equal(at(t, "d/3"), TREE_NONE);
	assert_int_equal(tree_next_layer(t), 0);
	tree_clear_directory(t, TREE_ROOT);
	assert_int_equal(tree_n_entries(t), 0);
	tree_free(t);
}

static void test_a_walk_never_leaves_the_tree(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	struct tree_place p;
	put(t, "usr/lib/x", &plain_file);
	put_symlink(t, "lib", "usr/lib");
	put_symlink(t, "up", "../../../usr/./lib/../lib");
	put_symlink(t, "abs", "/usr/lib/");
	put_symlink(t, "loop", "loop");
	put_symlink(t, "chain", "abs");
	assert_int_equal(tree_walk(t, "lib/x", 5, 0, &p), -ENOTDIR);
	assert_int_equal(walk(t, "lib/x", TREE_FOLLOW).node, at(t, "usr/lib/x"));
	assert_int_equal(walk(t, "up/x", TREE_FOLLOW).node, at(t, "usr/lib/x"));
	assert_int_equal(walk(t, "/abs//x", TREE_FOLLOW).node, at(t, "usr/lib/x"));
	assert_int_equal(walk(t, "chain/x", TREE_FOLLOW).node, at(t, "usr/lib/x"));
	assert_int_equal(walk(t, "lib/x/", TREE_FOLLOW).node, at(t, "usr/lib/x"));
	assert_int_equal(tree_walk(t, "loop/x", 6, TREE_FOLLOW, &p), -ELOOP);
	assert_int_equal(tree_walk(t, "usr/../x", 8, TREE_FOLLOW, &p), -EINVAL);
	assert_int_equal(tree_walk(t, "..", 2, TREE_FOLLOW, &p), -EINVAL);
	assert_int_equal(tree_walk(t, "a\0b", 3, 0, &p), -EINVAL);
	assert_int_equal(tree_walk(t, "nothing/x", 9, TREE_FOLLOW, &p), -ENOENT);
	assert_int_equal(tree_walk(t, "usr/lib/x/y", 11, TREE_FOLLOW, &p), -ENOTDIR);
	/* the last component is what it is */
	assert_true(S_ISLNK(tree_node(t, walk(t, "lib", TREE_FOLLOW).node)->mode));
	p = walk(t, "././/", 0);
	assert_int_equal(p.name_len, 0);
	assert_int_equal(p.node, TREE_ROOT);
	tree_free(t);
}

/* Making parents moves the memory that the targets of the followed symlinks are in. */
static void test_parents_are_made_below_followed_symlinks(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	char target[3000], path[64];
	size_t n = 0;
	for (int i = 0; i < 300; i++)
		n += (size_t)snprintf(target + n, sizeof(target) - n, "dir%03d/", i);
	put_symlink(t, "s", target);
	assert_int_equal(walk(t, "s/deep/er/x", TREE_FOLLOW | TREE_MKDIRS).node, TREE_NONE);
	assert_int_equal(tree_n_entries(t), 1 + 300 + 2);
	for (int i = 0; i < 5000; i++) {
		snprintf(path, sizeof(path), "s/many%d/y", i);
		walk(t, path, TREE_FOLLOW | TREE_MKDIRS);
	}
	assert_int_equal(tree_n_entries(t), 1 + 300 + 2 + 5000);
	tree_free(t);
}

static void test_refuses_what_no_file_can_be(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	struct tree_attr a = plain_file;
	uint32_t node;
	char name[300];
	memset(name, 'n', sizeof(name));
	assert_int_equal(tree_put(t, TREE_ROOT, name, 256, &a, &node), -ENAMETOOLONG);
	assert_int_equal(tree_put(t, TREE_ROOT, name, 255, &a, &node), 0);
	assert_int_equal(tree_put(t, TREE_ROOT, "", 0, &a, &node), -EINVAL);
	assert_int_equal(tree_put(t, TREE_ROOT, ".", 1, &a, &node), -EINVAL);
	assert_int_equal(tree_put(t, TREE_ROOT, "..", 2, &a, &node), -EINVAL);
	assert_int_equal(tree_put(t, TREE_ROOT, "a/b", 3, &a, &node), -EINVAL);
	assert_int_equal(tree_put(t, TREE_ROOT, "a\0b", 3, &a, &node), -EINVAL);
	assert_int_equal(tree_put(t, TREE_ROOT, "\xff\xfe..", 4, &a, &node), 0);
	a.mtime_ns = 1000000000;
	assert_int_equal(tree_put(t, TREE_ROOT, "a", 1, &a, &node), -EINVAL);
	a = (struct tree_attr){.mode = 0644};
	assert_int_equal(tree_put(t, TREE_ROOT, "a", 1, &a, &node), -EINVAL);
	a = (struct tree_attr){.mode = S_IFBLK, .major = 4096};
	assert_int_equal(tree_put(t, TREE_ROOT, "a", 1, &a, &node), -EINVAL);
	a = (struct tree_attr){.mode = S_IFLNK | 0777, .target = ""};
	assert_int_equal(tree_put(t, TREE_ROOT, "a", 1, &a, &node), -EINVAL);
	assert_int_equal(tree_put(t, at(t, "\xff\xfe.."), "a", 1, &plain_file, &node), -ENOTDIR);
	assert_int_equal(tree_n_entries(t), 2);
	tree_free(t);
}

static void test_limits_hold(void **state)
{
	(void)state;
	const struct tree_limits limits = {.entries = 100, .bytes = 1 << 20};
	struct tree *t = tree_new(&limits);
	uint32_t node, dir = TREE_ROOT;
	char name[TREE_NAME_MAX];
	for (int i = 0; i < 100; i++)
		assert_int_equal(tree_put(t, dir, "d", 1, &plain_dir, &dir), 0);
	assert_int_equal(tree_put(t, dir, "d", 1, &plain_dir, &dir), -EFBIG);
	assert_int_equal(remove_at(t, "d"), 0);
	/* Names of what was removed still take memory. */
	memset(name, 'n', sizeof(name));
	int r = 0;
	for (int i = 0; r == 0 && i < 10000; i++) {
		r = tree_put(t, TREE_ROOT, name, sizeof(name), &plain_dir, &node);
		if (r == 0)
			r = tree_remove(t, TREE_ROOT, name, sizeof(name));
	}
	assert_int_equal(r, -EFBIG);
	assert_true(tree_bytes(t) <= limits.bytes);
	tree_free(t);

	t = tree_new(NULL);
	dir = TREE_ROOT;
	for (int i = 0; i < TREE_DEPTH_MAX; i++)
		assert_int_equal(tree_put(t, dir, "d", 1, &plain_dir, &dir), 0);
	assert_int_equal(tree_put(t, dir, "d", 1, &plain_dir, &dir), -EFBIG);
	assert_int_equal(tree_next_layer(t), 0);
	tree_clear_directory(t, TREE_ROOT);
	assert_int_equal(tree_n_entries(t), 0);
	tree_free(t);
}

static void test_equal_sets_of_xattrs_are_one(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	struct tree_xattr x[3] = {
		{"user.b", 6, "1", 1}, {"user.a", 6, NULL, 0}, {"user.b", 6, "22", 2}};
	struct tree_xattr y[2] = {{"user.a", 6, NULL, 0}, {"user.b", 6, "22", 2}};
	struct tree_xattr got;
	uint32_t a, b, pos = 0;
	assert_int_equal(tree_xattrs(t, x, 3, &a), 0);
	assert_int_equal(tree_xattrs(t, y, 2, &b), 0);
	assert_int_equal(a, b);
	assert_true(tree_xattr_next(t, a, &pos, &got));
	assert_memory_equal(got.name, "user.a", 6);
	assert_int_equal(got.value_len, 0);
	assert_true(tree_xattr_next(t, a, &pos, &got));
	assert_memory_equal(got.name, "user.b", 6);
	assert_int_equal(got.value_len, 2);
	assert_memory_equal(got.value, "22", 2);
	assert_false(tree_xattr_next(t, a, &pos, &got));
	pos = 0;
	assert_false(tree_xattr_next(t, 0, &pos, &got));
	for (uint32_t i = 0; i < 1000; i++) {
		struct tree_xattr z = {"user.n", 6, &i, sizeof(i)};
		assert_int_equal(tree_xattrs(t, &z, 1, &b), 0);
		assert_int_equal(b, a + 1 + i);
		assert_int_equal(tree_xattrs(t, &z, 1, &b), 0);
		assert_int_equal(b, a + 1 + i);
	}
	y[0].name_len = 0;
	assert_int_equal(tree_xattrs(t, y, 2, &b), -EINVAL);
	y[0] = (struct tree_xattr){"user.a", 6, "", 65536};
	assert_int_equal(tree_xattrs(t, y, 1, &b), -E2BIG);
	tree_free(t);
}

static void test_paths_are_cut_at_the_front(void **state)
{
	(void)state;
	struct tree *t = tree_new(NULL);
	char path[32];
	put(t, "usr/share/doc", &plain_file);
	const struct tree_node *share = tree_node(t, at(t, "usr/share"));
	uint32_t doc = share->dir.first_child;
	assert_string_equal(tree_path(t, doc, path, sizeof(path)), "usr/share/doc");
	assert_string_equal(tree_path(t, doc, path, 14), "usr/share/doc");
	assert_string_equal(tree_path(t, doc, path, 13), ".../doc");
	assert_string_equal(tree_path(t, doc, path, 1), "");
	assert_string_equal(tree_path(t, share->dir.entry, path, 32), "usr/share");
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_directory_over_a_directory_keeps_the_children),
		cmocka_unit_test(test_another_type_replaces_and_removes_what_was_below),
		cmocka_unit_test(test_names_share_a_node_until_the_last_is_gone),
		cmocka_unit_test(test_a_link_may_replace_the_directory_of_its_target),
		cmocka_unit_test(test_a_whiteout_spares_what_its_own_layer_put),
		cmocka_unit_test(test_an_opaque_directory_hides_only_older_layers),
		cmocka_unit_test(test_a_walk_never_leaves_the_tree),
		cmocka_unit_test(test_parents_are_made_below_followed_symlinks),
		cmocka_unit_test(test_refuses_what_no_file_can_be),
		cmocka_unit_test(test_limits_hold),
		cmocka_unit_test(test_equal_sets_of_xattrs_are_one),
		cmocka_unit_test(test_paths_are_cut_at_the_front),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
