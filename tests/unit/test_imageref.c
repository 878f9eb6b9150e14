/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/build/imageref.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_references_are_normalised_as_docker_does(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"debian", "docker.io/library/debian:latest"},
		{"debian:12", "docker.io/library/debian:12"},
		{"docker://debian:12", "docker.io/library/debian:12"},
		{"docker.io/debian", "docker.io/library/debian:latest"},
		{"index.docker.io/debian", "docker.io/library/debian:latest"},
		{"team/app", "docker.io/team/app:latest"},
		{"docker.io/team/app:x", "docker.io/team/app:x"},
		{"localhost/app", "localhost/app:latest"},
		{"localhost:5000/app:1", "localhost:5000/app:1"},
		{"127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000/a/b/c:1"},
		{"[::1]:5000/app", "[::1]:5000/app:latest"},
		{"host/app", "docker.io/host/app:latest"},
		{"host:5/app", "host:5/app:latest"},
		{"Host/app", "Host/app:latest"},
		{"quay.io/a__b/c.d-e---f:T_1.x-", "quay.io/a__b/c.d-e---f:T_1.x-"},
		{"debian@sha256:" HEX, "docker.io/library/debian@sha256:" HEX},
		{"debian:12@sha256:" HEX, "docker.io/library/debian:12@sha256:" HEX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[IMAGEREF_TEXT_MAX];
		struct imageref ref, again;
		struct smr_error err = {0};

		if (imageref_parse(cases[i].from, &ref, &err) < 0)
			fail_msg("%s: %s", cases[i].from, err.message);
		assert_string_equal(imageref_format(&ref, text), cases[i].to);
		assert_int_equal(imageref_parse(text, &again, NULL), 0);
		assert_string_equal(again.path, ref.path);
	}
}

static void test_what_is_no_reference_is_refused(void **state)
{
	static const char *const cases[] = {"", "docker://", "Debian", "deb ian", "debian:", ":12",
		"debian:.x", "debian:-x", "debian:a/b", "debian@", "debian@sha256:12",
		"debian@sha512:" HEX, "debian@sha256:" HEX "0", "debian@sha256:0123456789ABCDEF",
		"a//b", "/a", "a/", "a/../b", "../a", "a/.b", "a._b", "a___b", "-a", "a-",
		"host:0/a", "host:65536/a", "host:x/a", "host.:5/a", "-host.x/a", "[::g]/a",
		"[::1/a", "user@host.x/a", "a?b", "a%2fb", "a\nb", "http://host.x/a", HEX};
	struct imageref ref;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smr_error err = {0};

		if (imageref_parse(cases[i], &ref, &err) != -EINVAL)
			fail_msg("accepted: %s", cases[i]);
		assert_true(err.message[0]);
	}
}

static void test_long_references_are_refused(void **state)
{
	char text[2000];
	struct imageref ref;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 0;
	assert_int_equal(imageref_parse(text, &ref, NULL), -EINVAL);
	text[IMAGEREF_NAME_MAX - strlen("docker.io/library/")] = 0;
	assert_int_equal(imageref_parse(text, &ref, NULL), 0);
	text[strlen(text)] = 'a';
	assert_int_equal(imageref_parse(text, &ref, NULL), -EINVAL);
}

static void test_digest_wins_over_tag(void **state)
{
	struct imageref ref;
	char object[IMAGEREF_TAG_MAX + 1];

	(void)state;
	assert_int_equal(imageref_parse("debian:12@sha256:" HEX, &ref, NULL), 0);
	assert_string_equal(imageref_object(&ref, object), "sha256:" HEX);
	assert_string_equal(imageref_endpoint(&ref), "registry-1.docker.io");
	assert_int_equal(imageref_parse("x.org/debian:12", &ref, NULL), 0);
	assert_string_equal(imageref_object(&ref, object), "12");
	assert_string_equal(imageref_endpoint(&ref), "x.org");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_references_are_normalised_as_docker_does),
		cmocka_unit_test(test_what_is_no_reference_is_refused),
		cmocka_unit_test(test_long_references_are_refused),
		cmocka_unit_test(test_digest_wins_over_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
