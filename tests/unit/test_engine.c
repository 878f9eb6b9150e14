/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../../cached/engine.h"
#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/clock.h"
#include "../../chunker/core/codec.h"
#include "../../chunker/core/fd.h"
#include "sample.h"
#include "tempdir.h"
#include "web_origin.h"

#define SIZE CODEC_CHUNK_MIN
#define N    32 /* chunks, contents 1 to N */

/* A store in a directory, also behind a web server, and an engine. */
struct fixture {
	struct tempdir cache_dir, store_dir;
	char dir[600]; /* the store */
	struct web_origin origin;
	bool origin_stopped;
	struct cache *cache;
	uint64_t size;
	struct cache_store *store, *web;
	struct recipe *recipe;
};

static const unsigned contents[N] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
	19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
static const struct sample sample = {.name = "image",
	.chunk_size = SIZE,
	.contents = contents,
	.n_slots = N,
	.image_size = N * (uint64_t)SIZE};

static int open_engine(struct fixture *f, struct smr_error *err)
{
	struct engine_options opts = {
		.cache_dir = f->cache_dir.path, .cache_size = f->size, .n_workers = 4};
	struct store_options web = {.timeout_ms = 1000};
	int r = engine_new(&opts, &f->cache, err);

	if (r < 0)
		return r;
	assert_int_equal(cache_open_store(f->cache, f->dir, NULL, &f->store, err), 0);
	assert_int_equal(cache_open_store(f->cache, f->origin.url, &web, &f->web, err), 0);
	return 0;
}

static void must_open_engine(struct fixture *f)
{
	struct smr_error err = {0};

	if (open_engine(f, &err) < 0)
		fail_msg("%s", err.message);
}

static void close_engine(struct fixture *f)
{
	if (f->cache)
		cache_stop(f->cache);
	cache_free(take_ptr(f->cache));
}

static void reopen(struct fixture *f)
{
	close_engine(f);
	must_open_engine(f);
}

static void stop_origin(struct fixture *f)
{
	if (!f->origin_stopped)
		web_origin_stop(&f->origin);
	f->origin_stopped = true;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store_options create = {.create = true, .chunk_size = SIZE};
	struct store *s;

	if (!f)
		return -1;
	tempdir_init(&f->cache_dir);
	tempdir_init(&f->store_dir);
	snprintf(f->dir, sizeof(f->dir), "%.500s/store", f->store_dir.path);
	if (store_open(f->dir, &create, &s, NULL) < 0)
		return -1;
	sample_publish(&sample, s);
	store_free(s);
	f->recipe = sample_recipe(&sample);
	web_origin_start(&f->origin, f->dir);
	must_open_engine(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_engine(f);
	stop_origin(f);
	recipe_free(f->recipe);
	tempdir_done(&f->cache_dir);
	tempdir_done(&f->store_dir);
	free(f);
	return 0;
}

/* ---- gets that a test waits for ---- */

struct waiter {
	struct cache_get get;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned calls;
	int result, fd;
	struct cache *cache;
};

static void waiter_done(struct cache_get *g, int r, int fd)
{
	struct waiter *w = (struct waiter *)g;

	locked(&w->lock);
	w->calls++;
	w->result = r;
	w->fd = fd;
	pthread_cond_broadcast(&w->changed);
}

static void waiter_start(
	struct waiter *w, struct fixture *f, struct cache_store *store, unsigned content)
{
	*w = (struct waiter){.get = {.chunk_size = SIZE, .store = store, .done = waiter_done},
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.cache = f->cache};
	sample_id(content, SIZE, &w->get.id);
	cache_get(f->cache, &w->get);
}

/* The result; -EILSEQ: wrong bytes. Closes the descriptor. */
static int waiter_wait(struct waiter *w, unsigned content)
{
	unsigned char got[SIZE], expected[SIZE];
	struct timespec until;
	size_t n;

	locked(&w->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	while (!w->calls)
		if (pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT)
			abort();
	assert_int_equal(w->calls, 1);
	if (w->result < 0) {
		assert_int_equal(w->fd, -1);
		return w->result;
	}
	sample_fill(content, expected, SIZE);
	int r = fd_pread(w->fd, got, SIZE, 0, &n);
	/* nobody may write by it */
	assert_true(pwrite(w->fd, "x", 1, 0) < 0);
	assert_int_equal(fcntl(w->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(w->fd);
	cache_dropped(w->cache, &w->get.id, 1);
	return r == 0 && n == SIZE && memcmp(got, expected, SIZE) == 0 ? 0 : -EILSEQ;
}

static int get_from(struct fixture *f, struct cache_store *store, unsigned content)
{
	struct waiter w;

	waiter_start(&w, f, store, content);
	return waiter_wait(&w, content);
}

static struct cache_counters counters(struct fixture *f)
{
	struct cache_counters c;

	cache_counters(f->cache, &c);
	return c;
}

static void path_of(const char *dir, const char *below, unsigned content, const char *suffix,
	char ret[PATH_MAX])
{
	struct chunkid id;
	char hex[CHUNKID_HEX + 1];

	sample_id(content, SIZE, &id);
	chunkid_format(&id, hex);
	snprintf(ret, PATH_MAX, "%s/%s/%.2s/%s%s", dir, below, hex, hex, suffix);
}

/* The object of a chunk, in whichever root it is. */
static void object_of(struct fixture *f, unsigned content, char ret[PATH_MAX])
{
	char roots[700], below[300];
	struct dirent *e;

	snprintf(roots, sizeof(roots), "%s/roots", f->dir);
	DIR *d = opendir(roots);
	assert_non_null(d);
	while ((e = readdir(d))) {
		snprintf(below, sizeof(below), "roots/%.200s/chunks", e->d_name);
		path_of(f->dir, below, content, ".zst", ret);
		if (access(ret, F_OK) == 0)
			break;
	}
	assert_non_null(e);
	closedir(d);
}

static void overwrite(const char *path, long offset, const void *data, size_t n)
{
	assert_int_equal(chmod(path, 0600), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, n, offset), n);
	close(fd);
}

static uint64_t since_ms(uint64_t start)
{
	return (clock_ns() - start) / CLOCK_NS_PER_MS;
}

/* ---- what works ---- */

static void test_chunks_come_once_from_the_store_and_then_from_the_pool(void **state)
{
	struct fixture *f = *state;

	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 1; i <= N; i++)
			assert_int_equal(get_from(f, round ? f->web : f->store, i), 0);
	struct cache_counters c = counters(f);
	assert_int_equal(c.fetched_chunks, N);
	assert_true(c.fetched_bytes > N * SIZE / 2);
	assert_int_equal(c.pool_hits, 2 * N);
	assert_int_equal(c.live_chunks, N);
	assert_int_equal(atomic_load(&f->origin.gets), 0);
	reopen(f);
	for (unsigned i = 1; i <= N; i++)
		assert_int_equal(get_from(f, f->store, i), 0);
	assert_int_equal(counters(f).fetched_chunks, 0);
}

static void test_200_waiters_for_a_chunk_of_a_slow_store_are_one_download(void **state)
{
	static struct waiter w[200];
	struct fixture *f = *state;

	atomic_store(&f->origin.delay_ms, 200);
	for (unsigned i = 0; i < 200; i++)
		waiter_start(&w[i], f, f->web, 1);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(waiter_wait(&w[i], 1), 0);
	assert_int_equal(atomic_load(&f->origin.gets), 1);
	assert_int_equal(counters(f).fetched_chunks, 1);
}

struct thread {
	struct fixture *f;
	unsigned content;
	int result;
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	t->result = get_from(t->f, t->f->web, t->content);
	return NULL;
}

static void test_200_threads_on_a_chunk_are_one_download(void **state)
{
	static struct thread t[200];
	static pthread_t threads[200];
	struct fixture *f = *state;

	atomic_store(&f->origin.delay_ms, 100);
	for (unsigned i = 0; i < 200; i++) {
		t[i] = (struct thread){.f = f, .content = 7};
		assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &t[i]), 0);
	}
	for (unsigned i = 0; i < 200; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(t[i].result, 0);
	}
	assert_int_equal(atomic_load(&f->origin.gets), 1);
}

static atomic_uint told;

static void on_evicted(void *user, const struct chunkid *id)
{
	(void)user, (void)id;
	atomic_fetch_add(&told, 1);
}

static void test_the_pool_stays_within_cache_size_and_tells_what_went(void **state)
{
	struct fixture *f = *state;

	f->size = 8 * SIZE;
	reopen(f);
	atomic_store(&told, 0);
	cache_on_evicted(f->cache, on_evicted, f);
	for (unsigned i = 1; i <= N; i++) {
		assert_int_equal(get_from(f, f->store, i), 0);
		assert_true(counters(f).live_bytes <= f->size);
	}
	assert_int_equal(counters(f).live_chunks, 8);
	assert_int_equal(counters(f).evicted, N - 8);
	assert_int_equal(atomic_load(&told), N - 8);
	cache_on_evicted(f->cache, NULL, NULL);
}

static void test_an_evicted_chunk_lives_on_for_who_has_it(void **state)
{
	struct fixture *f = *state;
	struct waiter w;

	f->size = 2 * SIZE;
	reopen(f);
	waiter_start(&w, f, f->store, 1);
	for (unsigned i = 2; i <= 10; i++)
		assert_int_equal(get_from(f, f->store, i), 0);
	assert_int_equal(waiter_wait(&w, 1), 0);
}

static void test_one_store_a_url(void **state)
{
	struct fixture *f = *state;
	struct cache_store *again;
	struct smr_error err = {0};

	assert_int_equal(cache_open_store(f->cache, f->dir, NULL, &again, &err), 0);
	assert_ptr_equal(again, f->store);
	assert_int_equal(cache_open_store(f->cache, "gopher://store", NULL, &again, &err), -EINVAL);
	assert_ptr_equal(again, f->store);
}

/* ---- what does not ---- */

static void test_a_damaged_pool_file_is_fetched_again(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];

	for (unsigned i = 1; i <= 3; i++)
		assert_int_equal(get_from(f, f->store, i), 0);
	path_of(f->cache_dir.path, "pool", 1, "", path);
	overwrite(path, 5000, "damage", 6);
	path_of(f->cache_dir.path, "pool", 2, "", path);
	assert_int_equal(truncate(path, 100), 0);
	path_of(f->cache_dir.path, "pool", 3, "", path);
	assert_int_equal(unlink(path), 0);
	for (unsigned i = 1; i <= 3; i++)
		assert_int_equal(get_from(f, f->store, i), 0);
	assert_int_equal(counters(f).pool_corrupt, 2);
	assert_int_equal(counters(f).fetched_chunks, 6);
	for (unsigned i = 1; i <= 3; i++)
		assert_int_equal(get_from(f, f->store, i), 0);
	assert_int_equal(counters(f).fetched_chunks, 6);
}

static void test_a_chunk_reported_bad_is_fetched_again(void **state)
{
	struct fixture *f = *state;
	struct chunkid id;

	assert_int_equal(get_from(f, f->store, 1), 0);
	sample_id(1, SIZE, &id);
	cache_bad(f->cache, &id);
	assert_int_equal(get_from(f, f->store, 1), 0);
	assert_int_equal(counters(f).fetched_chunks, 2);
}

static void test_missing_corrupt_and_unreachable_are_told_apart(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];

	object_of(f, 1, path);
	assert_int_equal(unlink(path), 0);
	object_of(f, 2, path);
	overwrite(path, 2000, "damage", 6);
	assert_int_equal(get_from(f, f->store, 1), -ENOENT);
	assert_int_equal(get_from(f, f->store, 2), -EBADMSG);
	assert_int_equal(get_from(f, f->web, 1), -ENOENT);
	assert_int_equal(get_from(f, f->web, 2), -EBADMSG);
	stop_origin(f);
	int r = get_from(f, f->web, 3);
	assert_true(store_error_is_transient(r));
	struct cache_counters c = counters(f);
	assert_int_equal(c.missing, 2);
	assert_int_equal(c.corrupt, 2);
	assert_int_equal(c.unreachable, 1);
	assert_int_equal(c.fetched_chunks, 0);
	assert_int_equal(c.live_chunks, 0);
	/* and nothing of it sticks */
	assert_int_equal(get_from(f, f->store, 3), 0);
}

static enum web_origin_fault first_is_wrong(unsigned n)
{
	return n == 0 ? WEB_ORIGIN_FLIP : WEB_ORIGIN_OK;
}

static enum web_origin_fault never_right(unsigned n)
{
	return n % 2 ? WEB_ORIGIN_EMPTY : WEB_ORIGIN_FLIP;
}

static void test_wrong_bytes_from_the_wire_are_asked_for_once_more(void **state)
{
	struct fixture *f = *state;

	f->origin.fault = first_is_wrong;
	assert_int_equal(get_from(f, f->web, 1), 0);
	assert_int_equal(atomic_load(&f->origin.gets), 2);
	assert_int_equal(counters(f).corrupt, 0);
}

static void test_another_source_makes_up_for_a_wrong_one(void **state)
{
	struct fixture *f = *state;
	struct waiter a, b;

	f->origin.fault = never_right;
	atomic_store(&f->origin.delay_ms, 100);
	waiter_start(&a, f, f->web, 1);
	usleep(20000);
	waiter_start(&b, f, f->store, 1);
	assert_int_equal(waiter_wait(&a, 1), 0);
	assert_int_equal(waiter_wait(&b, 1), 0);
	assert_int_equal(atomic_load(&f->origin.gets), 2);
	assert_int_equal(get_from(f, f->web, 2), -EBADMSG);
}

static void test_a_chunk_of_another_size_does_no_harm(void **state)
{
	struct fixture *f = *state;
	struct waiter w = {.get = {.chunk_size = 2 * SIZE, .store = f->store, .done = waiter_done},
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER};

	assert_int_equal(get_from(f, f->store, 1), 0);
	sample_id(1, SIZE, &w.get.id);
	cache_get(f->cache, &w.get);
	assert_int_equal(waiter_wait(&w, 1), -EBADMSG);
	assert_int_equal(get_from(f, f->store, 1), 0);
	assert_int_equal(counters(f).fetched_chunks, 1);
}

static void test_a_want_of_descriptors_passes(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, low;

	assert_int_equal(get_from(f, f->store, 1), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	/* That one was opened before the cache, so none below it is free or becomes free. */
	low = before;
	low.rlim_cur = (rlim_t)f->cache_dir.fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	int known = get_from(f, f->store, 1), unknown = get_from(f, f->store, 2);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(known, -EMFILE);
	assert_true(unknown < 0);
	assert_int_equal(get_from(f, f->store, 1), 0);
	assert_int_equal(get_from(f, f->store, 2), 0);
	assert_int_equal(counters(f).pool_corrupt, 0);
	assert_int_equal(counters(f).fetched_chunks, 2);
}

static void test_a_full_disk_serves_from_memory(void **state)
{
	struct fixture *f = *state;

	close_engine(f);
	if (!tempdir_make_small(&f->cache_dir, 1 << 20)) {
		must_open_engine(f);
		skip();
	}
	must_open_engine(f);
	for (unsigned i = 1; i <= N; i++)
		assert_int_equal(get_from(f, f->store, i), 0);
	struct cache_counters c = counters(f);
	assert_true(c.pool_full > 0 && c.live_chunks > 0);
	assert_int_equal(c.pool_full + c.live_chunks, N);
	close_engine(f);
	tempdir_unmount(&f->cache_dir);
	must_open_engine(f);
}

/* ---- ownership, crashes, shutdown ---- */

static void test_a_second_engine_is_refused_and_told_the_pid(void **state)
{
	struct fixture *f = *state;
	struct engine_options opts = {.cache_dir = f->cache_dir.path};
	struct cache *second = NULL;
	struct smr_error err = {0};
	char pid[32];

	assert_int_equal(engine_new(&opts, &second, &err), -EBUSY);
	assert_null(second);
	snprintf(pid, sizeof(pid), "process %d;", (int)getpid());
	assert_non_null(strstr(err.message, pid));
	close_engine(f);
	must_open_engine(f);
}

static void test_a_directory_that_cannot_be_a_cache_is_refused(void **state)
{
	struct fixture *f = *state;
	struct cache *c = NULL;
	struct smr_error err = {0};
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/lock/below", f->cache_dir.path);
	struct engine_options opts = {.cache_dir = path};
	assert_int_equal(engine_new(&opts, &c, &err), -ENOTDIR);
	assert_non_null(strstr(err.message, path));
	if (geteuid() == 0) {
		snprintf(path, sizeof(path), "%s/theirs", f->store_dir.path);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(chown(path, 12345, 12345), 0);
		assert_int_equal(engine_new(&opts, &c, &err), -EPERM);
		assert_non_null(strstr(err.message, "12345"));
	}
	assert_null(c);
}

/* Gets every chunk, and is killed. */
static int crash_main(char *const *args)
{
	struct engine_options opts = {.cache_dir = args[0]};
	struct fixture f = {0};

	if (engine_new(&opts, &f.cache, NULL) < 0 ||
		cache_open_store(f.cache, args[1], NULL, &f.store, NULL) < 0)
		return 1;
	for (unsigned i = 1; i <= N; i++)
		if (get_from(&f, f.store, i) != 0)
			return 2;
	return raise(SIGKILL);
}

static void test_after_a_crash_the_pool_is_used_again(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];
	int status;
	pid_t pid;

	close_engine(f);
	/* a program of its own, as this one has threads */
	char *argv[] = {"test_engine", "crash", f->cache_dir.path, f->dir, NULL};
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	path_of(f->cache_dir.path, "pool", 5, "", path);
	overwrite(path, 100, "damage", 6);
	must_open_engine(f);
	for (unsigned i = 1; i <= N; i++)
		assert_int_equal(get_from(f, f->store, i), 0);
	assert_int_equal(counters(f).fetched_chunks, 1);
	assert_int_equal(counters(f).pool_corrupt, 1);
}

static void test_stop_ends_gets_that_a_store_holds_up(void **state)
{
	struct fixture *f = *state;
	struct waiter w[8];

	atomic_store(&f->origin.delay_ms, 5000);
	for (unsigned i = 0; i < 8; i++)
		waiter_start(&w[i], f, f->web, i + 1);
	usleep(50000);
	uint64_t start = clock_ns();
	cache_stop(f->cache);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(waiter_wait(&w[i], i + 1), -ECANCELED);
	assert_true(since_ms(start) < 1000);
	assert_int_equal(get_from(f, f->store, 20), -ECANCELED);
	assert_int_equal(counters(f).unreachable, 0);
	cache_free(take_ptr(f->cache));
	assert_true(since_ms(start) < 1500);
}

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_no_descriptor_is_left_behind(void **state)
{
	struct fixture *f = *state;
	unsigned before, cache_open;

	reopen(f);
	cache_open = open_descriptors();
	f->origin.fault = never_right;
	for (unsigned i = 1; i <= N; i++)
		get_from(f, i % 2 ? f->store : f->web, i);
	/* the client's connections, and ours to it */
	assert_true(open_descriptors() <= cache_open + 2 * 16 + 8);
	close_engine(f);
	stop_origin(f);
	before = open_descriptors();
	for (unsigned i = 0; i < 5; i++) {
		struct engine_options opts = {.cache_dir = f->cache_dir.path}, none = opts;
		struct cache *c, *second;
		assert_int_equal(engine_new(&opts, &c, NULL), 0);
		assert_int_equal(engine_new(&none, &second, NULL), -EBUSY);
		cache_free(c);
	}
	assert_int_equal(open_descriptors(), before);
	must_open_engine(f);
}

/* ---- recipes and listings ---- */

static void test_a_recipe_once_opened_is_there_without_its_store(void **state)
{
	struct fixture *f = *state;
	struct chunkid digest = recipe_info(f->recipe)->digest, none = {{0}}, other = {{1}};
	struct smr_error err = {0};
	struct recipe *r;

	assert_int_equal(cache_recipe(f->cache, f->web, "image", &none, &r, &err), 0);
	assert_true(chunkid_equal(&recipe_info(r)->digest, &digest));
	recipe_free(r);
	assert_int_equal(cache_recipe(f->cache, f->web, "image", &other, &r, &err), -ESTALE);
	assert_int_equal(cache_recipe(f->cache, f->web, "absent", NULL, &r, &err), -ENOENT);
	stop_origin(f);
	reopen(f);
	assert_int_equal(cache_recipe(f->cache, f->web, "image", &digest, &r, &err), 0);
	recipe_free(r);
	assert_true(cache_recipe(f->cache, f->web, "image", NULL, &r, &err) < 0);
}

static void test_a_list_is_that_of_the_store(void **state)
{
	struct fixture *f = *state;
	struct store_list list;
	char tag[128] = "";
	struct smr_error err = {0};

	assert_int_equal(cache_list(f->cache, f->store, tag, &list, &err), 0);
	assert_int_equal(list.n, 1);
	assert_string_equal(list.images[0].name, "image");
	store_list_done(&list);
	int r = cache_list(f->cache, f->store, tag, &list, &err);
	assert_true(r == 0 || r == -EALREADY);
	if (r == 0)
		store_list_done(&list);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "crash") == 0)
		return crash_main(argv + 2);

	const struct CMUnitTest tests[] = {
		CASE(test_chunks_come_once_from_the_store_and_then_from_the_pool),
		CASE(test_200_waiters_for_a_chunk_of_a_slow_store_are_one_download),
		CASE(test_200_threads_on_a_chunk_are_one_download),
		CASE(test_the_pool_stays_within_cache_size_and_tells_what_went),
		CASE(test_an_evicted_chunk_lives_on_for_who_has_it),
		CASE(test_one_store_a_url),
		CASE(test_a_damaged_pool_file_is_fetched_again),
		CASE(test_a_chunk_reported_bad_is_fetched_again),
		CASE(test_missing_corrupt_and_unreachable_are_told_apart),
		CASE(test_wrong_bytes_from_the_wire_are_asked_for_once_more),
		CASE(test_another_source_makes_up_for_a_wrong_one),
		CASE(test_a_chunk_of_another_size_does_no_harm),
		CASE(test_a_want_of_descriptors_passes),
		CASE(test_a_full_disk_serves_from_memory),
		CASE(test_a_second_engine_is_refused_and_told_the_pid),
		CASE(test_a_directory_that_cannot_be_a_cache_is_refused),
		CASE(test_after_a_crash_the_pool_is_used_again),
		CASE(test_stop_ends_gets_that_a_store_holds_up),
		CASE(test_no_descriptor_is_left_behind),
		CASE(test_a_recipe_once_opened_is_there_without_its_store),
		CASE(test_a_list_is_that_of_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
