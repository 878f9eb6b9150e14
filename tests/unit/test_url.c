/* SPDX-License-Identifier: BSD-3-Clause */
#include "store_fixture.h"

#include "../../chunker/store/url.h"

static struct url parse(const char *text)
{
	struct smr_error err = {0};
	struct url u;

	ok(url_parse(text, &u, &err));
	return u;
}

static void test_parts_of_a_url(void **state)
{
	struct url u = parse("HTTPS://Images.Example.org:8443/a/b%20c//");

	(void)state;
	assert_string_equal(u.scheme, "https");
	assert_string_equal(u.host, "images.example.org");
	assert_int_equal(u.port, 8443);
	assert_false(u.has_user);
	assert_string_equal(u.path, "/a/b%20c//");
	assert_string_equal(u.bare, "https://Images.Example.org:8443/a/b%20c");
	assert_int_equal(parse("http://x").port, 80);
	assert_int_equal(parse("https://x/").port, 443);
	assert_int_equal(parse("s3://x/").port, 0);
	u = parse("http://[::1]:80/");
	assert_string_equal(u.host, "::1");
	assert_string_equal(u.bare, "http://[::1]:80");
}

static void test_credentials_are_decoded_and_left_out(void **state)
{
	struct url u = parse("https://me%40home:p%3Aw@d:x@host/p?q");

	(void)state;
	assert_true(u.has_user);
	assert_string_equal(u.user, "me@home");
	assert_string_equal(u.password, "p:w@d:x");
	assert_string_equal(u.bare, "https://host/p?q");
	u = parse("https://only@host");
	assert_string_equal(u.user, "only");
	assert_string_equal(u.password, "");
}

static void test_what_is_not_a_url_is_refused(void **state)
{
	static const char *const texts[] = {"", "x", "://h", "http:/h", "http://", "http://:80/",
		"http:///path", "1http://h", "http://h:0/", "http://h:65536/", "http://h:/",
		"http://h:80x/", "http://h h/", "http://h/\n", "http://h\\x/", "http://[::1/",
		"http://[::g]/", "http://[1.2.3.4]/", "http://[::1]x/", "http://a%62c/",
		"http://u%0a:p@h/", "http://u%zz@h/", "http://u%4@h/", "http://u%00@h/",
		"http://h\xc3\xa4/", "verylongscheme://h/", "http://h/<script>"};
	struct url u;

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct smr_error err = {0};

		if (url_parse(texts[i], &u, &err) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_true(err.message[0]);
	}
}

static void test_long_urls_are_refused(void **state)
{
	char text[URL_MAX + 10];
	struct url u;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "http://h/", 9);
	text[URL_MAX - 1] = '\0';
	assert_int_equal(url_parse(text, &u, NULL), 0);
	text[URL_MAX - 1] = 'a';
	text[URL_MAX] = '\0';
	assert_int_equal(url_parse(text, &u, NULL), -EINVAL);
	text[8] = 'a';
	text[7 + URL_HOST_MAX] = '\0';
	assert_int_equal(url_parse(text, &u, NULL), -EINVAL);
}

static void test_message_shows_no_password(void **state)
{
	struct smr_error err = {0};
	struct url u;

	(void)state;
	assert_int_equal(url_parse("http://me:hunter2@h:0/", &u, &err), -EINVAL);
	assert_null(strstr(err.message, "hunter2"));
	assert_int_equal(url_parse("http://me:hunter2%zz@", &u, &err), -EINVAL);
	assert_null(strstr(err.message, "hunter2"));
}

static void test_loopback(void **state)
{
	static const char *const yes[] = {"http://127.0.0.1", "http://127.255.3.4:8/",
		"http://[::1]/", "http://localhost:80", "http://LocalHost/"};
	static const char *const no[] = {"http://128.0.0.1", "http://127.0.0.1.example/",
		"http://localhost.example/", "http://[::2]/", "http://127.1/", "http://0.0.0.0/",
		"http://[::ffff:127.0.0.1]/", "http://127.0.0.1@example.org/"};
	struct url u;

	(void)state;
	for (unsigned i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		u = parse(yes[i]);
		assert_true(url_is_loopback(&u));
	}
	for (unsigned i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		u = parse(no[i]);
		assert_false(url_is_loopback(&u));
	}
}

static void test_redirects_that_may_be_followed(void **state)
{
	(void)state;
	assert_true(url_may_follow("http://h/a", "http://h/b?c=d#e"));
	assert_true(url_may_follow("http://h/a", "http://H:80/b"));
	assert_true(url_may_follow("http://h:8080/a", "https://h/b"));
	assert_true(url_may_follow("https://h/a", "https://h:443/b"));
	assert_false(url_may_follow("https://h/a", "http://h/b"));
	assert_false(url_may_follow("https://h:443/a", "https://h:8443/b"));
	assert_false(url_may_follow("http://h/a", "http://h:8080/b"));
	assert_false(url_may_follow("http://h/a", "http://h2/b"));
	assert_false(url_may_follow("http://h/a", "http://h.evil/b"));
	assert_false(url_may_follow("http://h/a", "http://u:p@h/b"));
	assert_false(url_may_follow("http://h/a", "ftp://h/b"));
	assert_false(url_may_follow("http://h/a", "file:///etc/passwd"));
	assert_false(url_may_follow("http://h/a", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_of_a_url),
		cmocka_unit_test(test_credentials_are_decoded_and_left_out),
		cmocka_unit_test(test_what_is_not_a_url_is_refused),
		cmocka_unit_test(test_long_urls_are_refused),
		cmocka_unit_test(test_message_shows_no_password),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_redirects_that_may_be_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
