/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault_server.h"

#include "../../chunker/core/clock.h"
#include "../../chunker/store/requests.h"

/* How late a loaded machine may be. */
#define SLACK_MS 800

struct bench {
	struct fault_server server;
	struct requests *requests;
};

static int bench_start(void **state)
{
	struct requests_options opts = {.timeout_ms = 1000};
	struct bench *b = calloc(1, sizeof(*b));

	fault_start(&b->server, 0);
	*state = b;
	return requests_new(&opts, &b->requests, NULL);
}

static int bench_stop(void **state)
{
	struct bench *b = *state;

	requests_free(b->requests);
	fault_stop(&b->server);
	free(b);
	return 0;
}

/* A GET of a path, to be freed by free_request. */
static struct request *new_request(struct bench *b, const char *path)
{
	struct request *req = calloc(1, sizeof(*req));
	char *url;

	assert_true(asprintf(&url, "%s%s", b->server.url, path) > 0);
	req->method = "GET";
	req->url = url;
	req->max_bytes = 1 << 20;
	return req;
}

static void free_request(struct request *req)
{
	requests_done(req);
	free((char *)req->url);
	free(req);
}

struct outcome {
	int r;
	long status;
	size_t len;
	uint64_t ms;
	struct smr_error err;
};

static struct outcome get_within(struct bench *b, const char *path, uint32_t timeout_ms)
{
	struct request *req = new_request(b, path);
	struct outcome o = {0};
	uint64_t start = clock_ns();

	req->timeout_ms = timeout_ms;
	o.r = requests_perform(b->requests, req, &o.err);
	o.ms = (clock_ns() - start) / CLOCK_NS_PER_MS;
	o.status = req->status;
	o.len = req->body.len;
	free_request(req);
	return o;
}

static struct outcome get(struct bench *b, const char *path)
{
	return get_within(b, path, 0);
}

static void test_get_brings_the_body(void **state)
{
	struct outcome o = get(*state, "/ok/100000");

	assert_int_equal(o.r, 0);
	assert_int_equal(o.status, 200);
	assert_int_equal(o.len, 100000);
	o = get(*state, "/ok/0");
	assert_int_equal(o.r, 0);
	assert_int_equal(o.len, 0);
}

static void test_connections_are_used_again(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(get(b, "/ok/1000").r, 0);
	assert_int_equal(fault_connections(&b->server), 1);
}

static void test_head_tells_the_length(void **state)
{
	struct bench *b = *state;
	struct request *req = new_request(b, "/ok/5");

	req->method = "HEAD";
	assert_int_equal(requests_perform(b->requests, req, NULL), 0);
	assert_int_equal(req->content_len, 12345);
	assert_int_equal(req->body.len, 0);
	free_request(req);
}

static void test_put_sends_headers_credentials_and_data(void **state)
{
	struct bench *b = *state;
	struct request *req = new_request(b, "/echo");
	const char *const headers[] = {"Content-Type: text/x", "X-One: 1", NULL};

	req->method = "PUT";
	req->headers = headers;
	req->user = "me:too";
	req->password = "secret";
	req->data = "the data";
	req->data_len = 8;
	assert_int_equal(requests_perform(b->requests, req, NULL), 0);
	const char *text = buf_cstr(&req->body);
	assert_non_null(strstr(text, "PUT /echo HTTP/1.1\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Type: text/x\r\n"));
	assert_non_null(strstr(text, "\r\nX-One: 1\r\n"));
	assert_non_null(strstr(text, "\r\nUser-Agent: smr/"));
	assert_non_null(strstr(text, "\r\nAuthorization: Basic bWU6dG9vOnNlY3JldA==\r\n"));
	assert_non_null(strstr(text, "\r\n\r\nthe data"));
	assert_null(strcasestr(text, "expect:"));
	assert_null(strcasestr(text, "accept-encoding"));
	free_request(req);
}

static void test_kept_headers_are_found(void **state)
{
	struct bench *b = *state;
	struct request *req = new_request(b, "/ok/5");
	char value[8];

	req->keep_headers = true;
	assert_int_equal(requests_perform(b->requests, req, NULL), 0);
	assert_true(transport_header(&req->head, "etag", value, sizeof(value)));
	assert_string_equal(value, "\"e\"");
	assert_false(transport_header(&req->head, "eta", value, sizeof(value)));
	assert_false(transport_header(&req->head, "etag", value, 3));
	free_request(req);
}

/* ---- bodies ---- */

static void test_longer_body_than_allowed_is_refused(void **state)
{
	struct outcome o = get(*state, "/ok/1048577");

	assert_int_equal(o.r, -EBADMSG);
	assert_non_null(strstr(o.err.message, "larger than it may be"));
	assert_int_equal(get(*state, "/ok/1048576").r, 0);
}

static void test_endless_body_is_refused(void **state)
{
	struct outcome o = get(*state, "/endless");

	assert_int_equal(o.r, -EBADMSG);
	assert_true(o.ms < 1000 + SLACK_MS);
}

static void test_endless_error_page_counts_as_the_error(void **state)
{
	struct bench *b = *state;
	struct request *req = new_request(b, "/bigerror");

	req->attempts = 2;
	assert_int_equal(requests_perform(b->requests, req, NULL), -EIO);
	assert_int_equal(req->status, 503);
	assert_int_equal(fault_requests(&b->server), 2);
	free_request(req);
}

/* ---- statuses ---- */

static void test_statuses_become_errnos(void **state)
{
	static const struct {
		unsigned status;
		int r;
	} cases[] = {{404, -ENOENT}, {410, -ENOENT}, {401, -EACCES}, {403, -EACCES},
		{400, -EBADMSG}, {416, -EBADMSG}, {501, -EBADMSG}, {300, -EBADMSG}};
	struct bench *b = *state;
	char path[40];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(path, sizeof(path), "/status/%u", cases[i].status);
		struct outcome o = get(b, path);
		assert_int_equal(o.r, cases[i].r);
		assert_int_equal(o.status, cases[i].status);
		snprintf(path, sizeof(path), "HTTP %s%u",
			o.r == -EBADMSG && cases[i].status != 300 ? "status " : "",
			cases[i].status);
		assert_non_null(strstr(o.err.message, path));
		/* None of them was tried twice. */
		assert_int_equal(fault_requests(&b->server), i + 1);
	}
}

static void test_overload_is_tried_again_until_it_works(void **state)
{
	struct bench *b = *state;
	struct outcome o = get(b, "/flaky/3/ok/100");

	assert_int_equal(o.r, 0);
	assert_int_equal(o.len, 100);
	assert_int_equal(fault_requests(&b->server), 4);
	/* 50 + 100 + 200 ms, less up to half of it */
	assert_true(o.ms >= 175 && o.ms < 350 + SLACK_MS);
}

static void test_lasting_overload_ends_before_the_deadline(void **state)
{
	struct outcome o = get(*state, "/status/503");

	assert_int_equal(o.r, -EIO);
	assert_true(o.ms < 1000 + SLACK_MS);
	assert_non_null(strstr(o.err.message, "HTTP status 503"));
	assert_non_null(strstr(o.err.message, "attempts)"));
}

static void test_attempts_are_limited_when_asked(void **state)
{
	struct bench *b = *state;
	struct request *req = new_request(b, "/status/500");

	req->attempts = 3;
	assert_int_equal(requests_perform(b->requests, req, NULL), -EIO);
	assert_int_equal(fault_requests(&b->server), 3);
	free_request(req);
}

static void test_post_is_never_repeated(void **state)
{
	struct bench *b = *state;
	struct request *req = new_request(b, "/status/503");

	req->method = "POST";
	req->data = "x";
	req->data_len = 1;
	assert_int_equal(requests_perform(b->requests, req, NULL), -EIO);
	assert_int_equal(fault_requests(&b->server), 1);
	free_request(req);
}

static void test_retry_after_is_honoured(void **state)
{
	struct bench *b = *state;
	struct request *req = new_request(b, "/after/1/1/ok/10");
	uint64_t start = clock_ns();

	req->timeout_ms = 5000;
	assert_int_equal(requests_perform(b->requests, req, NULL), 0);
	uint64_t ms = (clock_ns() - start) / CLOCK_NS_PER_MS;
	assert_true(ms >= 1000 && ms < 1250 + SLACK_MS);
	free_request(req);
}

static void test_retry_after_beyond_the_deadline_ends_it(void **state)
{
	struct outcome o = get(*state, "/after/100/1/ok/10");

	assert_int_equal(o.r, -EIO);
	assert_true(o.ms < 500);
}

/* ---- connections that fail ---- */

static void test_truncated_and_reset_bodies_are_fetched_again(void **state)
{
	struct bench *b = *state;
	struct outcome o = get(b, "/flakytruncated/2/ok/100");

	assert_int_equal(o.r, 0);
	assert_int_equal(o.len, 100);
	__atomic_store_n(&b->server.n_failed, 0, __ATOMIC_RELAXED);
	o = get(b, "/flakyreset/2/ok/100");
	assert_int_equal(o.r, 0);
	assert_int_equal(o.len, 100);
}

static void test_lasting_failures_say_so(void **state)
{
	static const char *const paths[] = {"/truncated", "/reset", "/close"};

	for (unsigned i = 0; i < 3; i++) {
		struct outcome o = get(*state, paths[i]);

		assert_int_equal(o.r, -ECONNRESET);
		assert_true(o.ms < 1000 + SLACK_MS);
		assert_non_null(strstr(o.err.message, paths[i]));
	}
}

static void test_nobody_listening_is_econnrefused(void **state)
{
	struct bench *b = *state;
	struct request *req = new_request(b, "/ok/1");
	struct smr_error err = {0};
	uint64_t start = clock_ns();

	free((char *)req->url);
	req->url = strdup("http://127.0.0.1:1/x");
	req->timeout_ms = 300;
	assert_int_equal(requests_perform(b->requests, req, &err), -ECONNREFUSED);
	assert_true(clock_ns() - start < (300 + SLACK_MS) * CLOCK_NS_PER_MS);
	assert_non_null(strstr(err.message, "http://127.0.0.1:1/x: Connection refused ("));
	free_request(req);
}

static void *start_late(void *arg)
{
	usleep(200000);
	fault_start(arg, ((struct fault_server *)arg)->port);
	return NULL;
}

static void test_origin_that_comes_up_is_found(void **state)
{
	struct bench *b = *state;
	struct fault_server *late = calloc(1, sizeof(*late));
	struct request *req = new_request(b, "/ok/1");
	struct fault_server probe;
	pthread_t thread;

	fault_start(&probe, 0);
	late->port = probe.port;
	fault_stop(&probe);
	free((char *)req->url);
	assert_true(asprintf((char **)&req->url, "http://127.0.0.1:%u/ok/9", late->port) > 0);
	req->timeout_ms = 5000;
	assert_int_equal(pthread_create(&thread, NULL, start_late, late), 0);
	assert_int_equal(requests_perform(b->requests, req, NULL), 0);
	assert_int_equal(req->body.len, 9);
	pthread_join(thread, NULL);
	fault_stop(late);
	free(late);
	free_request(req);
}

/* ---- time ---- */

static void test_silence_ends_at_the_deadline(void **state)
{
	static const char *const paths[] = {"/stall", "/stallbody", "/drip"};

	for (unsigned i = 0; i < 3; i++) {
		struct outcome o = get(*state, paths[i]);

		assert_int_equal(o.r, -ETIMEDOUT);
		assert_true(o.ms >= 900 && o.ms < 1000 + SLACK_MS);
	}
}

static void test_stalled_attempt_is_tried_again_half_way(void **state)
{
	struct bench *b = *state;
	struct outcome o = get(b, "/flakystall/1/ok/100");

	assert_int_equal(o.r, 0);
	assert_true(o.ms >= 490 && o.ms < 500 + SLACK_MS);
	assert_int_equal(fault_connections(&b->server), 2);
}

static void test_slow_origin_is_waited_for(void **state)
{
	struct bench *b = *state;
	/* Longer than half the deadline, yet in time: the first attempt is joined, not replaced. */
	struct outcome o = get_within(b, "/slow/1700/100", 3000);

	assert_int_equal(o.r, 0);
	assert_true(o.ms >= 1700 && o.ms < 1700 + SLACK_MS);
	assert_int_equal(fault_requests(&b->server), 2);
}

static void test_failure_of_the_second_attempt_harms_nothing(void **state)
{
	struct bench *b = *state;
	/* The first request thinks for 2.6 s, the joined ones are refused. */
	struct outcome o = get_within(b, "/firstslow/2600/503", 4000);

	assert_int_equal(o.r, 0);
	assert_int_equal(o.len, 10);
	assert_true(fault_requests(&b->server) >= 3);
}

static void test_slow_but_steady_body_is_not_cut(void **state)
{
	struct bench *b = *state;
	struct outcome o = get_within(b, "/steady/100000/2000", 3000);

	assert_int_equal(o.r, 0);
	assert_int_equal(o.len, 100000);
	assert_int_equal(fault_requests(&b->server), 1);
}

struct many {
	struct request req;
	unsigned *n_done;
	unsigned order;
	int r;
	uint64_t done_ns;
};

static void many_done(struct request *req, int r, const struct smr_error *err)
{
	struct many *m = req->user_data;

	(void)err;
	m->r = r;
	m->done_ns = clock_ns();
	m->order = __atomic_fetch_add(m->n_done, 1, __ATOMIC_RELEASE);
}

static void submit_many(struct requests *t, struct many *m, const char *url,
	enum store_priority prio, uint32_t timeout_ms, unsigned *n_done)
{
	memset(m, 0, sizeof(*m));
	m->n_done = n_done;
	m->req.method = "GET";
	m->req.url = url;
	m->req.max_bytes = 1 << 20;
	m->req.priority = prio;
	m->req.timeout_ms = timeout_ms;
	m->req.done = many_done;
	m->req.user_data = m;
	requests_submit(t, &m->req);
}

static void wait_many(unsigned *n_done, unsigned n)
{
	for (unsigned i = 0; i < 1000 && __atomic_load_n(n_done, __ATOMIC_ACQUIRE) < n; i++)
		usleep(10000);
	assert_int_equal(__atomic_load_n(n_done, __ATOMIC_ACQUIRE), n);
}

static void test_deadline_counts_while_queued(void **state)
{
	struct bench *b = *state;
	struct many m[60];
	unsigned n_done = 0;
	char url[100];
	uint64_t start = clock_ns();

	snprintf(url, sizeof(url), "%s/stall", b->server.url);
	for (unsigned i = 0; i < 60; i++)
		submit_many(b->requests, &m[i], url, STORE_DEMAND, 0, &n_done);
	wait_many(&n_done, 60);
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(m[i].r, -ETIMEDOUT);
		assert_true(m[i].done_ns - start < (1000 + SLACK_MS) * CLOCK_NS_PER_MS);
		requests_done(&m[i].req);
	}
}

static void test_urgent_requests_pass_the_others(void **state)
{
	struct bench *b = *state;
	struct many m[46];
	unsigned n_done = 0, last_ahead = 0;
	char url[100];

	/* 16 connections: 14 for read-ahead, 8 for what is not urgent at all. */
	snprintf(url, sizeof(url), "%s/slow/200/100", b->server.url);
	for (unsigned i = 0; i < 16; i++)
		submit_many(b->requests, &m[i], url, STORE_SCRUB, 10000, &n_done);
	for (unsigned i = 16; i < 44; i++)
		submit_many(b->requests, &m[i], url, STORE_AHEAD, 10000, &n_done);
	usleep(20000);
	/* All connections that those may have are busy now. */
	uint64_t start = clock_ns();
	submit_many(b->requests, &m[44], url, STORE_DEMAND, 10000, &n_done);
	submit_many(b->requests, &m[45], url, STORE_DEMAND, 10000, &n_done);
	wait_many(&n_done, 46);
	for (unsigned i = 0; i < 46; i++) {
		assert_int_equal(m[i].r, 0);
		requests_done(&m[i].req);
		if (i >= 16 && i < 44 && m[i].order > last_ahead)
			last_ahead = m[i].order;
	}
	assert_true(m[44].done_ns - start < 380 * CLOCK_NS_PER_MS);
	assert_true(m[45].done_ns - start < 380 * CLOCK_NS_PER_MS);
	assert_true(last_ahead < 38);
}

static void test_stop_cancels_all_states_and_what_comes(void **state)
{
	struct bench *b = *state;
	struct many m[41];
	unsigned n_done = 0;
	char url[100], flaky[100];

	snprintf(url, sizeof(url), "%s/stall", b->server.url);
	snprintf(flaky, sizeof(flaky), "%s/after/1/1/ok/1", b->server.url);
	submit_many(b->requests, &m[0], flaky, STORE_DEMAND, 0, &n_done);
	usleep(50000);
	for (unsigned i = 1; i < 40; i++)
		submit_many(b->requests, &m[i], url, STORE_DEMAND, 0, &n_done);
	usleep(50000);
	uint64_t start = clock_ns();
	requests_stop(b->requests);
	wait_many(&n_done, 40);
	assert_true(clock_ns() - start < SLACK_MS * CLOCK_NS_PER_MS);
	submit_many(b->requests, &m[40], url, STORE_DEMAND, 0, &n_done);
	assert_int_equal(n_done, 41);
	for (unsigned i = 1; i < 41; i++) {
		assert_int_equal(m[i].r, -ECANCELED);
		requests_done(&m[i].req);
	}
	/* The first may have gone either way: it asked to wait a second of one. */
	requests_done(&m[0].req);
}

/* done() submits the next one. */
struct chain {
	struct many m;
	struct requests *requests;
	unsigned left;
};

static void chain_done(struct request *req, int r, const struct smr_error *err)
{
	struct chain *c = req->user_data;

	assert_int_equal(r, 0);
	if (c->left--) {
		requests_done(req);
		requests_submit(c->requests, req);
	} else {
		many_done(req, r, err);
	}
}

static void test_done_may_submit(void **state)
{
	struct bench *b = *state;
	struct chain c = {.requests = b->requests, .left = 200};
	unsigned n_done = 0;
	char url[100];

	snprintf(url, sizeof(url), "%s/ok/10", b->server.url);
	c.m.n_done = &n_done;
	c.m.req = (struct request){
		.method = "GET", .url = url, .max_bytes = 10, .done = chain_done, .user_data = &c};
	requests_submit(b->requests, &c.m.req);
	wait_many(&n_done, 1);
	assert_int_equal(fault_requests(&b->server), 201);
	requests_done(&c.m.req);
}

struct submitter {
	struct bench *bench;
	pthread_t thread;
	unsigned n_failed;
};

static void *submit_from_thread(void *arg)
{
	struct submitter *s = arg;

	for (unsigned i = 0; i < 100; i++)
		s->n_failed += get(s->bench, "/ok/5000").r != 0;
	return NULL;
}

static void test_many_threads_submit(void **state)
{
	struct submitter s[8];

	for (unsigned i = 0; i < 8; i++) {
		s[i] = (struct submitter){.bench = *state};
		assert_int_equal(pthread_create(&s[i].thread, NULL, submit_from_thread, &s[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(s[i].thread, NULL);
		assert_int_equal(s[i].n_failed, 0);
	}
}

/* ---- redirects ---- */

static void test_redirects_stay_on_the_host(void **state)
{
	struct bench *b = *state;
	char path[200];

	snprintf(path, sizeof(path), "/redirect/%s/ok/7", b->server.url);
	struct outcome o = get(b, path);
	assert_int_equal(o.r, 0);
	assert_int_equal(o.len, 7);
	o = get(b, "/redirect//ok/8");
	assert_int_equal(o.r, 0);
	assert_int_equal(o.len, 8);
	unsigned before = fault_requests(&b->server);
	o = get(b, "/redirect/http://127.0.0.2/ok/7");
	assert_int_equal(o.r, -EBADMSG);
	assert_int_equal(o.status, 302);
	assert_non_null(strstr(o.err.message, "not followed"));
	o = get(b, "/redirect/http://127.0.0.1:1/ok/7");
	assert_int_equal(o.r, -EBADMSG);
	o = get(b, "/redirect/file:///etc/passwd");
	assert_int_equal(o.r, -EBADMSG);
	assert_int_equal(fault_requests(&b->server), before + 3);
}

static void test_redirects_in_a_circle_end(void **state)
{
	struct bench *b = *state;
	/* Each answer leads one step down. */
	struct outcome o = get(b, "/redirect//redirect//redirect//redirect//redirect//ok/1");

	assert_int_equal(o.r, 0);
	unsigned before = fault_requests(&b->server);
	o = get(b, "/redirect//redirect//redirect//redirect//redirect//redirect//ok/1");
	assert_int_equal(o.r, -EBADMSG);
	assert_int_equal(fault_requests(&b->server), before + 6);
}

/* ---- proxies ---- */

static void test_proxy_of_the_environment_is_not_for_loopback(void **state)
{
	struct bench *b = *state;
	struct request *req = new_request(b, "/ok/1");

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	assert_int_equal(requests_perform(b->requests, req, NULL), 0);
	free_request(req);
	/* For others it is: the name goes to the proxy, which says 404. */
	setenv("http_proxy", b->server.url, 1);
	req = new_request(b, "");
	free((char *)req->url);
	req->url = strdup("http://origin.invalid/x");
	assert_int_equal(requests_perform(b->requests, req, NULL), -ENOENT);
	unsetenv("http_proxy");
	pthread_mutex_lock(&b->server.lock);
	assert_string_equal(b->server.paths[1], "http://origin.invalid/x");
	pthread_mutex_unlock(&b->server.lock);
	free_request(req);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, bench_start, bench_stop)
	const struct CMUnitTest tests[] = {
		CASE(test_get_brings_the_body),
		CASE(test_connections_are_used_again),
		CASE(test_head_tells_the_length),
		CASE(test_put_sends_headers_credentials_and_data),
		CASE(test_kept_headers_are_found),
		CASE(test_longer_body_than_allowed_is_refused),
		CASE(test_endless_body_is_refused),
		CASE(test_endless_error_page_counts_as_the_error),
		CASE(test_statuses_become_errnos),
		CASE(test_overload_is_tried_again_until_it_works),
		CASE(test_lasting_overload_ends_before_the_deadline),
		CASE(test_attempts_are_limited_when_asked),
		CASE(test_post_is_never_repeated),
		CASE(test_retry_after_is_honoured),
		CASE(test_retry_after_beyond_the_deadline_ends_it),
		CASE(test_truncated_and_reset_bodies_are_fetched_again),
		CASE(test_lasting_failures_say_so),
		CASE(test_nobody_listening_is_econnrefused),
		CASE(test_origin_that_comes_up_is_found),
		CASE(test_silence_ends_at_the_deadline),
		CASE(test_stalled_attempt_is_tried_again_half_way),
		CASE(test_slow_origin_is_waited_for),
		CASE(test_failure_of_the_second_attempt_harms_nothing),
		CASE(test_slow_but_steady_body_is_not_cut),
		CASE(test_deadline_counts_while_queued),
		CASE(test_urgent_requests_pass_the_others),
		CASE(test_stop_cancels_all_states_and_what_comes),
		CASE(test_done_may_submit),
		CASE(test_many_threads_submit),
		CASE(test_redirects_stay_on_the_host),
		CASE(test_redirects_in_a_circle_end),
		CASE(test_proxy_of_the_environment_is_not_for_loopback),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
