/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <setjmp.h>

#include <cmocka.h>

#include "../../cached/pool.h"
#include "tempdir.h"

#define CHUNK (64u << 10)

struct fixture {
	struct tempdir dir;
	struct pool *pool;
	unsigned char data[CHUNK];
	struct chunkid id;
	char path[128]; /* of the chunk's file, below dir */
};

static void path_of(const struct chunkid *id, char ret[128])
{
	char hex[CHUNKID_HEX + 1];

	chunkid_format(id, hex);
	snprintf(ret, 128, "pool/%.2s/%s", hex, hex);
}

/* A chunk with data in its first and last page only. */
static void fill(struct fixture *f, unsigned seed)
{
	memset(f->data, 0, CHUNK);
	memset(f->data, (int)(seed % 255) + 1, 4096);
	memcpy(f->data + CHUNK - sizeof(seed), &seed, sizeof(seed));
	f->data[CHUNK - 1] = 1;
	chunkid_hash(f->data, CHUNK, &f->id);
	path_of(&f->id, f->path);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	tempdir_init(&f->dir);
	fill(f, 1);
	*state = f;
	return pool_open(f->dir.fd, &f->pool, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pool_close(f->pool);
	tempdir_done(&f->dir);
	free(f);
	return 0;
}

static struct pool_stamp put(struct fixture *f)
{
	struct pool_stamp stamp;
	int fd;

	assert_int_equal(pool_put(f->pool, &f->id, f->data, CHUNK, &fd, &stamp), 0);
	close(fd);
	return stamp;
}

static int count_visit(void *user, const struct chunkid *id, const struct pool_stamp *stamp)
{
	(void)id;
	(void)stamp;
	++*(unsigned *)user;
	return 0;
}

static unsigned count(const struct pool *p)
{
	unsigned n = 0;

	assert_int_equal(pool_scan(p, count_visit, &n), 0);
	return n;
}

static void assert_content(int fd, const struct fixture *f)
{
	unsigned char got[CHUNK];

	assert_int_equal(pread(fd, got, CHUNK, 0), CHUNK);
	assert_memory_equal(got, f->data, CHUNK);
}

static void test_put_then_get_gives_the_bytes(void **state)
{
	struct fixture *f = *state;
	struct pool_stamp put_stamp, got_stamp;
	int fd;

	assert_int_equal(pool_put(f->pool, &f->id, f->data, CHUNK, &fd, &put_stamp), 0);
	assert_content(fd, f);
	assert_int_equal(write(fd, "x", 1), -1); /* read-only */
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	assert_int_equal(pool_get(f->pool, &f->id, &fd, &got_stamp), 0);
	assert_content(fd, f);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	assert_true(pool_stamp_equal(&put_stamp, &got_stamp));
	assert_int_equal(got_stamp.size, CHUNK);
}

static void test_get_of_absent_is_enoent(void **state)
{
	struct fixture *f = *state;
	struct pool_stamp stamp;
	int fd;

	assert_int_equal(pool_get(f->pool, &f->id, &fd, &stamp), -ENOENT);
	assert_int_equal(pool_remove(f->pool, &f->id), 0);
	put(f);
	assert_int_equal(pool_remove(f->pool, &f->id), 0);
	assert_int_equal(pool_get(f->pool, &f->id, &fd, &stamp), -ENOENT);
}

static void test_files_are_private_and_sparse(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	put(f);
	assert_int_equal(fstatat(f->dir.fd, f->path, &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0400);
	assert_int_equal(st.st_size, CHUNK);
	assert_true(st.st_blocks * 512 < CHUNK);
	f->path[7] = 0; /* pool/ab */
	assert_int_equal(fstatat(f->dir.fd, f->path, &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(fstatat(f->dir.fd, "pool", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
}

static void test_put_replaces(void **state)
{
	struct fixture *f = *state;
	struct pool_stamp first = put(f), second = put(f);

	assert_false(pool_stamp_equal(&first, &second));
	assert_int_equal(count(f->pool), 1);
}

/* What may happen to a file behind our back; its size stays in the first and the last. */
static void flip(const char *path)
{
	int fd;

	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\xff", 1, 100), 1);
	close(fd);
	assert_int_equal(chmod(path, 0400), 0);
}

static void shorten(const char *path)
{
	assert_int_equal(truncate(path, CHUNK - 1), 0);
}

static void extend(const char *path)
{
	assert_int_equal(truncate(path, CHUNK + 1), 0);
}

static void replace(const char *path)
{
	char other[PATH_MAX];
	int fd;

	snprintf(other, sizeof(other), "%s.other", path);
	fd = open(other, O_WRONLY | O_CREAT, 0400);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, CHUNK), 0);
	close(fd);
	assert_int_equal(rename(other, path), 0);
}

static void test_every_change_shows_in_the_stamp(void **state)
{
	struct fixture *f = *state;
	void (*const changes[])(const char *) = {flip, shorten, extend, replace};

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct pool_stamp before = put(f), after;
		unsigned char scratch[CHUNK];
		char path[PATH_MAX];
		int fd;

		snprintf(path, sizeof(path), "%s/%s", f->dir.path, f->path);
		changes[i](path);
		assert_int_equal(pool_get(f->pool, &f->id, &fd, &after), 0);
		assert_false(pool_stamp_equal(&before, &after));
		assert_int_equal(pool_verify(fd, &f->id, scratch, CHUNK), -EBADMSG);
		close(fd);
	}
}

static void test_verify_accepts_the_right_bytes_only(void **state)
{
	struct fixture *f = *state;
	unsigned char scratch[CHUNK];
	struct pool_stamp stamp;
	struct chunkid other = f->id;
	int fd;

	put(f);
	assert_int_equal(pool_get(f->pool, &f->id, &fd, &stamp), 0);
	assert_int_equal(pool_verify(fd, &f->id, scratch, CHUNK), 0);
	other.b[31] ^= 1;
	assert_int_equal(pool_verify(fd, &other, scratch, CHUNK), -EBADMSG);
	assert_int_equal(pool_verify(fd, &f->id, scratch, CHUNK / 2), -EBADMSG);
	close(fd);
}

static void test_get_refuses_what_is_not_a_file(void **state)
{
	struct fixture *f = *state;
	struct pool_stamp stamp;
	char path[PATH_MAX];
	int fd;

	put(f);
	snprintf(path, sizeof(path), "%s/%s", f->dir.path, f->path);
	unlink(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(pool_get(f->pool, &f->id, &fd, &stamp), -EBADMSG);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pool_get(f->pool, &f->id, &fd, &stamp), -EBADMSG);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(pool_get(f->pool, &f->id, &fd, &stamp), -EBADMSG);
	rmdir(path);
	fd = open(path, O_WRONLY | O_CREAT, 0400);
	assert_int_equal(ftruncate(fd, 5ll << 30), 0);
	close(fd);
	assert_int_equal(pool_get(f->pool, &f->id, &fd, &stamp), -EBADMSG);
	put(f); /* a file is replaced, whatever it was */
	assert_int_equal(pool_get(f->pool, &f->id, &fd, &stamp), 0);
	close(fd);
}

static void test_open_refuses_directories_of_others(void **state)
{
	struct fixture *f = *state;
	struct smr_error err = {0};
	struct pool *p;

	assert_int_equal(fchmod(f->dir.fd, 0770), 0);
	assert_int_equal(pool_open(f->dir.fd, &p, &err), -EPERM);
	assert_non_null(strstr(err.message, "chmod"));
	assert_int_equal(fchmod(f->dir.fd, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(f->dir.fd, "pool", 12345, 0, 0), 0);
		assert_int_equal(pool_open(f->dir.fd, &p, &err), -EPERM);
		assert_non_null(strstr(err.message, "12345"));
	}
}

static void test_open_does_not_follow_a_link(void **state)
{
	struct fixture *f = *state;
	struct pool *p;

	assert_int_equal(renameat(f->dir.fd, "pool", f->dir.fd, "elsewhere"), 0);
	assert_int_equal(symlinkat("elsewhere", f->dir.fd, "pool"), 0);
	assert_true(pool_open(f->dir.fd, &p, NULL) < 0);
}

static void make(const struct fixture *f, const char *path)
{
	int fd = openat(f->dir.fd, path, O_WRONLY | O_CREAT | O_EXCL, 0400);

	assert_true(fd >= 0);
	close(fd);
}

static bool exists(const struct fixture *f, const char *path)
{
	return faccessat(f->dir.fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_scan_sweeps_dead_temporaries_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	char own[64], later[64];

	put(f);
	mkdirat(f->dir.fd, "pool/ab", 0700);
	make(f, "pool/ab/.tmp.1.5");
	snprintf(own, sizeof(own), "pool/ab/.tmp.%ld.0", (long)getpid());
	make(f, own); /* of an earlier process with our pid */
	snprintf(later, sizeof(later), "pool/ab/.tmp.%ld.5.x", (long)getpid());
	make(f, later);
	make(f, "pool/ab/notes");
	make(f, "pool/README");
	/* the right length, the wrong place */
	make(f, "pool/ab/cd00000000000000000000000000000000000000000000000000000000000000");
	assert_int_equal(count(f->pool), 1);
	assert_false(exists(f, "pool/ab/.tmp.1.5"));
	assert_false(exists(f, own));
	assert_true(exists(f, later));
	assert_true(exists(f, "pool/ab/notes"));
	assert_true(exists(f, "pool/README"));
}

static int stop_visit(void *user, const struct chunkid *id, const struct pool_stamp *stamp)
{
	struct chunkid *last = user;

	assert_int_equal(stamp->size, CHUNK);
	*last = *id;
	return 77;
}

static void test_scan_visits_all_and_stops_when_told(void **state)
{
	struct fixture *f = *state;
	struct chunkid last;

	assert_int_equal(count(f->pool), 0);
	for (unsigned i = 0; i < 600; i++) {
		fill(f, i);
		put(f);
	}
	assert_int_equal(count(f->pool), 600);
	assert_int_equal(pool_scan(f->pool, stop_visit, &last), 77);
	assert_int_equal(pool_remove(f->pool, &last), 0);
	assert_int_equal(count(f->pool), 599);
	assert_int_equal(pool_sync(f->pool), 0);
}

/* ---- many at once ---- */

#define WRITERS 4

struct writer {
	struct fixture *f;
	pthread_t thread;
	int result;
};

static void *write_some(void *arg)
{
	struct writer *w = arg;
	struct fixture *mine = malloc(sizeof(*mine));

	*mine = *w->f;
	/* all write the same chunks */
	for (unsigned i = 0; i < 100 && w->result == 0; i++) {
		struct pool_stamp stamp;
		int fd;

		fill(mine, i);
		w->result = pool_put(mine->pool, &mine->id, mine->data, CHUNK, &fd, &stamp);
		if (w->result == 0) {
			w->result = pool_verify(fd, &mine->id, mine->data, CHUNK);
			close(fd);
		}
	}
	free(mine);
	return NULL;
}

static void test_threads_may_put_the_same_chunk(void **state)
{
	struct fixture *f = *state;
	struct writer w[WRITERS];

	for (unsigned i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){.f = f};
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_some, &w[i]), 0);
	}
	while (count(f->pool) < 100) /* a sweep leaves living temporaries alone */
		;
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].result, 0);
	}
	assert_int_equal(count(f->pool), 100);
}

/* ---- a full disk ---- */

/* Every name below pool/, temporaries too. */
static unsigned names(const struct fixture *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 256; i++) {
		char folder[PATH_MAX];
		struct dirent *e;
		DIR *d;

		snprintf(folder, sizeof(folder), "%s/pool/%02x", f->dir.path, i);
		d = opendir(folder);
		if (!d)
			continue;
		while ((e = readdir(d)) != NULL)
			n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
		closedir(d);
	}
	return n;
}

/* As fill, without a page of zeros. */
static void fill_whole(struct fixture *f, unsigned seed)
{
	memset(f->data, (int)(seed % 255) + 1, CHUNK);
	chunkid_hash(f->data, CHUNK, &f->id);
}

static void test_a_full_disk_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;
	struct pool_stamp stamp;
	struct chunkid first;
	unsigned n;
	int fd, r = 0;

	pool_close(f->pool);
	f->pool = NULL;
	if (!tempdir_make_small(&f->dir, 1 << 20))
		skip();
	assert_int_equal(pool_open(f->dir.fd, &f->pool, NULL), 0);
	for (n = 0; n < 100; n++) {
		fill_whole(f, n);
		if (n == 0)
			first = f->id;
		r = pool_put(f->pool, &f->id, f->data, CHUNK, &fd, &stamp);
		if (r < 0)
			break;
		close(fd);
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(n > 1);
	assert_int_equal(count(f->pool), n);
	assert_int_equal(names(f), n);
	assert_int_equal(pool_remove(f->pool, &first), 0);
	assert_int_equal(pool_put(f->pool, &f->id, f->data, CHUNK, &fd, &stamp), 0);
	assert_content(fd, f);
	close(fd);
	pool_close(f->pool);
	f->pool = NULL;
	tempdir_unmount(&f->dir);
}

static void test_a_read_only_disk_is_erofs(void **state)
{
	struct fixture *f = *state;
	struct pool_stamp stamp;
	int fd;

	put(f);
	pool_close(f->pool);
	f->pool = NULL;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount(f->dir.path, f->dir.path, NULL, MS_BIND, NULL) < 0)
		skip();
	assert_int_equal(mount(NULL, f->dir.path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	close(f->dir.fd);
	f->dir.fd = open(f->dir.path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(pool_open(f->dir.fd, &f->pool, NULL), 0);
	assert_int_equal(pool_get(f->pool, &f->id, &fd, &stamp), 0);
	close(fd);
	assert_int_equal(count(f->pool), 1);
	fill(f, 2);
	assert_int_equal(pool_put(f->pool, &f->id, f->data, CHUNK, &fd, &stamp), -EROFS);
	pool_close(f->pool);
	f->pool = NULL;
	tempdir_unmount(&f->dir);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_put_then_get_gives_the_bytes),
		CASE(test_get_of_absent_is_enoent),
		CASE(test_files_are_private_and_sparse),
		CASE(test_put_replaces),
		CASE(test_every_change_shows_in_the_stamp),
		CASE(test_verify_accepts_the_right_bytes_only),
		CASE(test_get_refuses_what_is_not_a_file),
		CASE(test_open_refuses_directories_of_others),
		CASE(test_open_does_not_follow_a_link),
		CASE(test_scan_sweeps_dead_temporaries_and_nothing_else),
		CASE(test_scan_visits_all_and_stops_when_told),
		CASE(test_threads_may_put_the_same_chunk),
		CASE(test_a_full_disk_leaves_nothing_behind),
		CASE(test_a_read_only_disk_is_erofs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
