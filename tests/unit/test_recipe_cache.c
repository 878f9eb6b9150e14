/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "../../cached/recipe_cache.h"
#include "../../chunker/core/codec.h"
#include "tempdir.h"

struct fixture {
	struct tempdir dir;
	struct recipe_cache *cache;
	struct recipe *recipe;
	char path[128]; /* of its file, below dir */
};

static struct recipe *make_recipe(const char *name)
{
	struct recipe_entry entry = {.index = 1, .id = {{1, 2, 3}}};
	struct recipe_spec spec = {.name = name,
		.image_size = 3 * CODEC_CHUNK_MIN,
		.chunk_size = CODEC_CHUNK_MIN,
		.entries = &entry,
		.n_entries = 1};
	struct recipe *ret;
	struct buf out;

	buf_init(&out, RECIPE_FILE_MAX);
	assert_int_equal(recipe_encode(&spec, &out, NULL), 0);
	assert_int_equal(recipe_from_bytes(out.data, out.len, &ret, NULL), 0);
	buf_done(&out);
	return ret;
}

static const struct chunkid *digest(const struct recipe *r)
{
	return &recipe_info(r)->digest;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char hex[CHUNKID_HEX + 1];

	if (!f)
		return -1;
	tempdir_init(&f->dir);
	f->recipe = make_recipe("one");
	chunkid_format(digest(f->recipe), hex);
	snprintf(f->path, sizeof(f->path), "recipes/%s.recipe", hex);
	*state = f;
	return recipe_cache_open(f->dir.fd, &f->cache, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	recipe_cache_close(f->cache);
	recipe_free(f->recipe);
	tempdir_done(&f->dir);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	recipe_cache_close(f->cache);
	assert_int_equal(recipe_cache_open(f->dir.fd, &f->cache, NULL), 0);
}

static bool has_file(const struct fixture *f)
{
	return faccessat(f->dir.fd, f->path, F_OK, 0) == 0;
}

/* Is it there, and the same? */
static bool is_kept(const struct fixture *f)
{
	struct recipe *got;
	size_t n, m;

	if (recipe_cache_get(f->cache, digest(f->recipe), &got) != 0)
		return false;
	const void *a = recipe_bytes(f->recipe, &n), *b = recipe_bytes(got, &m);
	bool same = n == m && memcmp(a, b, n) == 0;
	recipe_free(got);
	return same;
}

static void test_what_was_put_is_found_also_later(void **state)
{
	struct fixture *f = *state;
	struct recipe *other = make_recipe("two"), *got;
	struct stat st;

	assert_false(is_kept(f));
	assert_int_equal(recipe_cache_put(f->cache, f->recipe), 0);
	assert_int_equal(recipe_cache_put(f->cache, f->recipe), 0);
	assert_true(is_kept(f));
	reopen(f);
	assert_true(is_kept(f));
	assert_int_equal(recipe_cache_get(f->cache, digest(other), &got), -ENOENT);
	assert_int_equal(fstatat(f->dir.fd, f->path, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(fstatat(f->dir.fd, "recipes", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	recipe_free(other);
}

static void damage(const struct fixture *f, long offset, bool cut)
{
	assert_int_equal(fchmodat(f->dir.fd, f->path, 0600, 0), 0);
	int fd = openat(f->dir.fd, f->path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (cut)
		assert_int_equal(ftruncate(fd, offset), 0);
	else
		assert_int_equal(pwrite(fd, "\xff", 1, offset), 1);
	close(fd);
}

static void test_a_damaged_one_is_removed(void **state)
{
	struct fixture *f = *state;
	struct recipe *got;

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(recipe_cache_put(f->cache, f->recipe), 0);
		damage(f, i < 2 ? 300 : 0, i % 2);
		assert_int_equal(recipe_cache_get(f->cache, digest(f->recipe), &got), -ENOENT);
		assert_false(has_file(f));
	}
}

static void test_another_recipe_under_its_name_is_removed(void **state)
{
	struct fixture *f = *state;
	struct recipe *other = make_recipe("two"), *got;
	char hex[CHUNKID_HEX + 1], path[128];

	assert_int_equal(recipe_cache_put(f->cache, other), 0);
	chunkid_format(digest(other), hex);
	snprintf(path, sizeof(path), "recipes/%s.recipe", hex);
	assert_int_equal(renameat(f->dir.fd, path, f->dir.fd, f->path), 0);
	assert_int_equal(recipe_cache_get(f->cache, digest(f->recipe), &got), -ENOENT);
	assert_false(has_file(f));
	recipe_free(other);
}

static void test_a_link_is_not_followed(void **state)
{
	struct fixture *f = *state;
	struct recipe *got;

	assert_int_equal(recipe_cache_put(f->cache, f->recipe), 0);
	assert_int_equal(renameat(f->dir.fd, f->path, f->dir.fd, "elsewhere"), 0);
	assert_int_equal(symlinkat("../elsewhere", f->dir.fd, f->path), 0);
	assert_true(recipe_cache_get(f->cache, digest(f->recipe), &got) < 0);
}

static void test_a_want_of_descriptors_does_not_remove_it(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, low;
	struct recipe *got;

	assert_int_equal(recipe_cache_put(f->cache, f->recipe), 0);
	int next = dup(f->dir.fd);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int more = 0; more < 2; more++) {
		low = before;
		low.rlim_cur = (rlim_t)(next + more);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		int r = recipe_cache_get(f->cache, digest(f->recipe), &got);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		if (r == 0)
			recipe_free(got);
		else
			assert_int_equal(r, -EMFILE);
		assert_true(has_file(f));
	}
	assert_true(is_kept(f));
}

static void set_age(const struct fixture *f, const char *path, time_t seconds)
{
	struct timespec then[2] = {{.tv_sec = time(NULL) - seconds}};

	then[1] = then[0];
	assert_int_equal(utimensat(f->dir.fd, path, then, 0), 0);
}

static void test_those_not_used_for_a_month_are_swept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(recipe_cache_put(f->cache, f->recipe), 0);
	set_age(f, f->path, 29 * 24 * 3600);
	reopen(f);
	assert_true(is_kept(f));
	/* that was use */
	reopen(f);
	assert_true(is_kept(f));
	set_age(f, f->path, 31 * 24 * 3600);
	assert_true(is_kept(f));
	reopen(f);
	assert_true(is_kept(f));
	set_age(f, f->path, 31 * 24 * 3600);
	reopen(f);
	assert_false(has_file(f));
}

static void test_a_disk_that_is_full_costs_the_copy(void **state)
{
	struct fixture *f = *state;
	char fill[4096] = {0};

	recipe_cache_close(f->cache);
	f->cache = NULL;
	bool small = tempdir_make_small(&f->dir, 64 << 10);
	assert_int_equal(recipe_cache_open(f->dir.fd, &f->cache, NULL), 0);
	if (!small)
		skip();
	int fd = openat(f->dir.fd, "fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, fill, sizeof(fill)) > 0)
		;
	close(fd);
	assert_true(recipe_cache_put(f->cache, f->recipe) < 0);
	assert_false(has_file(f));
	assert_false(is_kept(f));
	recipe_cache_close(f->cache);
	tempdir_unmount(&f->dir);
	assert_int_equal(recipe_cache_open(f->dir.fd, &f->cache, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_what_was_put_is_found_also_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_one_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_another_recipe_under_its_name_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_link_is_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_want_of_descriptors_does_not_remove_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_those_not_used_for_a_month_are_swept, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_disk_that_is_full_costs_the_copy, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
