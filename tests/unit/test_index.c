/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <utime.h>

#include <setjmp.h>

#include <cmocka.h>

#include "../../cached/index.h"
#include "../../chunker/core/clock.h"
#include "tempdir.h"

struct fixture {
	struct tempdir dir;
	char data[PATH_MAX]; /* path of data.mdb */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	tempdir_init(&f->dir);
	snprintf(f->data, sizeof(f->data), "%s/index/data.mdb", f->dir.path);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tempdir_done(&f->dir);
	free(f);
	return 0;
}

static struct chunkid id_of(uint32_t n)
{
	struct chunkid id;

	chunkid_hash(&n, sizeof(n), &id);
	return id;
}

static struct index_record record_of(uint32_t n)
{
	return (struct index_record){
		.stamp = {.ino = 1ull << 40 | n,
			.ctime_ns = -5 - (int64_t)n,
			.size = 524288,
			.bytes = n},
		.used = {.last = 1700000000u + n, .prev = n % 3 ? 1600000000u + n : 0},
	};
}

static struct index *open_index(const struct fixture *f, bool *ret_kept)
{
	struct index *x;

	assert_int_equal(index_open(f->dir.fd, &x, ret_kept, NULL), 0);
	return x;
}

static void put_range(struct index *x, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		struct chunkid id = id_of(i);
		struct index_record rec = record_of(i);

		index_put(x, &id, &rec);
	}
}

static int count_visit(void *user, const struct chunkid *id, const struct index_record *rec)
{
	(void)id;
	(void)rec;
	++*(uint32_t *)user;
	return 0;
}

static uint32_t count(struct index *x)
{
	uint32_t n = 0;

	assert_int_equal(index_load(x, count_visit, &n), 0);
	return n;
}

/* Opens, checks whether it was kept, and with how many records. Leaves it clean again. */
static void assert_opens_with(const struct fixture *f, bool want_kept, uint32_t want_records)
{
	bool kept;
	struct index *x = open_index(f, &kept);

	assert_int_equal(kept, want_kept);
	assert_int_equal(count(x), want_records);
	index_close(x, true);
}

/* Makes an index of 1,000 records and closes it cleanly. */
static void make_clean(const struct fixture *f)
{
	bool kept;
	struct index *x = open_index(f, &kept);

	put_range(x, 0, 1000);
	index_close(x, true);
}

static void test_starts_empty(void **state)
{
	struct fixture *f = *state;
	bool kept = true;
	struct index *x = open_index(f, &kept);

	assert_false(kept);
	assert_int_equal(count(x), 0);
	index_close(x, false);
	index_close(NULL, true);
}

struct expect {
	uint32_t first, step, n; /* numbers of the records, n of them */
	uint8_t seen[5000];
};

static int expect_visit(void *user, const struct chunkid *id, const struct index_record *rec)
{
	struct expect *e = user;
	uint32_t n = rec->stamp.bytes;
	struct chunkid want_id = id_of(n);
	struct index_record want = record_of(n);

	assert_memory_equal(id, &want_id, sizeof(*id));
	assert_true(pool_stamp_equal(&rec->stamp, &want.stamp));
	assert_int_equal(rec->used.last, want.used.last);
	assert_int_equal(rec->used.prev, want.used.prev);
	assert_true(n >= e->first && (n - e->first) % e->step == 0 && n < sizeof(e->seen));
	assert_int_equal(e->seen[n]++, 0);
	e->n++;
	return 0;
}

static void test_every_record_comes_back_once(void **state)
{
	const uint32_t sizes[] = {1, 1023, 1024, 1025, 2048, 5000};
	struct fixture *f = *state;
	uint32_t before = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct expect e = {.step = 1};
		bool kept;
		struct index *x = open_index(f, &kept);

		assert_int_equal(kept, i > 0);
		assert_int_equal(count(x), before);
		put_range(x, before, sizes[i]);
		index_close(x, true);
		x = open_index(f, &kept);
		assert_true(kept);
		assert_int_equal(index_load(x, expect_visit, &e), 0);
		assert_int_equal(e.n, sizes[i]);
		index_close(x, true);
		before = sizes[i];
	}
}

static void test_later_changes_win(void **state)
{
	struct fixture *f = *state;
	struct expect e = {.first = 1, .step = 2};
	bool kept;
	struct index *x = open_index(f, &kept);

	for (uint32_t i = 0; i < 1000; i++) {
		struct chunkid id = id_of(i);
		struct index_record old = record_of(i + 5000), rec = record_of(i);

		index_put(x, &id, &old);
		if (i == 500)
			index_flush(x);
		index_del(x, &id);
		index_del(x, &id); /* of what is not there: no error */
		index_put(x, &id, &rec);
	}
	index_flush(x);
	for (uint32_t i = 0; i < 1000; i += 2) {
		struct chunkid id = id_of(i);

		index_del(x, &id);
	}
	index_close(x, true);
	x = open_index(f, &kept);
	assert_true(kept);
	assert_int_equal(index_load(x, expect_visit, &e), 0);
	assert_int_equal(e.n, 500);
	index_close(x, true);
}

static int stop_visit(void *user, const struct chunkid *id, const struct index_record *rec)
{
	(void)id;
	(void)rec;
	return ++*(int *)user == 10 ? -ECANCELED : 0;
}

static void test_load_stops_when_told(void **state)
{
	struct fixture *f = *state;
	struct index *x;
	bool kept;
	int n = 0;

	make_clean(f);
	x = open_index(f, &kept);
	assert_int_equal(index_load(x, stop_visit, &n), -ECANCELED);
	assert_int_equal(n, 10);
	index_close(x, true);
}

static void test_kept_again_and_again(void **state)
{
	struct fixture *f = *state;

	make_clean(f);
	for (unsigned i = 0; i < 3; i++)
		assert_opens_with(f, true, 1000);
}

static void test_unclean_close_starts_empty(void **state)
{
	struct fixture *f = *state;
	bool kept;
	struct index *x;

	make_clean(f);
	x = open_index(f, &kept);
	assert_true(kept);
	index_close(x, false);
	assert_opens_with(f, false, 0);
}

/* Opens the index in a child, which dies of a signal after it wrote or, without `write`, at once.
 */
static void crash(const struct fixture *f, bool write)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct index *x;
		bool kept;

		if (index_open(f->dir.fd, &x, &kept, NULL) < 0)
			_exit(1);
		if (write) {
			put_range(x, 2000, 3000);
			index_flush(x);
			put_range(x, 3000, 3500);
		}
		kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void test_a_crash_starts_empty(void **state)
{
	struct fixture *f = *state;

	for (int write = 0; write < 2; write++) {
		make_clean(f);
		assert_opens_with(f, true, 1000);
		crash(f, write);
		assert_opens_with(f, false, 0);
		assert_opens_with(f, true, 0);
	}
}

/* ---- what may happen to the file between a clean close and the next start ---- */

static void touch_data(const struct fixture *f)
{
	assert_int_equal(utime(f->data, NULL), 0);
}

static void truncate_data(const struct fixture *f)
{
	assert_int_equal(truncate(f->data, 8192 + 100), 0);
}

static void empty_data(const struct fixture *f)
{
	assert_int_equal(truncate(f->data, 0), 0);
}

static void remove_data(const struct fixture *f)
{
	assert_int_equal(unlink(f->data), 0);
}

static void extend_data(const struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(f->data, &st), 0);
	assert_int_equal(truncate(f->data, st.st_size + 4096), 0);
}

static void flip_data(const struct fixture *f)
{
	int fd = open(f->data, O_RDWR);
	uint64_t junk = UINT64_MAX;

	for (off_t at = 4096; pwrite(fd, &junk, 8, at) == 8 && at < 12 * 4096; at += 4096)
		;
	close(fd);
}

static void swap_data(const struct fixture *f)
{
	assert_int_equal(unlink(f->data), 0);
	assert_int_equal(symlink("/dev/zero", f->data), 0);
}

static void copy_data(const struct fixture *f)
{
	char command[5 * PATH_MAX];

	snprintf(command, sizeof(command), "cp -p '%s' '%s.new' && mv '%s.new' '%s'", f->data,
		f->data, f->data, f->data);
	assert_int_equal(system(command), 0);
}

static void damage_mark(const struct fixture *f)
{
	int fd = openat(f->dir.fd, "index/clean", O_WRONLY);

	assert_int_equal(pwrite(fd, "x", 1, 30), 1);
	close(fd);
}

/* As a version before this one left it, whose records mean something else. */
static void age_mark(const struct fixture *f)
{
	int fd = openat(f->dir.fd, "index/clean", O_RDWR);
	unsigned char version;

	assert_int_equal(pread(fd, &version, 1, 8), 1);
	version--;
	assert_int_equal(pwrite(fd, &version, 1, 8), 1);
	close(fd);
}

static void extend_mark(const struct fixture *f)
{
	int fd = openat(f->dir.fd, "index/clean", O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static void empty_mark(const struct fixture *f)
{
	int fd = openat(f->dir.fd, "index/clean", O_WRONLY | O_TRUNC);

	close(fd);
}

static void test_a_file_that_was_touched_is_not_opened(void **state)
{
	struct fixture *f = *state;
	void (*const what[])(const struct fixture *) = {touch_data, truncate_data, empty_data,
		remove_data, extend_data, flip_data, swap_data, copy_data, damage_mark, age_mark,
		extend_mark, empty_mark};

	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		make_clean(f);
		what[i](f);
		assert_opens_with(f, false, 0);
		assert_opens_with(f, true, 0);
		unlink(f->data);
	}
}

/* The bytes change and no stamp tells: what a disk does. Writes through the loop device below the
 * file system would show it too; here the mark is forged instead, so that its stamp fits and only
 * its hash does not. */
static void test_a_rotten_file_is_not_opened(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	int64_t ctime_ns;
	int fd;

	make_clean(f);
	flip_data(f);
	assert_int_equal(stat(f->data, &st), 0);
	ctime_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
	fd = openat(f->dir.fd, "index/clean", O_WRONLY);
	assert_int_equal(pwrite(fd, &ctime_ns, 8, 32), 8); /* of a little-endian machine */
	close(fd);
	assert_opens_with(f, false, 0);
}

static void test_descriptors_are_not_inherited(void **state)
{
	struct fixture *f = *state;
	bool kept;
	struct index *x = open_index(f, &kept);

	for (int fd = 3; fd < 64; fd++) {
		int flags = fcntl(fd, F_GETFD);
		char link[64], target[PATH_MAX] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (flags < 0 || readlink(link, target, sizeof(target) - 1) < 0 ||
			!strstr(target, "/index"))
			continue;
		assert_true(flags & FD_CLOEXEC);
	}
	index_close(x, false);
}

/* ---- threads ---- */

static void *put_some(void *arg)
{
	put_range(arg, 0, 5000);
	index_flush(arg);
	return NULL;
}

static void test_threads_may_put_and_flush(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[4];
	bool kept;
	struct index *x = open_index(f, &kept);

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_some, x), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	index_close(x, true);
	assert_opens_with(f, true, 5000);
}

/* Kilobytes of files that are mapped in. */
static long resident_file_kb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "RssFile: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

static void test_what_was_read_or_written_does_not_stay_in_memory(void **state)
{
	struct fixture *f = *state;
	bool kept;
	struct index *x = open_index(f, &kept);
	struct stat st;
	long before;

	put_range(x, 0, 50000);
	index_close(x, true);
	assert_int_equal(stat(f->data, &st), 0);
	assert_true(st.st_size > 4 << 20);
	x = open_index(f, &kept);
	before = resident_file_kb();
	assert_int_equal(count(x), 50000);
	assert_true(resident_file_kb() < before + 1024);
	put_range(x, 0, 50000);
	index_flush(x);
	assert_true(resident_file_kb() < before + 1024);
	index_close(x, true);
}

static int touched_visit(void *user, const struct chunkid *id, const struct index_record *rec)
{
	uint32_t *n = user;

	(void)id;
	n[rec->used.last == 1900000000u]++;
	return 0;
}

static void test_touches_are_left_out_when_there_are_too_many(void **state)
{
	struct fixture *f = *state;
	uint32_t n[2] = {0};
	bool kept;
	struct index *x = open_index(f, &kept);

	put_range(x, 0, 50000);
	index_flush(x);
	for (uint32_t i = 0; i < 50000; i++) {
		struct chunkid id = id_of(i);
		struct index_record rec = record_of(i);

		rec.used.last = 1900000000u;
		index_touch(x, &id, &rec);
	}
	index_close(x, true);
	x = open_index(f, &kept);
	assert_true(kept); /* nothing else was lost */
	assert_int_equal(index_load(x, touched_visit, n), 0);
	assert_int_equal(n[0] + n[1], 50000);
	assert_true(n[1] >= 32768);
	index_close(x, true);
}

static void test_load_of_200000_records(void **state)
{
	const uint32_t n = 200000;
	struct fixture *f = *state;
	struct stat st;
	uint64_t t[4];
	bool kept;
	struct index *x = open_index(f, &kept);

	t[0] = clock_ns();
	put_range(x, 0, n);
	index_close(x, true);
	t[1] = clock_ns();
	x = open_index(f, &kept);
	t[2] = clock_ns();
	assert_true(kept);
	assert_int_equal(count(x), n);
	t[3] = clock_ns();
	assert_int_equal(stat(f->data, &st), 0);
	print_message(
		"%u records, %lld bytes: write and close %llu ms, open %llu ms, load %llu ms\n", n,
		(long long)st.st_size, (unsigned long long)(t[1] - t[0]) / CLOCK_NS_PER_MS,
		(unsigned long long)(t[2] - t[1]) / CLOCK_NS_PER_MS,
		(unsigned long long)(t[3] - t[2]) / CLOCK_NS_PER_MS);
	index_close(x, true);
}

/* ---- disks that are full, or read-only ---- */

static void test_a_disk_that_fills_stops_the_recording(void **state)
{
	struct fixture *f = *state;
	struct index *x;
	bool kept;

	if (!tempdir_make_small(&f->dir, 256 << 10))
		skip();
	x = open_index(f, &kept);
	put_range(x, 0, 20000); /* would take 2 MB */
	index_flush(x);
	put_range(x, 20000, 21000); /* nobody is told, nothing breaks */
	index_flush(x);
	index_close(x, true);
	assert_opens_with(f, false, 0);
	tempdir_unmount(&f->dir);
}

static void test_a_full_disk_opens_and_records_nothing(void **state)
{
	struct fixture *f = *state;
	char junk[4096] = "x";
	struct index *x;
	bool kept = true;
	int fd;

	if (!tempdir_make_small(&f->dir, 64 << 10))
		skip();
	fd = openat(f->dir.fd, "junk", O_WRONLY | O_CREAT, 0600);
	while (write(fd, junk, sizeof(junk)) > 0)
		;
	close(fd);
	x = open_index(f, &kept);
	assert_false(kept);
	put_range(x, 0, 100);
	index_flush(x);
	index_close(x, true);
	unlinkat(f->dir.fd, "junk", 0);
	assert_opens_with(f, false, 0);
	tempdir_unmount(&f->dir);
}

static void test_a_read_only_disk_opens_and_records_nothing(void **state)
{
	struct fixture *f = *state;
	struct index *x;
	bool kept = true;

	if (!tempdir_make_small(&f->dir, 1 << 20))
		skip();
	make_clean(f);
	assert_int_equal(mount(NULL, f->dir.path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	x = open_index(f, &kept);
	assert_false(kept);
	put_range(x, 0, 100);
	index_close(x, true);
	assert_int_equal(mount(NULL, f->dir.path, NULL, MS_REMOUNT, NULL), 0);
	assert_opens_with(f, true, 1000);
	tempdir_unmount(&f->dir);
}

static void test_a_file_in_its_place_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct smr_error err = {0};
	struct index *x;
	bool kept;

	close(openat(f->dir.fd, "index", O_WRONLY | O_CREAT, 0600));
	assert_int_equal(index_open(f->dir.fd, &x, &kept, &err), -ENOTDIR);
	assert_non_null(strstr(err.message, "index"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_starts_empty),
		CASE(test_every_record_comes_back_once),
		CASE(test_later_changes_win),
		CASE(test_load_stops_when_told),
		CASE(test_kept_again_and_again),
		CASE(test_unclean_close_starts_empty),
		CASE(test_a_crash_starts_empty),
		CASE(test_a_file_that_was_touched_is_not_opened),
		CASE(test_a_rotten_file_is_not_opened),
		CASE(test_descriptors_are_not_inherited),
		CASE(test_threads_may_put_and_flush),
		CASE(test_what_was_read_or_written_does_not_stay_in_memory),
		CASE(test_touches_are_left_out_when_there_are_too_many),
		CASE(test_load_of_200000_records),
		CASE(test_a_disk_that_fills_stops_the_recording),
		CASE(test_a_full_disk_opens_and_records_nothing),
		CASE(test_a_read_only_disk_opens_and_records_nothing),
		CASE(test_a_file_in_its_place_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
