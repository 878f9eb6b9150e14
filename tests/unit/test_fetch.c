/* SPDX-License-Identifier: BSD-3-Clause */
/* The loader of roots and the search for chunks, over a bucket that answers when the test says so. */
#include "store_fixture.h"

#include "../../chunker/store/fetch.h"

#define MAX_GETS 32

struct fake {
	struct bucket bucket;
	struct bucket_get *waiting[MAX_GETS]; /* in the order they came */
	unsigned n;
};

static void fake_get(struct bucket *b, struct bucket_get *g)
{
	struct fake *f = (struct fake *)b;

	assert_true(f->n < MAX_GETS);
	f->waiting[f->n++] = g;
}

static const struct bucket_ops fake_ops = {.get = fake_get};

static void fake_init(struct fake *f)
{
	static char url[] = "fake";

	*f = (struct fake){.bucket = {&fake_ops, url, false}};
}

/* Answers the oldest get, which must be for `key`. */
static void answer(struct fake *f, const char *key, int r, const char *text, const char *etag)
{
	struct bucket_get *g = f->waiting[0];
	struct smr_error err = {0};
	struct buf body;

	assert_true(f->n > 0);
	assert_string_equal(g->key, key);
	memmove(f->waiting, f->waiting + 1, --f->n * sizeof(f->waiting[0]));
	buf_init(&body, g->max_bytes);
	if (r == 0) {
		ok(buf_append_str(&body, text));
		snprintf(g->etag, sizeof(g->etag), "%s", etag);
	} else {
		error_set(&err, r, "fake");
	}
	g->done(g, r, &body, &err);
	buf_done(&body);
}

#define ROOT(n, s)   "{\"name\": \"" n "\", \"state\": \"" s "\"}"
#define STORE(roots) "{\"version\": 1, \"chunk_size\": 524288, \"roots\": [" roots "]}"
#define ONE          STORE(ROOT("r1", "active"))
#define TWO          STORE(ROOT("r2", "active") "," ROOT("r1", "retired"))
#define JSON         "smr-store.json"

/* ---- the loader ---- */

struct question {
	struct loader_ask ask;
	int r;
	unsigned n_done;
	struct roots *roots;
};

static void question_done(
	struct loader_ask *a, int r, struct roots *roots, const struct smr_error *err)
{
	struct question *q = (struct question *)a;

	assert_non_null(err);
	q->r = r;
	q->roots = roots;
	q->n_done++;
}

static void ask(struct loader *l, uint64_t max_age_ns, struct question *q)
{
	*q = (struct question){.ask = {.done = question_done}, .r = 1};
	loader_ask(l, max_age_ns, &q->ask);
}

static void test_one_load_answers_all_who_ask_meanwhile(void **state)
{
	struct fake f;
	struct question q[3];
	struct loader *l;

	(void)state;
	fake_init(&f);
	l = loader_new(&f.bucket);
	for (unsigned i = 0; i < 3; i++)
		ask(l, LOADER_ANY, &q[i]);
	assert_int_equal(f.n, 1);
	assert_int_equal(q[0].n_done, 0);
	answer(&f, JSON, 0, ONE, "");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(q[i].n_done, 1);
		assert_int_equal(q[i].r, 0);
		assert_ptr_equal(q[i].roots, q[0].roots);
		roots_unref(q[i].roots);
	}
	ask(l, LOADER_ANY, &q[0]);
	assert_int_equal(q[0].n_done, 1);
	assert_int_equal(f.n, 0);
	roots_unref(q[0].roots);
	loader_free(l);
}

static void test_now_means_a_load_that_starts_later(void **state)
{
	struct fake f;
	struct question early, late, any;
	struct loader *l;

	(void)state;
	fake_init(&f);
	l = loader_new(&f.bucket);
	ask(l, LOADER_NOW, &early);
	ask(l, LOADER_NOW, &late);
	ask(l, LOADER_ANY, &any);
	assert_int_equal(f.n, 1);
	answer(&f, JSON, 0, ONE, "");
	assert_int_equal(early.n_done, 1);
	assert_int_equal(any.n_done, 1);
	assert_int_equal(late.n_done, 0);
	assert_int_equal(f.n, 1);
	answer(&f, JSON, 0, TWO, "");
	assert_int_equal(late.n_done, 1);
	assert_int_equal(early.roots->n, 1);
	assert_int_equal(late.roots->n, 2);
	roots_unref(early.roots);
	roots_unref(late.roots);
	roots_unref(any.roots);
	loader_free(l);
}

static void test_unchanged_roots_are_the_same_ones(void **state)
{
	struct fake f;
	struct question q[4];
	struct loader *l;

	(void)state;
	fake_init(&f);
	l = loader_new(&f.bucket);
	ask(l, LOADER_NOW, &q[0]);
	assert_string_equal(f.waiting[0]->etag, "");
	answer(&f, JSON, 0, ONE, "\"1\"");
	ask(l, LOADER_NOW, &q[1]);
	assert_string_equal(f.waiting[0]->etag, "\"1\"");
	answer(&f, JSON, -EALREADY, NULL, NULL);
	/* The same again under another ETag. */
	ask(l, LOADER_NOW, &q[2]);
	answer(&f, JSON, 0, ONE, "\"2\"");
	ask(l, LOADER_NOW, &q[3]);
	assert_string_equal(f.waiting[0]->etag, "\"2\"");
	answer(&f, JSON, 0, TWO, "\"3\"");
	assert_ptr_equal(q[0].roots, q[1].roots);
	assert_ptr_equal(q[0].roots, q[2].roots);
	assert_ptr_not_equal(q[0].roots, q[3].roots);
	for (unsigned i = 0; i < 4; i++)
		roots_unref(q[i].roots);
	loader_free(l);
}

static void test_failed_load_is_told_and_forgotten(void **state)
{
	struct fake f;
	struct question q;
	struct loader *l;

	(void)state;
	fake_init(&f);
	l = loader_new(&f.bucket);
	ask(l, LOADER_ANY, &q);
	answer(&f, JSON, -ETIMEDOUT, NULL, NULL);
	assert_int_equal(q.r, -ETIMEDOUT);
	ask(l, LOADER_ANY, &q);
	answer(&f, JSON, 0, "nonsense", "\"x\"");
	assert_int_equal(q.r, -EBADMSG);
	ask(l, LOADER_ANY, &q);
	assert_string_equal(f.waiting[0]->etag, "");
	answer(&f, JSON, 0, ONE, "");
	assert_int_equal(q.r, 0);
	roots_unref(q.roots);
	loader_free(l);
}

static void test_absent_file_is_a_flat_store_until_it_appears(void **state)
{
	struct fake f;
	struct question q;
	struct loader *l;

	(void)state;
	fake_init(&f);
	l = loader_new(&f.bucket);
	ask(l, LOADER_NOW, &q);
	answer(&f, JSON, 0, ONE, "\"1\"");
	roots_unref(q.roots);
	ask(l, LOADER_NOW, &q);
	answer(&f, JSON, -ENOENT, NULL, NULL);
	assert_true(q.roots->flat);
	roots_unref(q.roots);
	/* It comes back as it was: the ETag must not make that a "nothing changed". */
	ask(l, LOADER_NOW, &q);
	assert_string_equal(f.waiting[0]->etag, "");
	answer(&f, JSON, 0, ONE, "\"1\"");
	assert_false(q.roots->flat);
	roots_unref(q.roots);
	loader_free(l);
}

/* ---- the search ---- */

#define HEX       "0102030000000000000000000000000000000000000000000000000000000000"
#define KEY(root) "roots/" root "/chunks/01/" HEX ".zst"

struct wanted {
	struct store_get get;
	unsigned n_done;
	int r;
	char text[32], message[ERROR_MESSAGE_MAX];
};

static void wanted_done(struct store_get *g, int r, struct buf *body, const struct smr_error *err)
{
	struct wanted *w = g->user;

	w->n_done++;
	w->r = r;
	snprintf(w->text, sizeof(w->text), "%.*s", (int)body->len, (const char *)body->data);
	snprintf(w->message, sizeof(w->message), "%s", err->message);
}

static void want(struct fake *f, struct loader *l, struct wanted *w)
{
	*w = (struct wanted){.r = 1};
	w->get = (struct store_get){.id = {{1, 2, 3}},
		.max_bytes = 100,
		.priority = STORE_AHEAD,
		.done = wanted_done,
		.user = w};
	fetch_start(&f->bucket, l, &w->get);
}

static void test_chunk_is_looked_for_in_every_live_root(void **state)
{
	struct fake f;
	struct wanted w;
	struct loader *l;

	(void)state;
	fake_init(&f);
	l = loader_new(&f.bucket);
	want(&f, l, &w);
	answer(&f, JSON, 0, TWO, "");
	assert_int_equal(f.waiting[0]->priority, STORE_AHEAD);
	assert_int_equal(f.waiting[0]->max_bytes, 100);
	answer(&f, KEY("r2"), -ENOENT, NULL, NULL);
	answer(&f, KEY("r1"), 0, "bytes", "");
	assert_int_equal(w.n_done, 1);
	assert_int_equal(w.r, 0);
	assert_string_equal(w.text, "bytes");
	loader_free(l);
}

static void test_absent_chunk_costs_no_second_look_while_roots_are_fresh(void **state)
{
	struct fake f;
	struct wanted w;
	struct loader *l;

	(void)state;
	fake_init(&f);
	l = loader_new(&f.bucket);
	want(&f, l, &w);
	answer(&f, JSON, 0, ONE, "");
	answer(&f, KEY("r1"), -ENOENT, NULL, NULL);
	assert_int_equal(f.n, 0);
	assert_int_equal(w.r, -ENOENT);
	assert_string_equal(w.message, "fake: chunk 0102…0000 is missing");
	loader_free(l);
}

static void test_roots_are_read_again_when_they_may_be_old(void **state)
{
	struct fake f;
	struct wanted w;
	struct loader *l;

	(void)state;
	fake_init(&f);
	l = loader_new(&f.bucket);
	want(&f, l, &w);
	answer(&f, JSON, 0, ONE, "");
	usleep(1050000);
	answer(&f, KEY("r1"), -ENOENT, NULL, NULL);
	answer(&f, JSON, 0, TWO, "");
	answer(&f, KEY("r2"), 0, "moved", "");
	assert_int_equal(w.r, 0);
	assert_string_equal(w.text, "moved");
	/* Old again, and unchanged this time. */
	usleep(1050000);
	want(&f, l, &w);
	answer(&f, KEY("r2"), -ENOENT, NULL, NULL);
	answer(&f, KEY("r1"), -ENOENT, NULL, NULL);
	answer(&f, JSON, 0, TWO, "");
	assert_int_equal(w.r, -ENOENT);
	/* Old again, and the origin fails: nobody knows that the chunk is missing. */
	usleep(1050000);
	want(&f, l, &w);
	answer(&f, KEY("r2"), -ENOENT, NULL, NULL);
	answer(&f, KEY("r1"), -ENOENT, NULL, NULL);
	answer(&f, JSON, -ETIMEDOUT, NULL, NULL);
	assert_int_equal(w.r, -ETIMEDOUT);
	assert_int_equal(w.n_done, 1);
	loader_free(l);
}

static void test_failures_end_the_search(void **state)
{
	static const int codes[] = {-EIO, -EACCES, -EBADMSG, -ECANCELED, -ETIMEDOUT};
	struct fake f;
	struct wanted w;
	struct loader *l;

	(void)state;
	fake_init(&f);
	l = loader_new(&f.bucket);
	want(&f, l, &w);
	answer(&f, JSON, -ECANCELED, NULL, NULL);
	assert_int_equal(w.r, -ECANCELED);
	want(&f, l, &w);
	answer(&f, JSON, 0, TWO, "");
	answer(&f, KEY("r2"), -EIO, NULL, NULL);
	assert_int_equal(w.r, -EIO);
	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		want(&f, l, &w);
		answer(&f, KEY("r2"), codes[i], NULL, NULL);
		assert_int_equal(w.r, codes[i]);
		assert_int_equal(w.n_done, 1);
		assert_int_equal(f.n, 0);
	}
	loader_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_load_answers_all_who_ask_meanwhile),
		cmocka_unit_test(test_now_means_a_load_that_starts_later),
		cmocka_unit_test(test_unchanged_roots_are_the_same_ones),
		cmocka_unit_test(test_failed_load_is_told_and_forgotten),
		cmocka_unit_test(test_absent_file_is_a_flat_store_until_it_appears),
		cmocka_unit_test(test_chunk_is_looked_for_in_every_live_root),
		cmocka_unit_test(test_absent_chunk_costs_no_second_look_while_roots_are_fresh),
		cmocka_unit_test(test_roots_are_read_again_when_they_may_be_old),
		cmocka_unit_test(test_failures_end_the_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
