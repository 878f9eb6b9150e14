/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../../cached/local.h"
#include "../../cached/reclaim.h"
#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/codec.h"
#include "../../chunker/core/fd.h"
#include "tempdir.h"

#define SIZE CODEC_CHUNK_MIN

struct fixture {
	struct tempdir dir;
	struct local *local;
	uint64_t size, min_free;
	bool has_holder;   /* somebody maps what is removed, while */
	atomic_bool holds; /* this says so */
	atomic_uint told;  /* evicted() */
};

static void evicted(void *user, const struct chunkid *id)
{
	struct fixture *f = user;

	(void)id;
	atomic_fetch_add(&f->told, 1);
}

static bool held(void *user, const struct chunkid *id)
{
	struct fixture *f = user;

	(void)id;
	return atomic_load(&f->holds);
}

static void open_local(struct fixture *f)
{
	struct local_options opts = {.dir = f->dir.path,
		.size = f->size,
		.min_free = f->min_free,
		.evicted = evicted,
		.held = f->has_holder ? held : NULL,
		.user = f};
	struct smr_error err = {0};

	if (local_open(f->dir.fd, &opts, &f->local, &err) < 0)
		fail_msg("%s", err.message);
}

/* The scan that follows a start without an index is over. */
static void wait_for_scan(void)
{
	for (bool scanning = true; scanning; usleep(1000)) {
		DIR *d = opendir("/proc/self/task");
		char path[300], name[32];
		size_t n;

		assert_non_null(d);
		scanning = false;
		for (struct dirent *e; (e = readdir(d));) {
			snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
			auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0 && fd_read(fd, name, sizeof(name), &n) == 0 && n > 8)
				scanning |= memcmp(name, "smr-scan", 8) == 0;
		}
		closedir(d);
	}
}

static void close_local(struct fixture *f)
{
	local_close(f->local);
	f->local = NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	tempdir_init(&f->dir);
	f->size = 1ull << 30;
	open_local(f);
	wait_for_scan();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	local_close(f->local);
	tempdir_done(&f->dir);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	close_local(f);
	open_local(f);
}

/* ---- chunks from numbers, without a page of zeros ---- */

struct chunk {
	struct chunkid id;
	unsigned char bytes[SIZE];
};

static void make_chunk(struct chunk *c, unsigned n)
{
	memset(c->bytes, (int)(n % 255) + 1, SIZE);
	memcpy(c->bytes, &n, sizeof(n));
	chunkid_hash(c->bytes, SIZE, &c->id);
}

static struct chunkid id_of(unsigned n)
{
	struct chunk c;

	make_chunk(&c, n);
	return c.id;
}

static int put(struct fixture *f, unsigned n)
{
	struct chunk c;
	int fd;

	make_chunk(&c, n);
	int r = local_put(f->local, &c.id, c.bytes, SIZE, &fd);
	if (r == 0)
		close(fd);
	return r;
}

/* Also compares: -EILSEQ. */
static int get(struct fixture *f, unsigned n)
{
	struct chunk c;
	unsigned char got[SIZE];
	size_t len;
	int fd;

	make_chunk(&c, n);
	int r = local_get(f->local, &c.id, SIZE, &fd);
	if (r < 0)
		return r;
	if (fd_pread(fd, got, SIZE, 0, &len) < 0 || len != SIZE || memcmp(got, c.bytes, SIZE))
		r = -EILSEQ;
	close(fd);
	return r;
}

static struct cache_counters counters(struct fixture *f)
{
	struct cache_counters c = {0};

	local_counters(f->local, &c);
	return c;
}

static void path_of(const struct fixture *f, unsigned n, char ret[PATH_MAX])
{
	struct chunkid id = id_of(n);
	char hex[CHUNKID_HEX + 1];

	chunkid_format(&id, hex);
	snprintf(ret, PATH_MAX, "%s/pool/%.2s/%s", f->dir.path, hex, hex);
}

static bool has_file(const struct fixture *f, unsigned n)
{
	char path[PATH_MAX];

	path_of(f, n, path);
	return access(path, F_OK) == 0;
}

static void damage(const struct fixture *f, unsigned n)
{
	char path[PATH_MAX];

	path_of(f, n, path);
	assert_int_equal(chmod(path, 0600), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\xfe\xfe", 2, SIZE / 2), 2);
	close(fd);
}

static unsigned files_in_pool(const struct fixture *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 256; i++) {
		char path[PATH_MAX];
		snprintf(path, sizeof(path), "%s/pool/%02x", f->dir.path, i);
		DIR *d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d));)
			n += e->d_name[0] != '.';
		if (d)
			closedir(d);
	}
	return n;
}

/* As if the process had been killed: closed without the mark of a clean stop. Chunks first to
 * first + n - 1 are put before. */
static void put_and_crash(struct fixture *f, unsigned first, unsigned n)
{
	close_local(f);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		open_local(f);
		for (unsigned i = 0; i < n; i++)
			if (put(f, first + i) != 0)
				_exit(1);
		raise(SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	open_local(f);
}

/* ---- use ---- */

static void test_what_was_put_is_found_also_after_a_restart(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 1), -ENOENT);
	for (unsigned i = 1; i <= 20; i++)
		assert_int_equal(put(f, i), 0);
	for (unsigned i = 1; i <= 20; i++)
		assert_int_equal(get(f, i), 0);
	assert_int_equal(counters(f).pool_hits, 20);
	assert_int_equal(counters(f).live_chunks, 20);
	assert_in_range(counters(f).live_bytes, 20 * SIZE, 21 * SIZE);
	reopen(f);
	assert_int_equal(counters(f).live_chunks, 20);
	for (unsigned i = 1; i <= 20; i++)
		assert_int_equal(get(f, i), 0);
	assert_int_equal(counters(f).pool_corrupt, 0);
	assert_int_equal(atomic_load(&f->told), 0);
}

static void test_it_stays_within_its_size(void **state)
{
	struct fixture *f = *state;

	f->size = 8 * SIZE;
	reopen(f);
	for (unsigned i = 1; i <= 20; i++) {
		assert_int_equal(put(f, i), 0);
		assert_true(counters(f).live_bytes <= f->size);
		assert_int_equal(get(f, 1), 0); /* in use all the time */
	}
	assert_int_equal(files_in_pool(f), 8);
	assert_int_equal(counters(f).live_chunks, 8);
	assert_int_equal(counters(f).evicted, 12);
	assert_int_equal(atomic_load(&f->told), 12);
	for (unsigned i = 2; i <= 13; i++)
		assert_int_equal(get(f, i), -ENOENT);
	for (unsigned i = 14; i <= 20; i++)
		assert_int_equal(get(f, i), 0);
}

static void test_touched_chunks_stay(void **state)
{
	struct fixture *f = *state;
	struct chunkid ids[2] = {id_of(1), id_of(3)};

	f->size = 4 * SIZE;
	reopen(f);
	for (unsigned i = 1; i <= 4; i++)
		put(f, i);
	local_touch(f->local, ids, 2);
	put(f, 5);
	put(f, 6);
	assert_int_equal(get(f, 1), 0);
	assert_int_equal(get(f, 2), -ENOENT);
	assert_int_equal(get(f, 3), 0);
	assert_int_equal(get(f, 4), -ENOENT);
}

static void test_the_order_of_use_survives_a_restart(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 1; i <= 8; i++)
		put(f, i);
	f->size = 4 * SIZE;
	reopen(f);
	/* a smaller bound holds at once */
	assert_int_equal(counters(f).live_chunks, 4);
	assert_int_equal(files_in_pool(f), 4);
}

static void test_a_cache_smaller_than_a_chunk_still_serves(void **state)
{
	struct fixture *f = *state;
	struct chunk c;
	unsigned char got[SIZE];
	size_t n;
	int fd;

	f->size = 1;
	reopen(f);
	make_chunk(&c, 1);
	assert_int_equal(local_put(f->local, &c.id, c.bytes, SIZE, &fd), 0);
	assert_int_equal(fd_pread(fd, got, SIZE, 0, &n), 0);
	assert_memory_equal(got, c.bytes, SIZE);
	close(fd);
	assert_int_equal(counters(f).live_bytes, 0);
	assert_int_equal(files_in_pool(f), 0);
}

/* ---- room ---- */

static struct local_usage usage(struct fixture *f)
{
	struct local_usage u;

	local_usage(f->local, &u);
	return u;
}

static void test_above_the_high_watermark_it_goes_down_to_the_low_one(void **state)
{
	struct fixture *f = *state;
	const uint64_t size = 64ull << 20;

	f->size = size;
	reopen(f);
	assert_true(reclaim_high(size) < size && reclaim_low(size) < reclaim_high(size));
	for (unsigned i = 1; usage(f).live_bytes <= reclaim_high(size) - SIZE; i++)
		assert_int_equal(put(f, i), 0);
	usleep(20000);
	assert_int_equal(counters(f).evicted, 0);
	assert_int_equal(put(f, 100000), 0);
	for (unsigned i = 0; i < 500 && usage(f).live_bytes > reclaim_low(size); i++)
		usleep(10000);
	assert_in_range(usage(f).live_bytes, reclaim_low(size) - 2 * SIZE, reclaim_low(size));
	assert_int_equal(get(f, 1), -ENOENT);
	assert_int_equal(get(f, 100000), 0);
}

static void test_pinned_chunks_stay(void **state)
{
	struct fixture *f = *state;
	struct chunkid ids[2] = {id_of(1), id_of(7)};

	f->size = 4 * SIZE;
	reopen(f);
	put(f, 1);
	assert_int_equal(local_pin(f->local, ids, 2), 0); /* 7 is yet to come */
	for (unsigned i = 2; i <= 20; i++) {
		assert_int_equal(put(f, i), 0);
		assert_true(usage(f).live_bytes <= f->size);
	}
	assert_int_equal(usage(f).pinned_bytes, 2 * SIZE);
	assert_int_equal(get(f, 1), 0);
	assert_int_equal(get(f, 7), 0);
	local_unpin(f->local, ids, 2);
	local_unpin(f->local, ids, 2); /* not pinned any more: nothing */
	assert_int_equal(usage(f).pinned_bytes, 0);
	for (unsigned i = 21; i <= 24; i++)
		assert_int_equal(put(f, i), 0);
	assert_int_equal(get(f, 1), -ENOENT);
	assert_int_equal(get(f, 7), -ENOENT);
}

static void test_a_cache_full_of_pins_keeps_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct chunkid ids[4] = {id_of(1), id_of(2), id_of(3), id_of(4)};

	f->size = 4 * SIZE;
	reopen(f);
	assert_int_equal(local_pin(f->local, ids, 4), 0);
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(put(f, i), 0);
	assert_int_equal(put(f, 5), -ENOSPC);
	assert_int_equal(files_in_pool(f), 4);
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(get(f, i), 0);
	local_unpin(f->local, &ids[2], 1);
	assert_int_equal(put(f, 5), 0);
	assert_int_equal(get(f, 3), -ENOENT);
	assert_int_equal(files_in_pool(f), 4);
}

static void test_what_is_held_counts_until_it_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct chunkid one = id_of(1), two = id_of(2);

	f->size = 4 * SIZE;
	f->has_holder = true;
	reopen(f);
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(put(f, i), 0);
	atomic_store(&f->holds, true);
	/* one goes, but its space does not; evicting another would not help */
	assert_int_equal(put(f, 5), -ENOSPC);
	assert_int_equal(put(f, 5), -ENOSPC);
	assert_int_equal(usage(f).condemned_bytes, SIZE);
	assert_int_equal(usage(f).live_chunks, 3);
	assert_int_equal(atomic_load(&f->told), 1);
	local_dropped(f->local, &two); /* of which nothing was removed */
	assert_int_equal(put(f, 5), -ENOSPC);
	local_dropped(f->local, &one);
	assert_int_equal(usage(f).condemned_bytes, 0);
	assert_int_equal(put(f, 5), 0);
	atomic_store(&f->holds, false);
	assert_int_equal(put(f, 6), 0);
	assert_int_equal(usage(f).condemned_bytes, 0);
	assert_int_equal(files_in_pool(f), 4);
	/* what was damaged takes its space as well */
	atomic_store(&f->holds, true);
	local_bad(f->local, &two);
	assert_int_equal(usage(f).condemned_bytes, 0); /* was evicted for 6 */
	one = id_of(6);
	local_bad(f->local, &one);
	assert_int_equal(usage(f).condemned_bytes, SIZE);
}

static void test_holders_that_do_not_drop_cost_other_chunks_in_the_end(void **state)
{
	struct fixture *f = *state;
	int r = -ENOSPC;

	f->size = 4 * SIZE;
	f->has_holder = true;
	reopen(f);
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(put(f, i), 0);
	atomic_store(&f->holds, true);
	assert_int_equal(put(f, 5), -ENOSPC);
	atomic_store(&f->holds, false);
	/* nobody says that 1 was dropped */
	for (unsigned i = 0; i < 60 && r == -ENOSPC; i++) {
		usleep(100000);
		r = put(f, 5);
	}
	assert_int_equal(r, 0);
	assert_int_equal(usage(f).overdue_bytes, SIZE);
	assert_int_equal(usage(f).live_bytes, 3 * SIZE);
}

static void test_the_disk_keeps_its_free_space(void **state)
{
	struct fixture *f = *state;
	const uint64_t total = 16ull << 20;
	struct statvfs st;

	close_local(f);
	f->min_free = 4ull << 20;
	bool small = tempdir_make_small(&f->dir, total);
	open_local(f);
	if (!small)
		skip();
	for (unsigned i = 1; i <= 3 * total / SIZE; i++)
		assert_int_equal(put(f, i), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(fstatvfs(f->dir.fd, &st), 0);
		if (st.f_bavail * st.f_frsize >= f->min_free)
			break;
		usleep(100000);
	}
	assert_true(st.f_bavail * st.f_frsize >= f->min_free);
	/* and the rest is in use */
	assert_true(usage(f).live_bytes >= total - 3 * f->min_free / 2);
	close_local(f);
	tempdir_unmount(&f->dir);
	open_local(f);
}

static void test_files_that_cannot_be_removed_stay_accounted_for(void **state)
{
	struct fixture *f = *state;

	close_local(f);
	bool small = tempdir_make_small(&f->dir, 4 << 20);
	open_local(f);
	if (!small)
		skip();
	for (unsigned i = 1; i <= 8; i++)
		assert_int_equal(put(f, i), 0);
	close_local(f);
	assert_int_equal(mount(NULL, f->dir.path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	f->size = 4 * SIZE;
	open_local(f);
	wait_for_scan();
	assert_int_equal(usage(f).live_chunks, 8);
	assert_int_equal(counters(f).evicted, 0);
	assert_int_equal(get(f, 1), 0);
	close_local(f);
	assert_int_equal(mount(NULL, f->dir.path, NULL, MS_REMOUNT, NULL), 0);
	open_local(f);
	wait_for_scan();
	assert_int_equal(usage(f).live_chunks, 4);
	close_local(f);
	tempdir_unmount(&f->dir);
	open_local(f);
}

static void test_a_file_that_cannot_be_removed_does_not_stop_eviction(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX + 2];

	f->size = 4 * SIZE;
	reopen(f);
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(put(f, i), 0);
	path_of(f, 1, path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	strcat(path, "/x");
	assert_int_equal(mkdir(path, 0700), 0);
	for (unsigned i = 5; i <= 40; i++) {
		assert_int_equal(put(f, i), 0);
		assert_true(usage(f).live_bytes <= f->size + SIZE);
	}
	assert_true(counters(f).evicted >= 34);
	assert_int_equal(get(f, 40), 0);
	assert_int_equal(get(f, 20), -ENOENT);
	assert_int_equal(rmdir(path), 0);
}

/* ---- damage ---- */

static void test_a_damaged_file_is_caught_and_forgotten(void **state)
{
	struct fixture *f = *state;

	put(f, 1);
	put(f, 2);
	damage(f, 1);
	assert_int_equal(get(f, 1), -EBADMSG);
	assert_int_equal(counters(f).pool_corrupt, 1);
	assert_false(has_file(f, 1));
	/* who has it mapped must drop that */
	assert_int_equal(atomic_load(&f->told), 1);
	assert_int_equal(counters(f).evicted, 0);
	assert_int_equal(get(f, 1), -ENOENT);
	put(f, 1);
	assert_int_equal(get(f, 1), 0);
	assert_int_equal(get(f, 2), 0);
}

static void test_damage_while_it_was_closed_is_caught(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];

	for (unsigned i = 1; i <= 4; i++)
		put(f, i);
	close_local(f);
	damage(f, 1);
	path_of(f, 2, path);
	assert_int_equal(truncate(path, SIZE / 2), 0);
	path_of(f, 3, path);
	assert_int_equal(unlink(path), 0);
	open_local(f);
	assert_int_equal(get(f, 1), -EBADMSG);
	assert_int_equal(get(f, 2), -EBADMSG);
	assert_int_equal(get(f, 3), -ENOENT);
	assert_int_equal(get(f, 4), 0);
	assert_int_equal(counters(f).live_chunks, 1);
}

static void test_a_bad_one_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct chunkid one = id_of(1), never = id_of(99);

	put(f, 1);
	local_bad(f->local, &one);
	local_bad(f->local, &one);
	local_bad(f->local, &never);
	assert_int_equal(get(f, 1), -ENOENT);
	assert_int_equal(counters(f).live_chunks, 0);
}

static void test_a_request_of_another_size_does_no_harm(void **state)
{
	struct fixture *f = *state;
	struct chunkid id = id_of(1);
	int fd;

	put(f, 1);
	assert_int_equal(local_get(f->local, &id, 2 * SIZE, &fd), -ENOENT);
	assert_int_equal(get(f, 1), 0);
	assert_int_equal(counters(f).pool_corrupt, 0);
}

static void test_a_want_of_descriptors_does_no_harm(void **state)
{
	struct fixture *f = *state;
	struct chunkid id = id_of(1);
	struct rlimit before, low;
	int fd = -1;

	put(f, 1);
	int next = dup(f->dir.fd);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	int r = local_get(f->local, &id, SIZE, &fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(r, -EMFILE);
	assert_int_equal(get(f, 1), 0);
	assert_int_equal(counters(f).pool_corrupt, 0);
}

/* ---- crashes ---- */

static void test_after_a_crash_the_pool_is_used_again(void **state)
{
	struct fixture *f = *state;

	put_and_crash(f, 1, 50);
	/* at once, whatever the scan has seen by now */
	for (unsigned i = 50; i >= 1; i--)
		assert_int_equal(get(f, i), 0);
	wait_for_scan();
	assert_int_equal(counters(f).live_chunks, 50);
	assert_int_equal(counters(f).pool_corrupt, 0);
}

static void test_after_a_crash_damage_is_caught(void **state)
{
	struct fixture *f = *state;

	put_and_crash(f, 1, 10);
	close_local(f);
	damage(f, 3);
	put_and_crash(f, 11, 1);
	for (unsigned i = 1; i <= 11; i++)
		assert_int_equal(get(f, i), i == 3 ? -EBADMSG : 0);
}

static void test_the_bound_holds_after_a_crash_too(void **state)
{
	struct fixture *f = *state;

	f->size = 8 * SIZE;
	put_and_crash(f, 1, 8);
	wait_for_scan();
	assert_int_equal(counters(f).live_chunks, 8);
	for (unsigned i = 101; i <= 120; i++)
		put(f, i);
	assert_int_equal(files_in_pool(f), 8);
	assert_true(counters(f).live_bytes <= f->size);
}

/* Not one of them was asked for between the crash and the clean stop. */
static void test_chunks_not_used_since_a_crash_are_accounted_for_after_the_next_start(void **state)
{
	struct fixture *f = *state;

	put_and_crash(f, 1, 10);
	wait_for_scan();
	assert_int_equal(counters(f).live_chunks, 10);
	damage(f, 4);
	reopen(f);
	assert_int_equal(counters(f).live_chunks, 10);
	/* and still not trusted */
	assert_int_equal(get(f, 4), -EBADMSG);
	assert_int_equal(get(f, 5), 0);
	reopen(f);
	assert_int_equal(counters(f).live_chunks, 9);
	f->size = 3 * SIZE;
	reopen(f);
	assert_int_equal(files_in_pool(f), 3);
}

/* ---- many at once ---- */

struct worker {
	struct fixture *f;
	unsigned seed, first, step;
	uint64_t until;
	unsigned wrong;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	/* In the engine a flight owns its id: no two threads look up or put the same one. Reports of
	 * bad chunks and evictions come at any time. */
	for (unsigned i = 0; i < 1500; i++) {
		unsigned n =
			w->first + (w->seed = w->seed * 1103515245 + 12345) / 65536 % 8 * w->step;
		struct chunkid id = id_of(n);
		int r = get(w->f, n);
		if (r == -ENOENT)
			r = put(w->f, n);
		if (r < 0)
			w->wrong++;
		if (i % 16 == 0) {
			id = id_of(w->seed / 65536 % 32);
			local_bad(w->f->local, &id);
		}
		local_touch(w->f->local, &id, 1);
	}
	return NULL;
}

static void test_many_threads_leave_no_file_that_nobody_accounts_for(void **state)
{
	struct fixture *f = *state;
	struct worker w[4];
	pthread_t threads[4];

	f->size = 8 * SIZE;
	reopen(f);
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct worker){.f = f, .seed = i, .first = i, .step = 4};
		assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &w[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(w[i].wrong, 0);
	}
	assert_true(counters(f).live_bytes <= f->size);
	assert_true(files_in_pool(f) <= counters(f).live_chunks);
	/* the records as well */
	reopen(f);
	assert_true(files_in_pool(f) <= counters(f).live_chunks);
	f->size = 1;
	reopen(f);
	assert_int_equal(files_in_pool(f), 0);
}

/* As a daemon with clients: each worker pins, holds what is evicted for a while, and drops it. */
static void *room_worker_main(void *arg)
{
	struct worker *w = arg;
	struct fixture *f = w->f;

	for (unsigned i = 0; i < 1500; i++) {
		unsigned n = w->first + rand_r(&w->seed) % 8 * w->step;
		struct chunkid id = id_of(n), pinned = id_of(w->first);
		struct local_usage u;
		int r = get(f, n);

		if (r == -ENOENT)
			r = put(f, n);
		if (r < 0 && r != -ENOSPC)
			w->wrong++;
		local_usage(f->local, &u);
		/* beside what four workers are just putting */
		if (u.live_bytes + u.condemned_bytes > f->size + 4 * SIZE)
			w->wrong++;
		if (i % 8 == 0 && local_pin(f->local, &pinned, 1) < 0)
			w->wrong++;
		if (i % 8 == 4)
			local_unpin(f->local, &pinned, 1);
		atomic_store(&f->holds, i % 3 == 0);
		if (i % 2)
			local_dropped(f->local, &id);
	}
	return NULL;
}

static void test_many_threads_with_pins_and_holders_keep_the_bound(void **state)
{
	struct fixture *f = *state;
	struct worker w[4];
	pthread_t threads[4];

	f->size = 8 * SIZE;
	f->has_holder = true;
	reopen(f);
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct worker){.f = f, .seed = i, .first = i, .step = 4};
		assert_int_equal(pthread_create(&threads[i], NULL, room_worker_main, &w[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(w[i].wrong, 0);
	}
	for (unsigned n = 0; n < 32; n++) {
		struct chunkid id = id_of(n);

		local_dropped(f->local, &id);
		local_unpin(f->local, &id, 1);
	}
	assert_int_equal(usage(f).condemned_bytes, 0);
	assert_int_equal(usage(f).pinned_bytes, 0);
	assert_true(usage(f).live_bytes <= f->size);
	assert_true(files_in_pool(f) <= usage(f).live_chunks);
	atomic_store(&f->holds, false);
	f->size = 1;
	reopen(f);
	assert_int_equal(files_in_pool(f), 0);
}

static void test_a_full_disk_is_an_error_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned n = 1;

	close_local(f);
	bool small = tempdir_make_small(&f->dir, 4 << 20);
	open_local(f);
	if (!small)
		skip();
	while (put(f, n) == 0)
		n++;
	assert_true(n > 4);
	assert_int_equal(put(f, n), -ENOSPC);
	assert_false(has_file(f, n));
	for (unsigned i = 1; i < n; i++)
		assert_int_equal(get(f, i), 0);
	assert_int_equal(counters(f).live_chunks, n - 1);
	close_local(f);
	tempdir_unmount(&f->dir);
	open_local(f);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_was_put_is_found_also_after_a_restart),
		CASE(test_it_stays_within_its_size),
		CASE(test_touched_chunks_stay),
		CASE(test_the_order_of_use_survives_a_restart),
		CASE(test_a_cache_smaller_than_a_chunk_still_serves),
		CASE(test_above_the_high_watermark_it_goes_down_to_the_low_one),
		CASE(test_pinned_chunks_stay),
		CASE(test_a_cache_full_of_pins_keeps_nothing_else),
		CASE(test_what_is_held_counts_until_it_is_dropped),
		CASE(test_holders_that_do_not_drop_cost_other_chunks_in_the_end),
		CASE(test_the_disk_keeps_its_free_space),
		CASE(test_files_that_cannot_be_removed_stay_accounted_for),
		CASE(test_a_file_that_cannot_be_removed_does_not_stop_eviction),
		CASE(test_a_damaged_file_is_caught_and_forgotten),
		CASE(test_damage_while_it_was_closed_is_caught),
		CASE(test_a_bad_one_is_forgotten),
		CASE(test_a_request_of_another_size_does_no_harm),
		CASE(test_a_want_of_descriptors_does_no_harm),
		CASE(test_after_a_crash_the_pool_is_used_again),
		CASE(test_after_a_crash_damage_is_caught),
		CASE(test_the_bound_holds_after_a_crash_too),
		CASE(test_chunks_not_used_since_a_crash_are_accounted_for_after_the_next_start),
		CASE(test_many_threads_leave_no_file_that_nobody_accounts_for),
		CASE(test_many_threads_with_pins_and_holders_keep_the_bound),
		CASE(test_a_full_disk_is_an_error_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
