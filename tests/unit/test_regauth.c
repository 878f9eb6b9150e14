/* SPDX-License-Identifier: BSD-3-Clause */
/* What registries ask and what we have: challenges, tokens, realms, redirects, credentials, helpers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../chunker/build/regauth.h"
#include "../../chunker/build/regauth_challenge.h"
#include "../../chunker/build/regauth_creds.h"
#include "../../chunker/build/regauth_helper.h"
#include "../../chunker/build/registry_http.h"
#include "../../chunker/core/clock.h"
#include "tempdir.h"

static int parse(const char *s, struct regauth_challenge *c)
{
	memset(c, 0, sizeof(*c));
	return regauth_challenge_parse(s, strlen(s), c, NULL);
}

static void test_challenges_are_parsed(void **state)
{
	struct regauth_challenge c;

	(void)state;
	assert_int_equal(
		parse("Bearer realm=\"https://a.b/t\",service=\"s\", scope = \"x:y:z,w\"", &c), 0);
	assert_true(c.bearer && !c.basic);
	assert_string_equal(c.realm, "https://a.b/t");
	assert_string_equal(c.scope, "x:y:z,w");
	assert_int_equal(
		parse("Negotiate abc==, Basic realm=\"a \\\"b\\\"\", bearer realm=q", &c), 0);
	assert_true(c.bearer && c.basic);
	assert_string_equal(c.realm, "q");
	assert_int_equal(parse("Digest nonce=\"1, Basic realm=x\"", &c), 0);
	assert_false(c.bearer || c.basic);
	assert_int_equal(parse("Basic", &c), 0);
	assert_true(c.basic);
}

static void test_malformed_challenges_are_refused(void **state)
{
	static const char *const cases[] = {"Bearer", "Bearer realm=\"x", "Bearer realm=\"a\\",
		"Bearer realm=\"a\" realm=\"b\"", "Bearer realm=\"a\",realm=\"b\"",
		"Bearer realm=\"a\tb\"", "=", "\"", "Bearer realm="};
	struct regauth_challenge c;
	char longest[3000];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (parse(cases[i], &c) != -EBADMSG)
			fail_msg("accepted: %s", cases[i]);
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "Bearer realm=", 13);
	longest[sizeof(longest) - 1] = 0;
	assert_int_equal(parse(longest, &c), -EBADMSG);
}

static int token(const char *json, char **ret, unsigned *s)
{
	return regauth_challenge_token(json, strlen(json), ret, s, NULL);
}

static void test_tokens_cannot_leave_their_header(void **state)
{
	char *text;
	unsigned s;

	(void)state;
	assert_int_equal(token("{\"token\":\"abc\"}", &text, &s), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(s, 60);
	free(text);
	assert_int_equal(token("{\"access_token\":\"x\",\"expires_in\":300}", &text, &s), 0);
	assert_int_equal(s, 300);
	free(text);
	assert_int_equal(token("{\"token\":\"a\\r\\nX: y\"}", &text, &s), -EBADMSG);
	assert_int_equal(token("{\"token\":\"\"}", &text, &s), -EBADMSG);
	assert_int_equal(token("{\"token\":7}", &text, &s), -EBADMSG);
	assert_int_equal(token("[]", &text, &s), -EBADMSG);
	assert_int_equal(token("", &text, &s), -EBADMSG);
}

static void test_only_the_registrys_own_realms_are_asked(void **state)
{
	static const struct {
		const char *origin, *realm, *more;
		bool insecure, allowed;
	} cases[] = {
		{"https://a.example.org", "https://a.example.org/t", "", false, true},
		{"https://a.example.org", "https://a.example.org:444/t", "", false, true},
		{"https://a.example.org", "https://example.org/t", "", false, true},
		{"https://registry-1.docker.io", "https://auth.docker.io/token", "", false, true},
		{"https://registry-1.docker.io", "https://evil.docker.io/token", "", false, false},
		{"https://a.example.org", "https://b.example.org/t", "", false, false},
		{"https://a.example.org", "https://b.example.org/t", "x,b.example.org", false,
			true},
		{"https://a.example.org", "https://org/t", "", false, false},
		{"https://a.example.org", "https://ample.org/t", "", false, false},
		{"https://a.example.org", "http://a.example.org/t", "", true, false},
		{"https://a.example.org", "https://u:p@a.example.org/t", "", false, false},
		{"https://a.example.org", "http://127.0.0.1/t", "", true, false},
		{"https://10.0.0.1", "https://0.0.1/t", "", false, false},
		{"http://127.0.0.1:5000", "http://127.0.0.1:5001/t", "", false, true},
		{"http://10.0.0.1:5000", "http://10.0.0.1:5001/t", "", false, false},
		{"http://10.0.0.1:5000", "http://10.0.0.1:5001/t", "", true, true},
		{"https://a.example.org", "file:///etc/passwd", "", true, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (regauth_realm_allowed(cases[i].origin, cases[i].realm, cases[i].more,
			    cases[i].insecure) != cases[i].allowed)
			fail_msg("%s -> %s", cases[i].origin, cases[i].realm);
}

static void test_redirects_lead_to_https_and_not_into_the_machine(void **state)
{
	(void)state;
	assert_true(registry_http_may_follow("https://a.b", "https://c.d/x?y", false));
	assert_true(registry_http_may_follow("http://127.0.0.1:1", "http://127.0.0.1:2", false));
	assert_true(registry_http_may_follow("http://a.b", "http://c.d", true));
	assert_false(registry_http_may_follow("http://a.b", "http://c.d", false));
	assert_false(registry_http_may_follow("https://a.b", "http://a.b", true));
	assert_false(registry_http_may_follow("https://a.b", "https://127.0.0.1", true));
	assert_false(registry_http_may_follow("https://a.b", "https://[::1]", true));
	assert_false(registry_http_may_follow("https://a.b", "https://u@c.d", false));
	assert_false(registry_http_may_follow("https://a.b", "file:///x", true));
	assert_false(registry_http_same_origin("https://a.b", "https://a.b:444"));
	assert_false(registry_http_same_origin("https://a.b", "http://a.b:443"));
	assert_true(registry_http_same_origin("https://a.b/x", "https://A.b:443/y"));
}

static int find(const char *json, const char *host, const char *path, struct regauth_creds *c)
{
	memset(c, 0, sizeof(*c));
	return regauth_creds_parse(json, strlen(json), host, path, NULL, c, NULL);
}

static void test_credentials_are_found_by_the_longest_key(void **state)
{
	/* u1:p1, u2:p:2, u3:p3 */
	static const char json[] = "{\"auths\":{\"h.x\":{\"auth\":\"dTE6cDE=\"},"
				   "\"h.x/team\":{\"auth\":\"dTI6cDoy\"},"
				   "\"https://index.docker.io/v1/\":{\"auth\":\"dTM6cDM=\"},"
				   "\"bad.x\":{\"auth\":\"%%\"},\"empty.x\":{},"
				   "\"id.x\":{\"identitytoken\":\"refresh\"}}}";
	struct regauth_creds c;

	(void)state;
	assert_int_equal(find(json, "h.x", "other/app", &c), 0);
	assert_string_equal(c.user, "u1");
	regauth_creds_done(&c);
	assert_int_equal(find(json, "h.x", "team/app", &c), 0);
	assert_string_equal(c.user, "u2");
	assert_string_equal(c.password, "p:2");
	regauth_creds_done(&c);
	assert_int_equal(find(json, "docker.io", "library/debian", &c), 0);
	assert_string_equal(c.password, "p3");
	regauth_creds_done(&c);
	assert_int_equal(find(json, "id.x", "a", &c), 0);
	assert_string_equal(c.identity, "refresh");
	regauth_creds_done(&c);
	assert_int_equal(find(json, "h.x:443", "a", &c), -ENOENT);
	assert_int_equal(find(json, "x", "h.x/team", &c), -ENOENT);
	assert_int_equal(find(json, "empty.x", "a", &c), -ENOENT);
	assert_int_equal(find(json, "bad.x", "a", &c), -EBADMSG);
	assert_int_equal(find("[]", "bad.x", "a", &c), -EBADMSG);
}

/* docker-credential-NAME in `dir`, first in PATH. */
static void make_helper(struct tempdir *dir, const char *name, const char *script)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/docker-credential-%s", dir->path, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", script);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0700), 0);
}

static int run_helper(const char *name, struct buf *out, struct smr_error *err)
{
	buf_init(out, 1000);
	return regauth_helper_get(name, "h.x", 1, NULL, out, err);
}

static void test_helpers_are_asked_and_bounded(void **state)
{
	struct tempdir dir;
	struct buf out;
	struct smr_error err;
	struct regauth_creds c;
	char path[PATH_MAX + 4096];
	const char *old = getenv("PATH");
	atomic_bool canceled = true;
	uint64_t start;

	(void)state;
	tempdir_init(&dir);
	snprintf(path, sizeof(path), "%s:%s", dir.path, old);
	char *saved = strdup(old);
	setenv("PATH", path, 1);
	make_helper(&dir, "good",
		"read h; echo \"{\\\"Username\\\":\\\"me\\\",\\\"Secret\\\":\\\"$1 $h\\\"}\"");
	make_helper(&dir, "none", "echo credentials not found in native keychain; exit 1");
	make_helper(&dir, "fails", "echo secret; exit 3");
	make_helper(&dir, "hangs", "sleep 100 & sleep 100");
	make_helper(&dir, "lingers", "exec >&- <&-; sleep 100");
	make_helper(&dir, "talks", "exec yes");

	assert_int_equal(
		find("{\"credsStore\":\"good\",\"auths\":{\"h.x\":{}}}", "h.x", "a", &c), 0);
	assert_string_equal(c.user, "me");
	assert_string_equal(c.password, "get h.x");
	regauth_creds_done(&c);
	assert_int_equal(find("{\"credHelpers\":{\"h.x\":\"none\"}}", "h.x", "a", &c), -ENOENT);
	assert_int_equal(find("{\"credHelpers\":{\"h.x\":\"../x\"}}", "h.x", "a", &c), -EINVAL);
	assert_int_equal(run_helper("fails", &out, &err), -EIO);
	assert_null(strstr(err.message, "secret"));
	buf_done(&out);
	assert_int_equal(run_helper("absent", &out, &err), -ENOENT);
	buf_done(&out);
	assert_int_equal(run_helper("talks", &out, &err), -EFBIG);
	buf_done(&out);
	start = clock_ns();
	assert_int_equal(run_helper("hangs", &out, &err), -ETIMEDOUT);
	buf_done(&out);
	assert_int_equal(run_helper("lingers", &out, &err), -ETIMEDOUT);
	buf_done(&out);
	assert_true(clock_ns() - start < 20 * CLOCK_NS_PER_S);
	start = clock_ns();
	buf_init(&out, 1000);
	assert_int_equal(regauth_helper_get("hangs", "h.x", 60, &canceled, &out, &err), -ECANCELED);
	buf_done(&out);
	assert_true(clock_ns() - start < 5 * CLOCK_NS_PER_S);
	setenv("PATH", saved, 1);
	free(saved);
	tempdir_done(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_challenges_are_parsed),
		cmocka_unit_test(test_malformed_challenges_are_refused),
		cmocka_unit_test(test_tokens_cannot_leave_their_header),
		cmocka_unit_test(test_only_the_registrys_own_realms_are_asked),
		cmocka_unit_test(test_redirects_lead_to_https_and_not_into_the_machine),
		cmocka_unit_test(test_credentials_are_found_by_the_longest_key),
		cmocka_unit_test(test_helpers_are_asked_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
