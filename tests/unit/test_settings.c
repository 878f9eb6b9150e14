/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../cached/settings.h"

#define ARGS_MAX 16

static int parse(struct settings *s, struct smr_error *err, const char *line)
{
	static char copy[512];
	char *argv[ARGS_MAX + 1] = {"smr-cached"};
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word && argc < ARGS_MAX; word = strtok(NULL, " "))
		argv[argc++] = word;
	return settings_parse(argc, argv, s, err);
}

static void must_parse(struct settings *s, const char *line)
{
	struct smr_error err = {0};

	if (parse(s, &err, line) < 0)
		fail_msg("%s: %s", line, err.message);
}

static void must_refuse(const char *line, const char *because)
{
	struct smr_error err = {0};
	struct settings s;
	int r = parse(&s, &err, line);

	settings_done(&s);
	assert_int_equal(r, -EINVAL);
	if (!strstr(err.message, because))
		fail_msg("'%s' is refused with '%s', which does not say '%s'", line, err.message,
			because);
}

static void complete(struct settings *s, const char *conf)
{
	struct config *c;
	struct smr_error err = {0};

	assert_int_equal(config_parse(conf, strlen(conf), "f", &c, &err), 0);
	if (settings_complete(s, c, &err) < 0)
		fail_msg("%s", err.message);
	config_free(c);
}

static void test_without_a_command_it_is_the_daemon(void **state)
{
	struct settings s;

	(void)state;
	must_parse(&s, "");
	assert_int_equal(s.verb, SETTINGS_SERVE);
	must_parse(
		&s, "--size 20G --min-free 0 --socket /s --cache /c -f -d --insecure --ca f.pem");
	assert_true(s.size == 20ull << 30 && s.min_free == 0 && s.debug && s.insecure);
	assert_string_equal(s.socket_arg, "/s");
	assert_string_equal(s.cache_arg, "/c");
	assert_string_equal(s.ca_file, "f.pem");
	complete(&s, "");
	assert_true(s.size == 20ull << 30 && s.min_free == 0);
	assert_int_equal(s.n_stores, 0);
}

static void test_stores_have_names(void **state)
{
	struct settings s;
	char cwd[PATH_MAX], expect[PATH_MAX + 8];

	(void)state;
	must_parse(&s, "--store main=https://h/a?b=c --store here=dir:x --store=abs=/y");
	assert_int_equal(s.n_stores, 3);
	complete(&s, "store = https://h/other\n");
	assert_int_equal(s.n_stores, 3);
	assert_string_equal(s.stores[0].name, "main");
	assert_string_equal(s.stores[0].url, "https://h/a?b=c");
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(expect, sizeof(expect), "%s/x", cwd);
	assert_string_equal(s.stores[1].url, expect);
	assert_string_equal(s.stores[2].url, "/y");
	settings_done(&s);
	must_refuse("--store https://h/a", "NAME=URL");
	must_refuse("--store https://h/a?b=c", "NAME=URL");
	must_refuse("--store a=", "NAME=URL");
	must_refuse("--store =b", "NAME=URL");
	must_refuse("--store a=b --store a=c", "two stores");
}

static void test_the_configured_store_is_the_default_one(void **state)
{
	struct settings s;

	(void)state;
	must_parse(&s, "");
	complete(&s, "store = https://h/s\ncache_size = 1G\nmin_free = 2M\ncache = /c\ninsecure = "
		     "yes\n");
	assert_int_equal(s.n_stores, 1);
	assert_string_equal(s.stores[0].name, "default");
	assert_string_equal(s.stores[0].url, "https://h/s");
	assert_true(s.size == 1u << 30 && s.min_free == 2u << 20 && s.insecure);
	assert_string_equal(s.cache_dir, "/c");
	assert_string_equal(s.socket, "/c/cached.sock");
	settings_done(&s);
}

static void test_where_the_socket_is(void **state)
{
	struct settings s;

	(void)state;
	must_parse(&s, "status");
	complete(&s, "cache = /var/cache/smr\n");
	assert_string_equal(s.socket, "/run/smr/cached.sock");
	must_parse(&s, "status --cache /x");
	complete(&s, "cache = /var/cache/smr\n");
	assert_string_equal(s.socket, "/x/cached.sock");
	must_parse(&s, "status");
	complete(&s, "cache = /x\nsocket = /y/s\n");
	assert_string_equal(s.socket, "/y/s");
	must_parse(&s, "status --cache /x");
	complete(&s, "cache = /x\nsocket = /y/s\n");
	assert_string_equal(s.socket, "/y/s");
	must_parse(&s, "status --cache /other");
	complete(&s, "cache = /x\nsocket = /y/s\n");
	assert_string_equal(s.socket, "/other/cached.sock");
	must_parse(&s, "status --cache /var/cache/smr");
	complete(&s, "cache = /x\nsocket = /y/s\n");
	assert_string_equal(s.socket, "/var/cache/smr/cached.sock");
	must_parse(&s, "--socket /z status");
	complete(&s, "cache = /x\nsocket = /y/s\n");
	assert_string_equal(s.socket, "/z");
}

static void test_options_stand_on_either_side_of_the_command(void **state)
{
	struct settings s;

	(void)state;
	must_parse(&s, "--socket /s status --json");
	assert_true(s.verb == SETTINGS_STATUS && s.json);
	assert_string_equal(s.socket_arg, "/s");
	must_parse(&s, "--store st hydrate debian_12 --wait -q");
	assert_true(s.verb == SETTINGS_HYDRATE && s.wait && s.quiet);
	assert_string_equal(s.image, "debian_12");
	assert_string_equal(s.store_arg, "st");
	must_parse(&s, "pin -s /st debian_12");
	assert_true(s.verb == SETTINGS_PIN);
	must_parse(&s, "unpin debian_12");
	assert_true(s.verb == SETTINGS_UNPIN);
	must_parse(&s, "scrub --wait");
	assert_true(s.verb == SETTINGS_SCRUB && s.wait);
	must_parse(&s, "pin --help");
	assert_true(s.verb == SETTINGS_PIN && s.help);
	must_parse(&s, "--help pin");
	assert_true(s.help);
}

static void test_a_store_is_a_url_a_path_or_a_name(void **state)
{
	struct settings s;
	char cwd[PATH_MAX], expect[PATH_MAX + 8];

	(void)state;
	must_parse(&s, "pin -s main x");
	complete(&s, "");
	assert_string_equal(s.store, "main");
	must_parse(&s, "pin -s https://h/s x");
	complete(&s, "");
	assert_string_equal(s.store, "https://h/s");
	must_parse(&s, "pin -s ./main x");
	complete(&s, "");
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(expect, sizeof(expect), "%s/./main", cwd);
	assert_string_equal(s.store, expect);
	must_parse(&s, "pin x");
	complete(&s, "");
	assert_string_equal(s.store, "default");
	must_parse(&s, "pin x");
	complete(&s, "store = /srv/smr\n");
	assert_string_equal(s.store, "/srv/smr");
}

static void test_what_is_refused(void **state)
{
	(void)state;
	must_refuse("frobnicate", "no command 'frobnicate'");
	must_refuse("--frobnicate", "--frobnicate");
	must_refuse("-x", "-x");
	must_refuse("--size", "--size needs a value");
	must_refuse("--size 0", "not a size");
	must_refuse("--size 10Q", "not a size");
	must_refuse("--size 1G status", "--size");
	must_refuse("status --wait", "--wait");
	must_refuse("status --json --prometheus", "not both");
	must_refuse("status x", "unexpected 'x'");
	must_refuse("pin", "which image?");
	must_refuse("pin a b", "unexpected 'b'");
	must_refuse("pin a/b", "not an image name");
	must_refuse("unpin -s x a", "-s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_command_it_is_the_daemon),
		cmocka_unit_test(test_stores_have_names),
		cmocka_unit_test(test_the_configured_store_is_the_default_one),
		cmocka_unit_test(test_where_the_socket_is),
		cmocka_unit_test(test_options_stand_on_either_side_of_the_command),
		cmocka_unit_test(test_a_store_is_a_url_a_path_or_a_name),
		cmocka_unit_test(test_what_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
