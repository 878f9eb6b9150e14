/* SPDX-License-Identifier: BSD-3-Clause */
/* One cache for many: in one process, and in several, whose owner ends, is killed, and stops. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../../cached/shared.h"
#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/clock.h"
#include "../../chunker/core/codec.h"
#include "../../chunker/core/fd.h"
#include "sample.h"
#include "tempdir.h"
#include "web_origin.h"

#define SIZE CODEC_CHUNK_MIN
#define N    48 /* chunks, contents 1 to N */

struct fixture {
	struct tempdir cache_dir, store_dir;
	char dir[600]; /* the store */
	struct web_origin origin;
};

static char self[512];
static unsigned contents[N];
static struct sample sample = {.name = "image",
	.chunk_size = SIZE,
	.contents = contents,
	.n_slots = N,
	.image_size = N * (uint64_t)SIZE};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store_options create = {.create = true, .chunk_size = SIZE};
	struct store *s;

	if (!f)
		return -1;
	for (unsigned i = 0; i < N; i++)
		contents[i] = i + 1;
	tempdir_init(&f->cache_dir);
	tempdir_init(&f->store_dir);
	snprintf(f->dir, sizeof(f->dir), "%.500s/store", f->store_dir.path);
	if (store_open(f->dir, &create, &s, NULL) < 0)
		return -1;
	sample_publish(&sample, s);
	store_free(s);
	web_origin_start(&f->origin, f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	web_origin_stop(&f->origin);
	tempdir_done(&f->cache_dir);
	tempdir_done(&f->store_dir);
	free(f);
	return 0;
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* ---- a frontend ---- */

struct frontend {
	struct cache *cache;
	struct cache_store *store;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned asked, answered, failed;
	unsigned held[N + 1], evicted[N + 1];
};

struct ask {
	struct cache_get get;
	struct frontend *fe;
	unsigned content;
};

static bool is_content(int fd, unsigned content)
{
	static _Thread_local unsigned char got[SIZE], expected[SIZE];
	size_t n;

	sample_fill(content, expected, SIZE);
	return fd_pread(fd, got, SIZE, 0, &n) == 0 && n == SIZE && memcmp(got, expected, SIZE) == 0;
}

static void done(struct cache_get *g, int r, int fd)
{
	struct ask *a = (struct ask *)g;
	struct frontend *fe = a->fe;
	bool right = r == 0 && is_content(fd, a->content);

	cleanup_closep(&fd);
	{
		locked(&fe->lock);
		fe->answered++;
		fe->failed += !right;
		fe->held[a->content] += r == 0;
		pthread_cond_broadcast(&fe->changed);
	}
	free(a);
}

static void evicted(void *user, const struct chunkid *id)
{
	struct frontend *fe = user;
	struct chunkid each;

	locked(&fe->lock);
	for (unsigned i = 1; i <= N; i++) {
		sample_id(i, SIZE, &each);
		fe->evicted[i] += chunkid_equal(id, &each);
	}
	pthread_cond_broadcast(&fe->changed);
}

static int frontend_start(
	struct frontend *fe, const char *cache_dir, const char *url, uint64_t size)
{
	struct shared_options opts = {
		.engine = {.cache_dir = cache_dir, .cache_size = size, .n_workers = 2},
		.name = "a test"};
	struct smr_error err = {0};
	int r;

	*fe = (struct frontend){0};
	pthread_mutex_init(&fe->lock, NULL);
	pthread_cond_init(&fe->changed, NULL);
	r = shared_new(&opts, &fe->cache, &err);
	if (r == 0) {
		cache_on_evicted(fe->cache, evicted, fe);
		r = cache_open_store(fe->cache, url, NULL, &fe->store, &err);
	}
	if (r < 0)
		fprintf(stderr, "%s\n", err.message);
	return r;
}

static void must_start(struct frontend *fe, struct fixture *f, uint64_t size)
{
	assert_int_equal(frontend_start(fe, f->cache_dir.path, f->origin.url, size), 0);
}

static void frontend_end(struct frontend *fe)
{
	if (fe->cache)
		cache_on_evicted(fe->cache, NULL, NULL);
	cache_free(fe->cache);
	fe->cache = NULL;
}

static void ask(struct frontend *fe, unsigned content)
{
	struct ask *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	a->fe = fe;
	a->content = content;
	a->get = (struct cache_get){
		.chunk_size = SIZE, .priority = STORE_DEMAND, .store = fe->store, .done = done};
	sample_id(content, SIZE, &a->get.id);
	fe->asked++;
	cache_get(fe->cache, &a->get);
}

static void ask_all(struct frontend *fe)
{
	for (unsigned i = 1; i <= N; i++)
		ask(fe, i);
}

static void drop(struct frontend *fe, unsigned content)
{
	struct chunkid id;
	unsigned n;
	{
		locked(&fe->lock);
		n = fe->held[content];
		fe->held[content] = 0;
	}
	sample_id(content, SIZE, &id);
	while (n--)
		cache_dropped(fe->cache, &id, 1);
}

/* false: it is not true after 20 s. */
static bool wait_until(struct frontend *fe, const unsigned *value, unsigned at_least)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	locked(&fe->lock);
	while (*value < at_least)
		if (pthread_cond_timedwait(&fe->changed, &fe->lock, &until) == ETIMEDOUT)
			return false;
	return true;
}

/* How many of what was asked for failed, since last time. */
static unsigned failures(struct frontend *fe)
{
	if (!wait_until(fe, &fe->answered, fe->asked))
		return fe->asked;
	unsigned n = fe->failed;
	fe->failed = 0;
	return n;
}

/* ---- a frontend that is a process of its own ---- */

struct peer {
	pid_t pid;
	FILE *to, *from;
};

/* The other end: `get FIRST LAST` starts, `wait` answers with the number of failures, `fds` with the number of descriptors; the
 * end of its input ends it. */
static int peer_main(const char *cache_dir, const char *url)
{
	struct frontend fe;
	char line[64];
	unsigned first, last;

	if (frontend_start(&fe, cache_dir, url, 0) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "get %u %u", &first, &last) == 2)
			for (unsigned i = first; i <= last; i++)
				ask(&fe, i);
		else if (line[0] == 'w')
			printf("%u\n", failures(&fe));
		else if (line[0] == 'f')
			printf("%u\n", count_fds());
		fflush(stdout);
	}
	frontend_end(&fe);
	return 0;
}

static void peer_start(struct peer *p, const struct fixture *f)
{
	int in[2], out[2];
	char line[64];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(self, self, "peer", f->cache_dir.path, f->origin.url, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	p->to = fdopen(in[1], "w");
	p->from = fdopen(out[0], "r");
	assert_non_null(fgets(line, sizeof(line), p->from));
	assert_string_equal(line, "ready\n");
}

static void peer_say(struct peer *p, const char *text)
{
	assert_true(fputs(text, p->to) >= 0);
	assert_int_equal(fflush(p->to), 0);
}

static unsigned peer_ask(struct peer *p, const char *text)
{
	char line[64];

	peer_say(p, text);
	assert_non_null(fgets(line, sizeof(line), p->from));
	return (unsigned)atoi(line);
}

/* Its status, as waitpid(2) has it. */
static int peer_end(struct peer *p, int sig)
{
	int status;

	if (sig)
		kill(p->pid, sig);
	fclose(p->to);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	fclose(p->from);
	*p = (struct peer){0};
	return status;
}

static pid_t owner(const struct fixture *f)
{
	char path[PATH_MAX], text[32] = "";

	snprintf(path, sizeof(path), "%s/lock", f->cache_dir.path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return (pid_t)atoi(text);
}

/* ---- */

static void test_what_many_ask_for_is_fetched_once(void **state)
{
	struct fixture *f = *state;
	struct frontend fe[5];

	for (unsigned i = 0; i < 5; i++)
		must_start(&fe[i], f, 0);
	atomic_store(&f->origin.delay_ms, 30);
	for (unsigned i = 0; i < 5; i++)
		ask_all(&fe[i]);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(failures(&fe[i]), 0);
	assert_int_equal(atomic_load(&f->origin.gets), N);
	for (unsigned i = 0; i < 5; i++)
		frontend_end(&fe[i]);
}

static void test_the_next_owner_answers_what_the_last_one_did_not(void **state)
{
	struct fixture *f = *state;
	struct frontend fe[4];

	for (unsigned i = 0; i < 4; i++)
		must_start(&fe[i], f, 0);
	atomic_store(&f->origin.delay_ms, 100);
	/* Each owner goes with everybody's GETs under way. */
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned j = i + 1; j < 4; j++)
			ask_all(&fe[j]);
		frontend_end(&fe[i]);
	}
	assert_int_equal(failures(&fe[3]), 0);
	frontend_end(&fe[3]);
}

static void test_calls_go_on_at_the_next_owner(void **state)
{
	struct fixture *f = *state;
	struct frontend a, b;
	struct store_list list;
	struct recipe *recipe;
	struct smr_error err = {0};

	must_start(&a, f, 0);
	must_start(&b, f, 0);
	assert_int_equal(cache_list(b.cache, b.store, NULL, &list, &err), 0);
	frontend_end(&a);
	assert_int_equal(list.n, 1);
	store_list_done(&list);
	assert_int_equal(cache_recipe(b.cache, b.store, "image", NULL, &recipe, &err), 0);
	recipe_free(recipe);
	assert_int_equal(cache_recipe(b.cache, b.store, "other", NULL, &recipe, &err), -ENOENT);
	frontend_end(&b);
}

static void test_the_next_owner_knows_what_is_held(void **state)
{
	struct fixture *f = *state;
	struct frontend fe[3];

	for (unsigned i = 0; i < 3; i++)
		must_start(&fe[i], f, 8 * SIZE);
	ask(&fe[1], 1);
	ask(&fe[2], 1);
	assert_int_equal(failures(&fe[1]) + failures(&fe[2]), 0);
	frontend_end(&fe[0]);
	/* All others of the image push it out. */
	for (unsigned i = 2; i <= N; i++) {
		ask(&fe[1], i);
		assert_int_equal(failures(&fe[1]), 0);
		drop(&fe[1], i);
	}
	assert_true(wait_until(&fe[1], &fe[1].evicted[1], 1));
	assert_true(wait_until(&fe[2], &fe[2].evicted[1], 1));
	drop(&fe[1], 1);
	drop(&fe[2], 1);
	ask(&fe[2], 1);
	assert_int_equal(failures(&fe[2]), 0);
	frontend_end(&fe[1]);
	frontend_end(&fe[2]);
}

static void test_what_went_while_there_was_no_owner_is_told(void **state)
{
	struct fixture *f = *state;
	struct frontend a, b;
	struct chunkid id;
	char hex[CHUNKID_HEX + 1], path[PATH_MAX];

	must_start(&a, f, 0);
	must_start(&b, f, 0);
	ask(&b, 1);
	ask(&b, 2);
	assert_int_equal(failures(&b), 0);
	sample_id(1, SIZE, &id);
	chunkid_format(&id, hex);
	snprintf(path, sizeof(path), "%s/pool/%.2s/%s", f->cache_dir.path, hex, hex);
	assert_int_equal(unlink(path), 0);
	frontend_end(&a);
	assert_true(wait_until(&b, &b.evicted[1], 1));
	assert_int_equal(b.evicted[2], 0);
	frontend_end(&b);
}

static void test_a_killed_owner_is_followed_by_another(void **state)
{
	struct fixture *f = *state;
	struct peer p[4];
	unsigned fds[4];

	for (unsigned i = 0; i < 4; i++)
		peer_start(&p[i], f);
	for (unsigned i = 0; i < 4; i++)
		fds[i] = peer_ask(&p[i], "fds\n");
	for (unsigned round = 0; round < 3; round++) {
		pid_t old = owner(f);
		unsigned n = 0;

		atomic_store(&f->origin.delay_ms, 100);
		for (unsigned i = 0; i < 4; i++)
			if (p[i].pid)
				peer_say(&p[i], "get 1 48\n");
		for (unsigned i = 0; i < 4; i++) {
			if (p[i].pid != old)
				continue;
			assert_true(WIFSIGNALED(peer_end(&p[i], SIGKILL)));
			n++;
		}
		assert_int_equal(n, 1);
		uint64_t began = clock_ns();
		for (unsigned i = 0; i < 4; i++)
			if (p[i].pid)
				assert_int_equal(peer_ask(&p[i], "wait\n"), 0);
		assert_true(clock_ns() - began < 10 * CLOCK_NS_PER_S);
		assert_int_not_equal(owner(f), old);
	}
	/* Nobody has kept a descriptor; whoever owns it now has those of an owner. */
	for (unsigned i = 0; i < 4; i++) {
		if (!p[i].pid)
			continue;
		assert_true(peer_ask(&p[i], "fds\n") <= fds[i] + fds[0]);
		assert_int_equal(peer_end(&p[i], 0), 0);
	}
}

static void test_a_stopped_client_holds_nobody_up(void **state)
{
	struct fixture *f = *state;
	struct peer p[3];

	for (unsigned i = 0; i < 3; i++)
		peer_start(&p[i], f);
	assert_int_equal(owner(f), p[0].pid);
	peer_say(&p[1], "get 1 48\n");
	kill(p[1].pid, SIGSTOP);
	for (unsigned i = 0; i < 4; i++) {
		peer_say(&p[2], "get 1 48\n");
		assert_int_equal(peer_ask(&p[2], "wait\n"), 0);
	}
	kill(p[1].pid, SIGCONT);
	assert_int_equal(peer_ask(&p[1], "wait\n"), 0);
	assert_int_equal(atomic_load(&f->origin.gets), N);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(peer_end(&p[i], 0), 0);
}

static void test_a_cache_that_only_connects_owns_nothing(void **state)
{
	struct fixture *f = *state;
	struct shared_options opts = {
		.engine.cache_dir = f->cache_dir.path, .never_own = true, .name = "a test"};
	struct smr_error err = {0};
	struct frontend fe;
	struct cache *cache;

	assert_int_equal(shared_new(&opts, &cache, &err), -ENOTCONN);
	assert_non_null(strstr(err.message, f->cache_dir.path));
	must_start(&fe, f, 0);
	assert_int_equal(shared_new(&opts, &cache, &err), 0);
	cache_free(cache);
	frontend_end(&fe);
}

static bool now(void *user)
{
	return ++*(unsigned *)user > 2;
}

static void test_an_owner_who_does_not_listen_here_is_named(void **state)
{
	struct fixture *f = *state;
	struct engine_options engine = {.cache_dir = f->cache_dir.path};
	unsigned asked = 0;
	struct shared_options opts = {.engine = engine, .cancelled = now, .user = &asked};
	struct smr_error err = {0};
	struct cache *cache, *own;
	char pid[16];

	assert_int_equal(engine_new(&engine, &own, NULL), 0);
	assert_int_equal(shared_new(&opts, &cache, &err), -ECANCELED);
	opts.cancelled = NULL;
	assert_int_equal(shared_new(&opts, &cache, &err), -EBUSY);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_non_null(strstr(err.message, pid));
	cache_free(own);
}

static void test_rounds_of_owners_leak_no_descriptor(void **state)
{
	struct fixture *f = *state;
	struct frontend a, b;
	unsigned before = 0;

	for (unsigned round = 0; round < 12; round++) {
		/* Connections to an origin would count too. */
		assert_int_equal(frontend_start(&a, f->cache_dir.path, f->dir, 0), 0);
		assert_int_equal(frontend_start(&b, f->cache_dir.path, f->dir, 0), 0);
		ask_all(&a);
		ask_all(&b);
		assert_int_equal(failures(&a), 0);
		frontend_end(&a);
		ask_all(&b);
		assert_int_equal(failures(&b), 0);
		frontend_end(&b);
		if (round == 1)
			before = count_fds();
	}
	assert_int_equal(count_fds(), before);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_many_ask_for_is_fetched_once),
		CASE(test_the_next_owner_answers_what_the_last_one_did_not),
		CASE(test_calls_go_on_at_the_next_owner),
		CASE(test_the_next_owner_knows_what_is_held),
		CASE(test_what_went_while_there_was_no_owner_is_told),
		CASE(test_a_killed_owner_is_followed_by_another),
		CASE(test_a_stopped_client_holds_nobody_up),
		CASE(test_a_cache_that_only_connects_owns_nothing),
		CASE(test_an_owner_who_does_not_listen_here_is_named),
		CASE(test_rounds_of_owners_leak_no_descriptor),
	};

	if (argc == 4 && strcmp(argv[1], "peer") == 0)
		return peer_main(argv[2], argv[3]);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
