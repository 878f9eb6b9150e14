/* SPDX-License-Identifier: BSD-3-Clause */
#include "nginx_fixture.h"

#include <time.h>

struct web {
	struct nginx nginx;
	char *dir; /* a store, at /s below it */
	char url[128], tls_url[128];
};

static int web_start(void **state)
{
	struct web *w = calloc(1, sizeof(*w));
	void *dir;

	if (!w || fixture_dir(&dir) < 0)
		return -1;
	w->dir = dir;
	nginx_start(&w->nginx, w->dir,
		"location /secret/ { deny all; } location /moved/ { rewrite ^/moved/(.*) /s/$1 "
		"redirect; }"
		"location /away/ { return 302 http://127.0.0.2:1/s$uri; }"
		"location /error/ { return 500; }");
	snprintf(w->url, sizeof(w->url), "%s/s", w->nginx.url);
	snprintf(w->tls_url, sizeof(w->tls_url), "%s/s", w->nginx.tls_url);
	*state = w;
	return 0;
}

static int web_stop(void **state)
{
	struct web *w = *state;

	nginx_stop(&w->nginx);
	fixture_remove(w->dir);
	free(w->dir);
	free(w);
	return 0;
}

static struct store *publisher(struct web *w)
{
	return open_store(below(w->dir, "s"), true);
}

static void test_published_store_is_read_over_http(void **state)
{
	struct web *w = *state;
	struct smr_error err = {0};
	struct store *s = publisher(w), *h = open_store(w->url, false);
	struct store_list l, m;
	struct recipe *r;
	uint32_t chunk_size;

	publish(s, "b", 1, 3);
	publish(s, "a", 3, 2);
	assert_false(store_is_local(h));
	assert_string_equal(store_url(h), w->url);
	ok(store_list(h, NULL, &l, &err));
	ok(store_list(s, NULL, &m, &err));
	assert_int_equal(l.n, 2);
	assert_memory_equal(l.images, m.images, 2 * sizeof(*l.images));
	store_list_done(&l);
	store_list_done(&m);
	ok(store_get_recipe(h, "a", &r, &err));
	assert_int_equal(recipe_info(r)->n_chunks, 2);
	recipe_free(r);
	for (unsigned i = 1; i <= 4; i++)
		assert_chunk(h, i);
	ok(store_chunk_size(h, &chunk_size, &err));
	assert_int_equal(chunk_size, CHUNK);
	store_free(h);
	store_free(s);
}

static void test_what_is_absent_is_enoent(void **state)
{
	struct web *w = *state;
	struct smr_error err = {0};
	struct store *s = publisher(w), *h = open_store(w->url, false);
	struct chunkid id = {{7}};
	struct recipe *r;
	struct buf body;
	uint64_t n;

	publish(s, "a", 1, 1);
	buf_init(&body, 1000);
	assert_int_equal(store_get_wait(h, &id, &body, &err), -ENOENT);
	assert_int_equal(store_has(h, &id, &n, &err), -ENOENT);
	assert_int_equal(store_get_recipe(h, "none", &r, &err), -ENOENT);
	assert_non_null(strstr(err.message, "no image none"));
	assert_int_equal(store_put(h, &id, "x", 1, &err), -EROFS);
	assert_int_equal(store_remove_recipe(h, "a", &err), -EROFS);
	assert_int_equal(store_each(h, NULL, NULL, &err), -EOPNOTSUPP);
	id = put_chunk(s, 1);
	ok(store_has(h, &id, &n, &err));
	assert_true(n > 1000);
	buf_init(&body, 10);
	assert_int_equal(store_get_wait(h, &id, &body, &err), -EBADMSG);
	store_free(h);
	store_free(s);
}

static void test_tls_needs_a_trusted_certificate(void **state)
{
	struct web *w = *state;
	struct smr_error err = {0};
	struct store *s = publisher(w), *h = open_store(w->tls_url, false);
	struct store_options opts = {.ca_file = below(w->nginx.dir, "ca.pem")};
	struct store_list l;

	publish(s, "a", 1, 1);
	assert_int_equal(store_list(h, NULL, &l, &err), -EACCES);
	assert_non_null(strstr(err.message, "certificate"));
	store_free(h);
	ok(store_open(w->tls_url, &opts, &h, &err));
	ok(store_list(h, NULL, &l, &err));
	assert_int_equal(l.n, 1);
	store_list_done(&l);
	assert_chunk(h, 1);
	store_free(h);
	store_free(s);
}

/* As if it had been published a while ago: a fresh document's ETag is not believed. */
static void settle(struct web *w)
{
	struct timespec t[2] = {{.tv_sec = time(NULL) - 100}, {.tv_sec = time(NULL) - 100}};

	assert_int_equal(utimensat(AT_FDCWD, below(w->dir, "s/smr-store.json"), t, 0), 0);
	assert_int_equal(
		utimensat(AT_FDCWD, below(w->dir, "s/roots/r1/recipes/index.json"), t, 0), 0);
}

static void test_unchanged_list_costs_not_a_byte(void **state)
{
	struct web *w = *state;
	struct smr_error err = {0};
	struct store *s = publisher(w), *h = open_store(w->url, false);
	struct store_list l;
	char tag[128] = "", other[128] = "";

	publish(s, "a", 1, 1);
	ok(store_list(h, tag, &l, &err));
	store_list_done(&l);
	/* Told by its content, while it is fresh. */
	assert_int_equal(store_list(h, tag, &l, &err), -EALREADY);
	assert_int_equal(nginx_count(&w->nginx, " 304 "), 0);
	settle(w);
	assert_int_equal(store_list(h, tag, &l, &err), -EALREADY);
	assert_int_equal(nginx_count(&w->nginx, " 304 "), 0);
	assert_int_equal(store_list(h, tag, &l, &err), -EALREADY);
	assert_int_equal(nginx_count(&w->nginx, " 304 "), 2);
	/* Another caller's tag, though nothing changed. */
	ok(store_list(h, other, &l, &err));
	assert_int_equal(l.n, 1);
	store_list_done(&l);
	assert_string_equal(tag, other);
	publish(s, "b", 1, 1);
	ok(store_list(h, tag, &l, &err));
	assert_int_equal(l.n, 2);
	store_list_done(&l);
	assert_int_equal(store_list(h, tag, &l, &err), -EALREADY);
	/* This one is older than what the handle knows. */
	ok(store_list(h, other, &l, &err));
	assert_int_equal(l.n, 2);
	store_list_done(&l);
	store_free(h);
	store_free(s);
}

static void test_plain_http_beyond_loopback_needs_a_word(void **state)
{
	struct store_options opts = {.insecure = true};
	struct smr_error err = {0};
	struct store *s;

	(void)state;
	assert_int_equal(store_open("http://192.0.2.1/smr", NULL, &s, &err), -EPERM);
	assert_non_null(strstr(err.message, "--insecure"));
	assert_int_equal(store_open("http://127.0.0.1.example/smr", NULL, &s, &err), -EPERM);
	ok(store_open("http://192.0.2.1/smr", &opts, &s, &err));
	store_free(s);
	ok(store_open("https://192.0.2.1/smr", NULL, &s, &err));
	store_free(s);
	ok(store_open("http://user:pass%40word@localhost:1/smr//", NULL, &s, &err));
	assert_string_equal(store_url(s), "http://localhost:1/smr");
	store_free(s);
}

static void test_refusals_are_told_apart(void **state)
{
	struct web *w = *state;
	struct smr_error err = {0};
	struct store_list l;
	struct store *h;
	char url[200];

	snprintf(url, sizeof(url), "%s/secret", w->nginx.url);
	h = open_store(url, false);
	assert_int_equal(store_list(h, NULL, &l, &err), -EACCES);
	assert_non_null(strstr(err.message, "access denied"));
	store_free(h);
	snprintf(url, sizeof(url), "%s/away", w->nginx.url);
	h = open_store(url, false);
	assert_int_equal(store_list(h, NULL, &l, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "not followed"));
	store_free(h);
	snprintf(url, sizeof(url), "%s/error", w->nginx.url);
	h = open_store(url, false);
	assert_int_equal(store_list(h, NULL, &l, &err), -EIO);
	assert_true(store_error_is_transient(-EIO));
	assert_non_null(strstr(err.message, "HTTP status 500 (5 attempts)"));
	store_free(h);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/s", free_port());
	h = open_store(url, false);
	assert_int_equal(store_list(h, NULL, &l, &err), -ECONNREFUSED);
	store_free(h);
}

static void test_redirects_on_the_same_host_are_followed(void **state)
{
	struct web *w = *state;
	struct store *s = publisher(w), *h;
	char url[200];

	publish(s, "a", 1, 1);
	snprintf(url, sizeof(url), "%s/moved", w->nginx.url);
	h = open_store(url, false);
	assert_chunk(h, 1);
	store_free(h);
	store_free(s);
}

#define ROOT(name, state) "{\"name\": \"" name "\", \"state\": \"" state "\"}"

static void write_roots(struct web *w, const char *roots)
{
	char text[600], path[600];

	snprintf(text, sizeof(text), "{\"version\": 1, \"chunk_size\": 524288, \"roots\": [%s]}",
		roots);
	snprintf(path, sizeof(path), "%s/s/smr-store.json", w->dir);
	/* By rename, as publishers do: nginx caches neither, but readers may be half-way. */
	write_text(below(w->dir, "new"), text);
	assert_int_equal(rename(below(w->dir, "new"), path), 0);
}

static void test_generations_are_followed(void **state)
{
	struct web *w = *state;
	struct smr_error err = {0};
	struct store *s = publisher(w), *h = open_store(w->url, false);
	struct store_list l;
	struct recipe *r;
	char tag[128] = "";

	publish(s, "old", 1, 2);
	store_free(s);
	ok(store_list(h, tag, &l, &err));
	assert_int_equal(l.n, 1);
	store_list_done(&l);
	write_roots(w, ROOT("r2", "active") "," ROOT("r1", "retired"));
	s = open_store(below(w->dir, "s"), false);
	publish(s, "new", 3, 1);
	ok(store_list(h, tag, &l, &err));
	assert_int_equal(l.n, 2);
	store_list_done(&l);
	assert_int_equal(store_list(h, tag, &l, &err), -EALREADY);
	ok(store_get_recipe(h, "old", &r, &err));
	recipe_free(r);
	assert_chunk(h, 2);
	assert_chunk(h, 3);
	write_roots(w, ROOT("r2", "active") "," ROOT("r1", "expired"));
	ok(store_list(h, tag, &l, &err));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.images[0].name, "new");
	store_list_done(&l);
	store_free(h);
	store_free(s);
}

static void test_impossible_documents_are_refused(void **state)
{
	struct web *w = *state;
	struct smr_error err = {0};
	struct store *s = publisher(w), *h = open_store(w->url, false);
	char path[600], *big = malloc(2 << 20);
	struct store_list l;
	struct recipe *r;

	publish(s, "a", 1, 1);
	snprintf(path, sizeof(path), "%s/s/roots/r1/recipes/index.json", w->dir);
	write_text(path, "{\"version\": 1, \"images\": [{}]}");
	assert_int_equal(store_list(h, NULL, &l, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "r1/recipes/index.json: "));
	/* The images are there all the same. */
	ok(store_get_recipe(h, "a", &r, &err));
	recipe_free(r);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_list(h, NULL, &l, &err), -ENOENT);
	snprintf(path, sizeof(path), "%s/s/roots/r1/recipes/bad.recipe", w->dir);
	write_text(path, "<html>Welcome to our hotel's network</html>");
	assert_int_equal(store_get_recipe(h, "bad", &r, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "bad.recipe"));
	memset(big, ' ', 2 << 20);
	snprintf(path, sizeof(path), "%s/s/smr-store.json", w->dir);
	write_file(path, big, 2 << 20);
	assert_int_equal(store_list(h, NULL, &l, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "larger than it may be"));
	free(big);
	store_free(h);
	store_free(s);
}

struct counted_get {
	struct store_get get;
	unsigned *n_done;
	size_t bytes;
	int result;
};

static void count_get(struct store_get *g, int r, struct buf *body, const struct smr_error *err)
{
	struct counted_get *c = g->user;

	(void)err;
	c->result = r;
	c->bytes = body->len;
	__atomic_fetch_add(c->n_done, 1, __ATOMIC_RELEASE);
}

static void test_gets_before_anything_is_known_wait_for_the_roots(void **state)
{
	struct web *w = *state;
	struct smr_error err = {0};
	struct store *s = publisher(w), *h;
	struct counted_get gets[100] = {0};
	unsigned n_done = 0;

	publish(s, "a", 0, 50);
	h = open_store(w->url, false);
	for (unsigned i = 0; i < 100; i++) {
		unsigned char *wire;
		size_t n;

		make_chunk(i / 2, &gets[i].get.id, &wire, &n);
		free(wire);
		gets[i].get.max_bytes = codec_wire_max(CHUNK);
		gets[i].get.priority = i % STORE_PRIORITIES;
		gets[i].get.done = count_get;
		gets[i].get.user = &gets[i];
		gets[i].n_done = &n_done;
		store_get(h, &gets[i].get);
	}
	for (unsigned i = 0; i < 1000 && __atomic_load_n(&n_done, __ATOMIC_ACQUIRE) < 100; i++)
		usleep(10000);
	assert_int_equal(n_done, 100);
	for (unsigned i = 0; i < 100; i++) {
		ok(gets[i].result);
		assert_true(gets[i].bytes > 1000);
	}
	assert_int_equal(nginx_count(&w->nginx, "smr-store.json"), 1);
	store_free(h);
	store_free(s);
}

static void test_stop_cancels_what_waits(void **state)
{
	struct smr_error err = {0};
	struct counted_get get = {0};
	unsigned n_done = 0;
	/* Nobody answers there: accepted by the kernel, never by the program. */
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct store_list l;
	struct store *h;
	char url[100];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 10), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/s", ntohs(a.sin_port));
	h = open_store(url, false);
	get.get.max_bytes = 1000;
	get.get.done = count_get;
	get.get.user = &get;
	get.n_done = &n_done;
	store_get(h, &get.get);
	usleep(20000);
	assert_int_equal(__atomic_load_n(&n_done, __ATOMIC_ACQUIRE), 0);
	store_stop(h);
	assert_int_equal(store_list(h, NULL, &l, &err), -ECANCELED);
	store_free(h);
	assert_int_equal(n_done, 1);
	assert_int_equal(get.result, -ECANCELED);
	close(fd);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, web_start, web_stop)
	const struct CMUnitTest tests[] = {
		CASE(test_published_store_is_read_over_http),
		CASE(test_what_is_absent_is_enoent),
		CASE(test_tls_needs_a_trusted_certificate),
		CASE(test_unchanged_list_costs_not_a_byte),
		cmocka_unit_test(test_plain_http_beyond_loopback_needs_a_word),
		CASE(test_refusals_are_told_apart),
		CASE(test_redirects_on_the_same_host_are_followed),
		CASE(test_generations_are_followed),
		CASE(test_impossible_documents_are_refused),
		CASE(test_gets_before_anything_is_known_wait_for_the_roots),
		cmocka_unit_test(test_stop_cancels_what_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
