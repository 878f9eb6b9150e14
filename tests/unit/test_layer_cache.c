/* SPDX-License-Identifier: BSD-3-Clause */
/* Layers that are kept: found by digest and size, least recently used ones first to go, nothing half done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "../../chunker/build/layer_cache.h"
#include "../../chunker/core/fd.h"
#include "tempdir.h"

#define LAYER (64u << 10) /* bytes */

struct fixture {
	struct tempdir dir;
	struct layer_cache *cache;
};

static void start(struct fixture *f, uint64_t max)
{
	char path[PATH_MAX];

	tempdir_init(&f->dir);
	snprintf(path, sizeof(path), "%s/a/layers", f->dir.path);
	assert_int_equal(layer_cache_open(path, max, &f->cache, NULL), 0);
}

static void stop(struct fixture *f)
{
	layer_cache_free(f->cache);
	tempdir_done(&f->dir);
}

static struct chunkid layer_id(unsigned seed)
{
	struct chunkid id;

	chunkid_hash(&seed, sizeof(seed), &id);
	return id;
}

static void path_of(const struct fixture *f, unsigned seed, char ret[PATH_MAX])
{
	char hex[CHUNKID_HEX + 1];
	struct chunkid id = layer_id(seed);

	chunkid_format(&id, hex);
	snprintf(ret, PATH_MAX, "%s/a/layers/%s", f->dir.path, hex);
}

/* What is in it does not matter here: digests are for who uses it. */
static void keep(struct fixture *f, unsigned seed)
{
	unsigned char data[LAYER];
	struct chunkid id = layer_id(seed);
	int fd = layer_cache_create(f->cache);

	if (fd == -EOPNOTSUPP)
		skip();
	assert_true(fd >= 0);
	memset(data, (int)seed + 1, sizeof(data));
	assert_int_equal(fd_pwrite(fd, data, sizeof(data), 0), 0);
	layer_cache_keep(f->cache, fd, &id, sizeof(data));
	close(fd);
}

static bool has(struct fixture *f, unsigned seed)
{
	struct chunkid id = layer_id(seed);

	return layer_cache_has(f->cache, &id, LAYER);
}

/* Last used so many seconds ago. */
static void age(struct fixture *f, unsigned seed, time_t seconds)
{
	struct timespec times[2];
	char path[PATH_MAX];

	path_of(f, seed, path);
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= seconds;
	times[1] = times[0];
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static unsigned count_files(const struct fixture *f)
{
	char path[PATH_MAX];
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s/a/layers", f->dir.path);
	DIR *d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void test_what_was_kept_is_found(void **state)
{
	struct fixture f;
	struct chunkid id = layer_id(1);
	struct stat st;
	char path[PATH_MAX], byte;
	size_t n;

	(void)state;
	start(&f, 10 * LAYER);
	assert_false(has(&f, 1));
	assert_int_equal(layer_cache_get(f.cache, &id, LAYER), -ENOENT);
	keep(&f, 1);
	assert_true(has(&f, 1));
	assert_false(layer_cache_has(f.cache, &id, LAYER - 1));
	assert_int_equal(layer_cache_get(f.cache, &id, LAYER + 1), -ENOENT);
	int fd = layer_cache_get(f.cache, &id, LAYER);
	assert_true(fd >= 0);
	assert_int_equal(fd_pread(fd, &byte, 1, LAYER - 1, &n), 0);
	assert_int_equal(byte, 2);
	path_of(&f, 1, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* Who has it open keeps it. */
	layer_cache_drop(f.cache, &id);
	assert_false(has(&f, 1));
	assert_int_equal(fd_pread(fd, &byte, 1, 0, &n), 0);
	assert_int_equal(n, 1);
	close(fd);
	stop(&f);
}

static void test_the_least_recently_used_goes(void **state)
{
	struct fixture f;
	struct chunkid id = layer_id(0);

	(void)state;
	start(&f, 3 * LAYER);
	for (unsigned i = 0; i < 3; i++) {
		keep(&f, i);
		age(&f, i, 100 - i);
	}
	/* Using it makes it the latest. */
	close(layer_cache_get(f.cache, &id, LAYER));
	keep(&f, 3);
	assert_true(has(&f, 0) && !has(&f, 1) && has(&f, 2) && has(&f, 3));
	keep(&f, 4);
	assert_true(has(&f, 0) && !has(&f, 2) && has(&f, 3) && has(&f, 4));
	assert_int_equal(count_files(&f), 3);
	stop(&f);
}

static void test_one_that_is_too_large_is_not_kept(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, LAYER - 1);
	keep(&f, 1);
	assert_int_equal(count_files(&f), 0);
	stop(&f);
}

static void test_what_is_given_up_leaves_no_name(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 10 * LAYER);
	int fd = layer_cache_create(f.cache);
	if (fd >= 0)
		close(fd);
	assert_int_equal(count_files(&f), 0);
	/* Twice the same, as two processes do. */
	keep(&f, 1);
	keep(&f, 1);
	assert_int_equal(count_files(&f), 1);
	stop(&f);
}

static void test_other_files_are_left_alone_and_not_followed(void **state)
{
	struct fixture f;
	struct chunkid id = layer_id(1);
	char path[PATH_MAX], other[PATH_MAX];

	(void)state;
	start(&f, 2 * LAYER);
	snprintf(other, sizeof(other), "%s/a/layers/notes", f.dir.path);
	close(open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(truncate(other, LAYER), 0);
	path_of(&f, 1, path);
	assert_int_equal(symlink(other, path), 0);
	assert_false(has(&f, 1));
	assert_int_equal(layer_cache_get(f.cache, &id, LAYER), -ENOENT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(layer_cache_get(f.cache, &id, LAYER), -ENOENT);
	for (unsigned i = 10; i < 14; i++)
		keep(&f, i);
	assert_int_equal(access(other, F_OK), 0);
	stop(&f);
}

static void test_a_folder_of_somebody_else_is_refused(void **state)
{
	struct tempdir dir;
	struct layer_cache *c;
	struct smr_error err = {0};

	(void)state;
	if (geteuid() != 0)
		skip();
	tempdir_init(&dir);
	assert_int_equal(chown(dir.path, 12345, 12345), 0);
	assert_int_equal(layer_cache_open(dir.path, LAYER, &c, &err), -EPERM);
	assert_non_null(strstr(err.message, "another user"));
	tempdir_done(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_kept_is_found),
		cmocka_unit_test(test_the_least_recently_used_goes),
		cmocka_unit_test(test_one_that_is_too_large_is_not_kept),
		cmocka_unit_test(test_what_is_given_up_leaves_no_name),
		cmocka_unit_test(test_other_files_are_left_alone_and_not_followed),
		cmocka_unit_test(test_a_folder_of_somebody_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
