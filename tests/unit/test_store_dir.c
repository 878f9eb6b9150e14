/* SPDX-License-Identifier: BSD-3-Clause */
#include "store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* ---- opening ---- */

static void test_open_of_nothing_tells_how_to_make_a_store(void **state)
{
	struct smr_error err = {0};
	struct store *s;

	assert_int_equal(store_open(below(*state, "no"), NULL, &s, &err), -ENOENT);
	assert_non_null(strstr(err.message, "is not a store; `smr -s "));
	assert_int_equal(store_open(*state, NULL, &s, &err), -ENOENT);
	assert_non_null(strstr(err.message, "is not a store; `smr -s "));
}

static void test_open_refuses_what_is_no_store_url(void **state)
{
	static const char *const urls[] = {"", "dir:", "ftp://x/y", "gopher://x", "file:///x"};
	struct smr_error err = {0};
	struct store *s;

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		assert_int_equal(store_open(urls[i], NULL, &s, &err), -EINVAL);
}

static void test_create_makes_a_store_that_opens_again(void **state)
{
	struct store_options opts = {.create = true, .chunk_size = 1 << 20};
	struct smr_error err = {0};
	const char *path = below(*state, "a/b");
	struct store *s;
	uint32_t size;

	ok(store_open(path, &opts, &s, &err));
	assert_true(store_is_local(s));
	assert_string_equal(store_url(s), path);
	store_free(s);
	opts.chunk_size = 0;
	ok(store_open(path, &opts, &s, &err));
	ok(store_chunk_size(s, &size, &err));
	assert_int_equal(size, 1 << 20);
	store_free(s);
	s = open_store(path, false);
	store_free(s);
	assert_true(exists(below(path, "smr-store.json")));
	assert_true(exists(below(path, "roots/r1/recipes/index.json")));
}

static void test_open_refuses_a_damaged_description(void **state)
{
	struct smr_error err = {0};
	struct store *s;

	write_text(below(*state, "smr-store.json"), "{\"version\": 1}");
	assert_int_equal(store_open(*state, NULL, &s, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "smr-store.json"));
	write_text(below(*state, "smr-store.json"),
		"{\"version\": 2, \"chunk_size\": 524288, \"roots\": []}");
	assert_int_equal(store_open(*state, NULL, &s, &err), -ENOTSUP);
}

/* ---- publishing ---- */

static void test_published_image_is_listed_and_read(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct recipe *r;
	struct store_list l;
	uint64_t n;

	publish(s, "one", 1, 3);
	ok(store_list(s, NULL, &l, &err));
	assert_int_equal(l.n, 1);
	ok(store_get_recipe(s, "one", &r, &err));
	assert_string_equal(l.images[0].name, "one");
	assert_true(chunkid_equal(&l.images[0].digest, &recipe_info(r)->digest));
	assert_int_equal(l.images[0].image_size, recipe_info(r)->image_size);
	assert_int_equal(l.images[0].data_size, recipe_data_bytes(r));
	assert_int_equal(l.images[0].n_chunks, 3);
	assert_int_equal(l.images[0].chunk_size, CHUNK);
	assert_int_equal(l.images[0].recipe_size, recipe_info(r)->file_size);
	assert_string_equal(l.images[0].source, "docker.io/library/test:1");
	assert_true(llabs((long long)l.images[0].created - (long long)time(NULL)) < 100);
	store_list_done(&l);
	recipe_free(r);
	for (unsigned i = 1; i <= 3; i++)
		assert_chunk(s, i);
	struct chunkid absent = {{1}};
	assert_int_equal(store_has(s, &absent, &n, &err), -ENOENT);
	assert_int_equal(store_get_recipe(s, "two", &r, &err), -ENOENT);
	assert_non_null(strstr(err.message, "no image two"));
	assert_int_equal(store_get_recipe(s, "../one", &r, &err), -EINVAL);
	store_free(s);
}

static void test_absent_chunk_is_enoent(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct chunkid id = {{1, 2, 3}};
	struct buf body;

	buf_init(&body, 1000);
	assert_int_equal(store_get_wait(s, &id, &body, &err), -ENOENT);
	assert_non_null(strstr(err.message, "is missing"));
	store_free(s);
}

static void test_object_longer_than_allowed_is_refused(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct chunkid id = put_chunk(s, 1);
	struct buf body;

	ok(store_flush(s, &err));
	buf_init(&body, 100);
	assert_int_equal(store_get_wait(s, &id, &body, &err), -EBADMSG);
	assert_int_equal(body.len, 0);
	store_free(s);
}

static void test_put_counts_at_once_and_is_visible_after_flush(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true), *other = open_store(*state, false);
	struct chunkid id = put_chunk(s, 7);
	uint64_t n;

	ok(store_has(s, &id, &n, &err));
	assert_true(n > 1000);
	assert_int_equal(store_has(other, &id, &n, &err), -ENOENT);
	ok(store_flush(s, &err));
	ok(store_has(other, &id, &n, &err));
	assert_chunk(other, 7);
	store_free(s);
	store_free(other);
}

static void test_same_recipe_again_is_left_alone(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct recipe *r = make_recipe("one", 1, 2), *r2 = make_recipe("one", 5, 2);
	struct stat before, after;
	bool same = true;

	put_chunk(s, 1), put_chunk(s, 2), put_chunk(s, 5), put_chunk(s, 6);
	ok(store_put_recipe(s, r, &same, &err));
	assert_false(same);
	assert_int_equal(stat(below(*state, "roots/r1/recipes/one.recipe"), &before), 0);
	ok(store_put_recipe(s, r, &same, &err));
	assert_true(same);
	assert_int_equal(stat(below(*state, "roots/r1/recipes/one.recipe"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	ok(store_put_recipe(s, r2, &same, &err));
	assert_false(same);
	recipe_free(r);
	recipe_free(r2);
	store_free(s);
}

static void test_removed_image_is_gone_its_chunks_stay(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct store_list l;

	publish(s, "one", 1, 1);
	publish(s, "two", 1, 1);
	ok(store_remove_recipe(s, "one", &err));
	assert_int_equal(store_remove_recipe(s, "one", &err), -ENOENT);
	assert_non_null(strstr(err.message, "no image one"));
	ok(store_list(s, NULL, &l, &err));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.images[0].name, "two");
	store_list_done(&l);
	assert_chunk(s, 1);
	store_free(s);
}

static json_t *load_index(const char *dir)
{
	json_t *doc = json_load_file(below(dir, "roots/r1/recipes/index.json"), 0, NULL);

	assert_non_null(doc);
	return doc;
}

static void test_index_tells_what_the_recipes_do(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct recipe *r;
	json_t *doc = load_index(*state);

	assert_int_equal(json_array_size(json_object_get(doc, "images")), 0);
	json_decref(doc);
	publish(s, "b", 1, 2);
	publish(s, "a", 3, 1);
	doc = load_index(*state);
	assert_int_equal(json_array_size(json_object_get(doc, "images")), 2);
	json_t *b = json_array_get(json_object_get(doc, "images"), 1);
	char digest[CHUNKID_HEX + 8] = "sha256:";
	ok(store_get_recipe(s, "b", &r, &err));
	chunkid_format(&recipe_info(r)->digest, digest + 7);
	assert_string_equal(json_string_value(json_object_get(b, "name")), "b");
	assert_string_equal(json_string_value(json_object_get(b, "digest")), digest);
	assert_int_equal(json_integer_value(json_object_get(b, "chunks")), 2);
	assert_int_equal(
		json_integer_value(json_object_get(b, "image_size")), recipe_info(r)->image_size);
	assert_int_equal(json_integer_value(json_object_get(b, "data_size")), recipe_data_bytes(r));
	recipe_free(r);
	json_decref(doc);
	ok(store_remove_recipe(s, "a", &err));
	doc = load_index(*state);
	assert_int_equal(json_array_size(json_object_get(doc, "images")), 1);
	json_decref(doc);
	store_free(s);
}

static void test_lost_index_comes_back_with_the_next_publication(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct recipe *r = make_recipe("a", 1, 1);
	bool same;

	publish(s, "a", 1, 1);
	assert_int_equal(unlink(below(*state, "roots/r1/recipes/index.json")), 0);
	ok(store_put_recipe(s, r, &same, &err));
	assert_true(same);
	json_t *doc = load_index(*state);
	assert_int_equal(json_array_size(json_object_get(doc, "images")), 1);
	json_decref(doc);
	recipe_free(r);
	store_free(s);
}

/* ---- listing ---- */

static void age_directory(const char *path)
{
	struct timespec t[2] = {{.tv_sec = time(NULL) - 100}, {.tv_sec = time(NULL) - 100}};

	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void test_unchanged_store_is_told_by_the_tag(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct store_list l;
	char tag[128] = "";

	publish(s, "a", 1, 1);
	/* Too fresh to tell: a change in the same tick would not show. */
	ok(store_list(s, tag, &l, &err));
	store_list_done(&l);
	ok(store_list(s, tag, &l, &err));
	store_list_done(&l);
	age_directory(below(*state, "roots/r1/recipes"));
	ok(store_list(s, tag, &l, &err));
	store_list_done(&l);
	assert_int_equal(store_list(s, tag, &l, &err), -EALREADY);
	assert_int_equal(store_list(s, tag, &l, &err), -EALREADY);
	publish(s, "b", 1, 1);
	ok(store_list(s, tag, &l, &err));
	assert_int_equal(l.n, 2);
	store_list_done(&l);
	store_free(s);
}

static void test_damaged_recipe_is_left_out_and_explained(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct store_list l;
	struct recipe *r;

	publish(s, "good", 1, 1);
	write_text(below(*state, "roots/r1/recipes/bad.recipe"), "not a recipe at all");
	write_text(below(*state, "roots/r1/recipes/.hidden.recipe"), "x");
	assert_int_equal(mkdir(below(*state, "roots/r1/recipes/dir.recipe"), 0755), 0);
	assert_int_equal(mkfifo(below(*state, "roots/r1/recipes/fifo.recipe"), 0644), 0);
	assert_int_equal(link(below(*state, "roots/r1/recipes/good.recipe"),
				 below(*state, "roots/r1/recipes/alias.recipe")),
		0);
	ok(store_list(s, NULL, &l, &err));
	assert_int_equal(l.n, 1);
	store_list_done(&l);
	assert_int_equal(store_get_recipe(s, "bad", &r, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "bad.recipe: "));
	assert_int_equal(store_get_recipe(s, "alias", &r, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "is the recipe of good"));
	assert_int_equal(store_get_recipe(s, "fifo", &r, &err), -EBADMSG);
	assert_int_equal(store_get_recipe(s, "dir", &r, &err), -EBADMSG);
	store_free(s);
}

struct counted {
	unsigned n;
	uint64_t bytes;
	int stop_with;
};

static int count_object(void *user, const struct chunkid *id, uint64_t wire_len)
{
	struct counted *c = user;

	(void)id;
	c->n++;
	c->bytes += wire_len;
	return c->stop_with;
}

static void test_each_visits_chunks_and_nothing_else(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct counted c = {0};

	publish(s, "a", 1, 5);
	struct chunkid id = put_chunk(s, 3);
	char hex[CHUNKID_HEX + 1], path[256];
	ok(store_flush(s, &err));
	chunkid_format(&id, hex);
	snprintf(path, sizeof(path), "roots/r1/chunks/%.2s/%s.zst.tmp.1.2", hex, hex);
	write_text(below(*state, path), "x");
	snprintf(path, sizeof(path), "roots/r1/chunks/%s.zst", hex);
	write_text(below(*state, path), "x");
	ok(store_each(s, count_object, &c, &err));
	assert_int_equal(c.n, 5);
	assert_true(c.bytes > 5000);
	c = (struct counted){.stop_with = -EINTR};
	assert_int_equal(store_each(s, count_object, &c, &err), -EINTR);
	assert_int_equal(c.n, 1);
	store_free(s);
}

/* ---- many at once ---- */

struct putter {
	struct store *store;
	unsigned first, n;
	pthread_t thread;
};

static void *put_many(void *arg)
{
	struct putter *p = arg;

	for (unsigned i = 0; i < p->n; i++)
		put_chunk(p->store, p->first + i);
	return NULL;
}

static void test_threads_put_the_same_and_different_chunks(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct putter p[6];
	struct counted c = {0};

	/* 0..199, 50..249, ...: more than a batch, with overlaps. */
	for (unsigned i = 0; i < 6; i++) {
		p[i] = (struct putter){.store = s, .first = 50 * i, .n = 200};
		assert_int_equal(pthread_create(&p[i].thread, NULL, put_many, &p[i]), 0);
	}
	for (unsigned i = 0; i < 6; i++)
		pthread_join(p[i].thread, NULL);
	ok(store_flush(s, &err));
	ok(store_each(s, count_object, &c, &err));
	assert_int_equal(c.n, 450);
	assert_chunk(s, 0);
	assert_chunk(s, 449);
	store_free(s);
	/* Nothing is left in the staging directory but the lock. */
	DIR *d = opendir(below(*state, "tmp"));
	unsigned entries = 0;
	for (struct dirent *e; (e = readdir(d));)
		entries += e->d_name[0] != '.';
	closedir(d);
	assert_true(entries <= 1);
}

static void test_free_publishes_what_was_put(void **state)
{
	struct store *s = open_store(*state, true);

	put_chunk(s, 1);
	store_free(s);
	s = open_store(*state, false);
	assert_chunk(s, 1);
	store_free(s);
}

/* ---- trouble ---- */

static void test_write_that_fails_is_told_and_leaves_nothing(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct rlimit old, small = {.rlim_cur = 1000};
	struct counted c = {0};
	struct chunkid id;
	unsigned char *wire;
	uint64_t size;
	size_t n;

	make_chunk(1, &id, &wire, &n);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = store_put(s, &id, wire, n, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(err.message, "File too large"));
	assert_int_equal(store_has(s, &id, &size, &err), -ENOENT);
	/* It may be put again. */
	ok(store_put(s, &id, wire, n, &err));
	ok(store_flush(s, &err));
	ok(store_each(s, count_object, &c, &err));
	assert_int_equal(c.n, 1);
	free(wire);
	store_free(s);
}

static void test_damaged_object_is_replaced_by_a_put(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct chunkid id = put_chunk(s, 1);
	char hex[CHUNKID_HEX + 1], path[200];
	uint64_t n;

	ok(store_flush(s, &err));
	chunkid_format(&id, hex);
	snprintf(path, sizeof(path), "roots/r1/chunks/%.2s/%s.zst", hex, hex);
	write_text(below(*state, path), "");
	/* No object is empty. */
	assert_int_equal(store_has(s, &id, &n, &err), -ENOENT);
	write_text(below(*state, path), "rot");
	put_chunk(s, 1);
	ok(store_flush(s, &err));
	assert_chunk(s, 1);
	store_free(s);
}

static void test_modes_follow_the_umask(void **state)
{
	mode_t old = umask(027);
	struct store *s = open_store(below(*state, "x"), true);
	struct stat st;

	publish(s, "a", 1, 1);
	store_free(s);
	umask(old);
	assert_int_equal(stat(below(*state, "x/roots/r1/recipes/a.recipe"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stat(below(*state, "x/roots/r1/chunks"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
}

static void test_processes_publish_side_by_side(void **state)
{
	struct smr_error err = {0};
	pid_t pids[4];
	int status;

	for (unsigned p = 0; p < 4; p++) {
		pids[p] = fork();
		assert_true(pids[p] >= 0);
		if (pids[p] == 0) {
			/* Two of them find no store yet: both make it. */
			struct store *s = open_store(*state, true);
			for (unsigned i = 0; i < 10; i++) {
				char name[30];
				snprintf(name, sizeof(name), "p%u-%u", p, i);
				publish(s, name, 5 * p + i, 2);
			}
			store_free(s);
			_exit(0);
		}
	}
	for (unsigned p = 0; p < 4; p++) {
		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
		assert_int_equal(status, 0);
	}
	struct store *s = open_store(*state, false);
	struct store_list l;
	ok(store_list(s, NULL, &l, &err));
	assert_int_equal(l.n, 40);
	store_list_done(&l);
	store_free(s);
	json_t *doc = load_index(*state);
	assert_int_equal(json_array_size(json_object_get(doc, "images")), 40);
	json_decref(doc);
}

/* ---- a killed publisher ---- */

static int check_whole(void *user, const struct chunkid *id, uint64_t wire_len)
{
	struct store *s = user;
	struct smr_error err = {0};
	unsigned char *pool = malloc(CHUNK);
	struct buf body;

	(void)wire_len;
	buf_init(&body, codec_wire_max(CHUNK));
	ok(store_get_wait(s, id, &body, &err));
	assert_int_equal(codec_decode_verify(body.data, body.len, id, pool, CHUNK), 0);
	buf_done(&body);
	free(pool);
	return 0;
}

static unsigned count_entries(const char *dir, const char *prefix)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(d);
	return n;
}

static void test_killed_publisher_leaves_no_torn_object(void **state)
{
	struct smr_error err = {0};

	store_free(open_store(*state, true));
	for (unsigned round = 0; round < 8; round++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct store *s = open_store(*state, false);
			for (unsigned i = 0;; i++)
				publish(s, "victim", round * 1000 + i * 3, 3);
		}
		usleep(20000 + 17000 * round);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);

		struct store *s = open_store(*state, false);
		struct recipe *r;
		ok(store_each(s, check_whole, s, &err));
		int rc = store_get_recipe(s, "victim", &r, &err);
		assert_true(rc == 0 || rc == -ENOENT);
		if (rc == 0) {
			uint64_t n;
			for (uint64_t i = 0; i < recipe_info(r)->n_chunks; i++) {
				struct recipe_entry e = recipe_entry(r, i);
				ok(store_has(s, &e.id, &n, &err));
			}
			recipe_free(r);
		}
		store_free(s);
	}
	/* The next writer sweeps what the dead left, and leaves a living one alone. */
	struct store *alive = open_store(*state, false);
	put_chunk(alive, 900001);
	struct store *s = open_store(*state, false);
	publish(s, "after", 900002, 1);
	assert_int_equal(count_entries(below(*state, "tmp"), "w-"), 2);
	ok(store_flush(alive, &err));
	assert_chunk(s, 900001);
	store_free(alive);
	store_free(s);
	assert_int_equal(count_entries(below(*state, "tmp"), "w-"), 0);
}

/* ---- roots ---- */

static void write_roots(const char *dir, const char *roots)
{
	char text[600];

	snprintf(text, sizeof(text), "{\"version\": 1, \"chunk_size\": 524288, \"roots\": [%s]}",
		roots);
	write_text(below(dir, "smr-store.json"), text);
}

#define ROOT(name, state) "{\"name\": \"" name "\", \"state\": \"" state "\"}"

static void test_recipes_and_chunks_of_retired_roots_are_found(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct store_list l;
	struct recipe *r;

	publish(s, "old", 1, 2);
	publish(s, "both", 3, 1);
	write_roots(*state, ROOT("r2", "active") "," ROOT("r1", "retired"));
	/* This handle learns of the new root by listing. */
	ok(store_list(s, NULL, &l, &err));
	assert_int_equal(l.n, 2);
	store_list_done(&l);
	store_free(s);

	s = open_store(*state, false);
	publish(s, "both", 5, 2);
	ok(store_list(s, NULL, &l, &err));
	assert_int_equal(l.n, 2);
	assert_string_equal(l.images[0].name, "both");
	assert_int_equal(l.images[0].n_chunks, 2);
	store_list_done(&l);
	ok(store_get_recipe(s, "both", &r, &err));
	assert_int_equal(recipe_info(r)->n_chunks, 2);
	recipe_free(r);
	ok(store_get_recipe(s, "old", &r, &err));
	recipe_free(r);
	assert_chunk(s, 1);
	assert_chunk(s, 6);

	write_roots(*state, ROOT("r2", "active") "," ROOT("r1", "expired"));
	ok(store_list(s, NULL, &l, &err));
	assert_int_equal(l.n, 1);
	store_list_done(&l);
	assert_int_equal(store_get_recipe(s, "old", &r, &err), -ENOENT);
	store_free(s);
}

static void test_publishing_copies_chunks_out_of_retired_roots(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct recipe *r = make_recipe("new", 1, 3);
	uint64_t n;

	publish(s, "old", 1, 2);
	store_free(s);
	write_roots(*state, ROOT("r2", "active") "," ROOT("r1", "retired"));
	s = open_store(*state, false);
	struct recipe_entry e = recipe_entry(r, 0);
	ok(store_has(s, &e.id, &n, &err));
	assert_int_equal(store_put_recipe(s, r, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.message, "was not published"));
	put_chunk(s, 3);
	ok(store_put_recipe(s, r, NULL, &err));
	write_roots(*state, ROOT("r2", "active") "," ROOT("r1", "expired"));
	store_free(s);
	s = open_store(*state, false);
	for (unsigned i = 1; i <= 3; i++)
		assert_chunk(s, i);
	store_free(s);
	recipe_free(r);
}

static void test_root_replaced_while_publishing_is_noticed(void **state)
{
	struct smr_error err = {0};
	struct store *s = open_store(*state, true);
	struct recipe *r = make_recipe("x", 1, 1);

	put_chunk(s, 1);
	write_roots(*state, ROOT("r2", "active") "," ROOT("r1", "retired"));
	assert_int_equal(store_put_recipe(s, r, NULL, &err), -ESTALE);
	assert_non_null(strstr(err.message, "run it again"));
	/* Which succeeds: nothing is lost. */
	ok(store_put_recipe(s, r, NULL, &err));
	assert_true(exists(below(*state, "roots/r2/recipes/x.recipe")));
	assert_chunk(s, 1);
	recipe_free(r);
	store_free(s);
}

static void test_chunk_of_a_generation_that_moved_on_is_found(void **state)
{
	struct store *s = open_store(*state, true), *writer;

	assert_false(exists(below(*state, "roots/r2")));
	publish(s, "a", 1, 1);
	write_roots(*state, ROOT("r2", "active") "," ROOT("r1", "expired"));
	writer = open_store(*state, false);
	publish(writer, "a", 2, 1);
	store_free(writer);
	/* The handle still knows r1 alone; roots younger than a second are believed. */
	usleep(1100000);
	assert_chunk(s, 2);
	store_free(s);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_dir, fixture_dir_done)
	const struct CMUnitTest tests[] = {
		CASE(test_open_of_nothing_tells_how_to_make_a_store),
		CASE(test_open_refuses_what_is_no_store_url),
		CASE(test_create_makes_a_store_that_opens_again),
		CASE(test_open_refuses_a_damaged_description),
		CASE(test_published_image_is_listed_and_read),
		CASE(test_absent_chunk_is_enoent),
		CASE(test_object_longer_than_allowed_is_refused),
		CASE(test_put_counts_at_once_and_is_visible_after_flush),
		CASE(test_same_recipe_again_is_left_alone),
		CASE(test_removed_image_is_gone_its_chunks_stay),
		CASE(test_index_tells_what_the_recipes_do),
		CASE(test_lost_index_comes_back_with_the_next_publication),
		CASE(test_unchanged_store_is_told_by_the_tag),
		CASE(test_damaged_recipe_is_left_out_and_explained),
		CASE(test_each_visits_chunks_and_nothing_else),
		CASE(test_threads_put_the_same_and_different_chunks),
		CASE(test_free_publishes_what_was_put),
		CASE(test_write_that_fails_is_told_and_leaves_nothing),
		CASE(test_damaged_object_is_replaced_by_a_put),
		CASE(test_modes_follow_the_umask),
		CASE(test_processes_publish_side_by_side),
		CASE(test_killed_publisher_leaves_no_torn_object),
		CASE(test_recipes_and_chunks_of_retired_roots_are_found),
		CASE(test_publishing_copies_chunks_out_of_retired_roots),
		CASE(test_root_replaced_while_publishing_is_noticed),
		CASE(test_chunk_of_a_generation_that_moved_on_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
