/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../cached/status.h"
#include "../../chunker/core/cleanup.h"

#define URL "https://images.example.org/smr"

static void observe(struct status_tier *t, uint64_t us, uint64_t n)
{
	t->latency.bucket[metrics_bucket(us * 1000)] += n;
	t->latency.count += n;
	t->latency.sum_us += us * n;
	t->bytes += n * (512u << 10);
}

static void fill(struct status *s)
{
	struct status_store *store;
	struct status_image *image;
	struct status_client *client;

	*s = (struct status){.directory = strdup("/var/cache/smr"),
		.pid = 7,
		.uptime_s = 3 * 86400,
		.size = 10000000000,
		.bytes = 1200000000,
		.chunks = 2391,
		.gets_in_flight = 3,
		.fetches_in_flight = 1,
		.fetched_chunks = 13,
		.fetched_bytes = 4000000,
		.evicted = 4};
	observe(&s->pool, 40, 987);
	store = status_add_store(s, URL);
	observe(&store->origin, 31000, 12);
	observe(&store->origin, 70ull * 1000 * 1000, 1);
	image = status_add_image(s, URL);
	strcpy(image->name, "python_3.12-slim");
	memset(image->digest.b, 0xab, sizeof(image->digest.b));
	image->mounted = 2;
	image->pinned = 1;
	image->bytes = 151000000;
	image->local_bytes = 22000000;
	client = status_add_client(s);
	strcpy(client->name, "smrfs \"/var\\lib\"");
	client->pid = 42;
}

static char *text_of(const struct status *s, int (*format)(const struct status *, struct buf *))
{
	struct buf b auto_with(buf_done);

	buf_init(&b, STATUS_MAX);
	assert_int_equal(format(s, &b), 0);
	return strdup(buf_cstr(&b));
}

static void must_have(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("no '%s' in:\n%s", what, text);
}

static void must_lack(const char *text, const char *what)
{
	if (strstr(text, what))
		fail_msg("there is '%s' in:\n%s", what, text);
}

static void test_json_there_and_back_is_the_same(void **state)
{
	struct status s, back;
	char *json, *again;

	(void)state;
	fill(&s);
	json = text_of(&s, status_json_encode);
	assert_int_equal(status_json_decode(json, strlen(json), &back, NULL), 0);
	assert_memory_equal(&s.pool, &back.pool, sizeof(s.pool));
	assert_memory_equal(&s.stores[0].origin, &back.stores[0].origin, sizeof(s.pool));
	assert_int_equal(back.n_images, 1);
	assert_string_equal(back.images[0].name, "python_3.12-slim");
	assert_string_equal(back.clients[0].name, s.clients[0].name);
	again = text_of(&back, status_json_encode);
	assert_string_equal(json, again);
	must_have(json, "\"version\": 1");
	free(json);
	free(again);
	status_done(&s);
	status_done(&back);
}

static void test_a_name_that_is_no_utf8_does_not_break_it(void **state)
{
	struct status s;
	char *json;

	(void)state;
	fill(&s);
	strcpy(s.clients[0].name, "caf\xe9");
	json = text_of(&s, status_json_encode);
	must_have(json, "caf?");
	free(json);
	status_done(&s);
}

/* Each byte of a document replaced or cut off: refused or read, nothing else. */
static void test_damaged_documents_are_refused(void **state)
{
	struct status s, back;
	struct smr_error err = {0};
	char *json;
	size_t n;

	(void)state;
	fill(&s);
	json = text_of(&s, status_json_encode);
	n = strlen(json);
	for (size_t i = 0; i < n; i++) {
		char was = json[i];

		for (const char *c = "0-{}[]\"\\x"; *c; c++) {
			json[i] = *c;
			if (status_json_decode(json, n, &back, NULL) == 0)
				status_done(&back);
		}
		json[i] = was;
		if (status_json_decode(json, i, &back, NULL) == 0)
			assert_int_equal(i, n - 1); /* the newline */
		if (i == n - 1)
			status_done(&back);
	}
	free(json);
	status_done(&s);
	json = "{\"version\": 2}";
	assert_int_equal(status_json_decode(json, strlen(json), &back, &err), -ENOTSUP);
	assert_non_null(strstr(err.message, "version 2"));
	assert_int_equal(status_json_decode("{}", 2, &back, &err), -EBADMSG);
}

static void test_text_says_what_is_the_matter(void **state)
{
	struct status s;
	char *text;

	(void)state;
	fill(&s);
	text = text_of(&s, status_text_format);
	must_have(text,
		"cache    /var/cache/smr   1.2 GB of 10 GB, 2,391 chunks   up 3 days, pid 7\n");
	must_have(text, "98.7 % were here (median ");
	must_have(text, "1.3 % from " URL " (median ");
	must_have(text, "1 download for 3 requests, 1 client\n");
	must_have(text, "0 in the last hour\n");
	must_have(text, "python_3.12-slim  2        22 MB     151 MB, pinned\n");
	must_lack(text, "FULL");
	must_lack(text, "REBUILD");
	free(text);
	s.full = s.rebuilding = s.scrubbing = s.hydrations = 1;
	s.errors_last_hour = s.unreachable = 5;
	text = text_of(&s, status_text_format);
	must_have(text, "FULL     chunks cannot be kept");
	must_have(text, "REBUILD");
	must_have(text, "scrubbing");
	must_have(text, "1 image being hydrated");
	must_have(text, "5 in the last hour; since the start 0 missing, 0 corrupt, 5 unreachable");
	free(text);
	status_done(&s);
}

static void test_text_of_a_cache_that_nobody_used(void **state)
{
	struct status s = {.directory = strdup("/c")};
	char *text = text_of(&s, status_text_format);

	(void)state;
	must_have(text, "none was asked for yet");
	must_lack(text, "IMAGE");
	free(text);
	status_done(&s);
}

static void test_prometheus_escapes_and_accumulates(void **state)
{
	struct status s;
	char *text;

	(void)state;
	fill(&s);
	text = text_of(&s, status_prometheus_format);
	must_have(text, "# TYPE smr_evicted_chunks_total counter\nsmr_evicted_chunks_total 4\n");
	must_have(text, "# TYPE smr_pool_bytes gauge\nsmr_pool_bytes 1200000000\n");
	must_have(text, "client=\"smrfs \\\"/var\\\\lib\\\"\"");
	must_have(text, "# TYPE smr_get_seconds histogram\n");
	must_have(text, "smr_get_seconds_bucket{tier=\"pool\",le=\"0.000032\"} 0\n");
	must_have(text, "smr_get_seconds_bucket{tier=\"pool\",le=\"0.000064\"} 987\n");
	must_have(text, "smr_get_seconds_bucket{tier=\"pool\",le=\"+Inf\"} 987\n");
	must_have(text,
		"smr_get_seconds_bucket{tier=\"origin\",store=\"" URL "\",le=\"67.108864\"} 12\n");
	must_have(
		text, "smr_get_seconds_bucket{tier=\"origin\",store=\"" URL "\",le=\"+Inf\"} 13\n");
	must_have(text, "smr_get_seconds_count{tier=\"origin\",store=\"" URL "\"} 13\n");
	must_have(text, "smr_errors_total{kind=\"missing\"} 0\n");
	free(text);
	status_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_there_and_back_is_the_same),
		cmocka_unit_test(test_a_name_that_is_no_utf8_does_not_break_it),
		cmocka_unit_test(test_damaged_documents_are_refused),
		cmocka_unit_test(test_text_says_what_is_the_matter),
		cmocka_unit_test(test_text_of_a_cache_that_nobody_used),
		cmocka_unit_test(test_prometheus_escapes_and_accumulates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
