/* SPDX-License-Identifier: BSD-3-Clause */
#include "store_fixture.h"

#include "../../chunker/store/roots.h"

#define HEAD         "{\"version\": 1, \"chunk_size\": 524288, \"roots\": ["
#define ROOT(n, s)   "{\"name\": \"" n "\", \"state\": \"" s "\"}"
#define STORE(roots) HEAD roots "]}"
#define ACTIVE       ROOT("r1", "active")

static int parse(const char *text, struct roots **ret, struct smr_error *err)
{
	return roots_parse(text, strlen(text), ret, err);
}

static void test_live_roots_are_the_active_one_then_the_retired(void **state)
{
	struct smr_error err = {0};
	struct chunkid id = {{0xab, 0xcd}};
	char key[BUCKET_KEY_MAX];
	struct roots *r;

	(void)state;
	ok(parse(STORE(ROOT("r9", "retired") "," ROOT("r8", "expired") "," ROOT(
			 "r7", "active") "," ROOT("r6", "retired")),
		&r, &err));
	assert_int_equal(r->n, 4);
	assert_int_equal(r->n_live, 3);
	assert_string_equal(roots_active(r), "r7");
	roots_recipe_key(r, 0, "x", key);
	assert_string_equal(key, "roots/r7/recipes/x.recipe");
	roots_index_key(r, 1, key);
	assert_string_equal(key, "roots/r9/recipes/index.json");
	roots_chunk_key(r, 2, &id, key);
	assert_string_equal(key,
		"roots/r6/chunks/ab/"
		"abcd000000000000000000000000000000000000000000000000000000000000.zst");
	roots_unref(r);
}

static void test_longest_key_fits(void **state)
{
	struct smr_error err = {0};
	char key[BUCKET_KEY_MAX], name[NAME_LEN_MAX + 1];
	struct roots *r;

	(void)state;
	memset(name, 'n', NAME_LEN_MAX);
	name[NAME_LEN_MAX] = '\0';
	ok(parse(STORE(ROOT("a2345678901234567890123456789012", "active")), &r, &err));
	roots_recipe_key(r, 0, name, key);
	assert_string_equal(key + strlen(key) - 8, "n.recipe");
	roots_unref(r);
}

static void test_format_and_parse_agree(void **state)
{
	struct smr_error err = {0};
	struct roots *r, *again;
	struct buf out;

	(void)state;
	ok(parse(STORE(ACTIVE "," ROOT("old", "retired") "," ROOT("older", "expired")), &r, &err));
	buf_init(&out, ROOTS_FILE_MAX);
	ok(roots_format(r, &out));
	ok(roots_parse(out.data, out.len, &again, &err));
	assert_true(roots_equal(r, again));
	roots_unref(again);
	ok(roots_new(1 << 20, "r1", &again));
	assert_false(roots_equal(r, again));
	roots_unref(again);
	roots_unref(r);
	buf_done(&out);
}

static void test_unknown_members_are_ignored(void **state)
{
	struct smr_error err = {0};
	struct roots *r;

	(void)state;
	ok(parse("{\"version\":1,\"later\":[1],\"chunk_size\":65536,\"roots\":[{\"name\":\"a\","
		 "\"state\":\"active\",\"since\":5}]}",
		&r, &err));
	assert_int_equal(r->chunk_size, 65536);
	roots_unref(r);
}

static void test_bad_descriptions_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"{\"version\": 1}",
		STORE(""),
		STORE(ROOT("r1", "retired")),
		STORE(ACTIVE "," ROOT("r2", "active")),
		STORE(ACTIVE "," ROOT("r1", "retired")),
		STORE(ACTIVE "," ROOT("r2", "gone")),
		STORE(ROOT("", "active")),
		STORE(ROOT("../r", "active")),
		STORE(ROOT("R1", "active")),
		STORE(ROOT("-r", "active")),
		STORE(ROOT("a.b", "active")),
		STORE(ROOT("a23456789012345678901234567890123", "active")),
		STORE("{\"name\": \"r1\"}"),
		STORE("{\"name\": 1, \"state\": \"active\"}"),
		STORE("5"),
		STORE(ACTIVE) "x",
		"{\"version\": 0, \"chunk_size\": 524288, \"roots\": [" ACTIVE "]}",
		"{\"version\": \"1\", \"chunk_size\": 524288, \"roots\": [" ACTIVE "]}",
		"{\"version\": 1, \"version\": 1, \"chunk_size\": 524288, \"roots\": [" ACTIVE "]}",
		"{\"version\": 1, \"chunk_size\": 524287, \"roots\": [" ACTIVE "]}",
		"{\"version\": 1, \"chunk_size\": -524288, \"roots\": [" ACTIVE "]}",
		"{\"version\": 1, \"chunk_size\": 4294967296, \"roots\": [" ACTIVE "]}",
		"{\"version\": 1, \"chunk_size\": 524288, \"roots\": {}}",
	};
	struct roots *r;

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct smr_error err = {0};

		if (parse(texts[i], &r, &err) != -EBADMSG)
			fail_msg("accepted: %s", texts[i]);
		assert_true(err.message[0]);
	}
	assert_int_equal(parse("{\"version\": 2}", &r, NULL), -ENOTSUP);
}

static void test_too_many_roots_are_refused(void **state)
{
	char text[8000] = HEAD ACTIVE;
	struct roots *r;

	(void)state;
	for (unsigned i = 0; i < ROOTS_MAX - 1; i++)
		sprintf(text + strlen(text), ",{\"name\": \"x%u\", \"state\": \"retired\"}", i);
	size_t n = strlen(text);
	strcat(text, "]}");
	assert_int_equal(parse(text, &r, NULL), 0);
	assert_int_equal(r->n_live, ROOTS_MAX);
	roots_unref(r);
	strcpy(text + n, "," ROOT("more", "expired") "]}");
	assert_int_equal(parse(text, &r, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_roots_are_the_active_one_then_the_retired),
		cmocka_unit_test(test_longest_key_fits),
		cmocka_unit_test(test_format_and_parse_agree),
		cmocka_unit_test(test_unknown_members_are_ignored),
		cmocka_unit_test(test_bad_descriptions_are_refused),
		cmocka_unit_test(test_too_many_roots_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
