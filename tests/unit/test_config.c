/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../chunker/core/config.h"
#include "../../chunker/core/fd.h"

static struct config *parse(const char *text)
{
	struct config *c = NULL;
	struct smr_error err = {0};
	int r = config_parse(text, strlen(text), "f", &c, &err);
	assert_string_equal(err.message, "");
	assert_int_equal(r, 0);
	return c;
}

static void clear_env(void)
{
	unsetenv("SMR_STORE");
	unsetenv("SMR_CACHE");
	setenv("SMR_CONF", "", 1);
}

static int setup(void **state)
{
	(void)state;
	clear_env();
	return 0;
}

static void test_every_key_is_read(void **state)
{
	(void)state;
	struct config *c = parse("store = s3://bucket/prefix?endpoint=http://x\n"
				 "cache=/var/cache/x\n"
				 "\tcache_size\t=\t10G\t\n"
				 "timeout = 30\r\n"
				 "insecure = yes\n"
				 "chunk_size = 512K\n"
				 "level = 19\n"
				 "jobs = 4");
	assert_string_equal(config_get(c, "store"), "s3://bucket/prefix?endpoint=http://x");
	assert_string_equal(config_get(c, "cache"), "/var/cache/x");
	assert_string_equal(config_get(c, "cache_size"), "10G");
	assert_string_equal(config_get(c, "timeout"), "30");
	assert_string_equal(config_get(c, "insecure"), "yes");
	assert_string_equal(config_get(c, "chunk_size"), "512K");
	assert_string_equal(config_get(c, "level"), "19");
	assert_string_equal(config_get(c, "jobs"), "4");
	assert_null(config_get(c, "other"));
	config_free(c);
	config_free(NULL);
}

static void test_comments_and_empty_lines_say_nothing(void **state)
{
	(void)state;
	struct config *c = parse(
		"\n# a comment = 1\n   \n  # cache = no\nstore = http://x/#frag # trailing\n\n");
	assert_string_equal(config_get(c, "store"), "http://x/#frag");
	assert_null(config_get(c, "cache"));
	config_free(c);
	config_free(parse(""));
	config_free(parse("#"));
}

static void test_a_bad_line_is_named_with_file_and_line(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"store = x\nfoo = 1\n", "f:2: unknown key \"foo\""},
		{"Store = x", "f:1: unknown key \"Store\""},
		{"= x", "f:1: unknown key \"\""},
		{"\n\nstore x\n", "f:3: not \"key = value\": store x"},
		{"store", "f:1: not \"key = value\": store"},
		{"store =\n", "f:1: \"store\" has no value"},
		{"store = # nothing", "f:1: \"store\" has no value"},
		{"jobs = 1\nlevel = 1\njobs = 2\n", "f:3: \"jobs\" is already set on line 1"},
		{"store = a\x01"
		 "b",
			"f:1: control character"},
		{"store = \x1b[31m", "f:1: control character"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *c = NULL;
		struct smr_error err = {0};
		assert_int_equal(
			config_parse(cases[i].text, strlen(cases[i].text), "f", &c, &err), -EINVAL);
		assert_string_equal(err.message, cases[i].message);
		assert_null(c);
	}
	struct config *c = NULL;
	assert_int_equal(config_parse("store = a\0b", 11, "f", &c, NULL), -EINVAL);
}

static void test_the_environment_goes_before_the_file(void **state)
{
	(void)state;
	char path[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path);
	struct config *c;
	assert_int_equal(fd_write(fd, "store = from-file\ncache = /file\n", 32), 0);
	close(fd);
	setenv("SMR_CONF", path, 1);
	setenv("SMR_STORE", "from-env", 1);
	setenv("SMR_CACHE", "", 1); /* empty is as good as absent */
	assert_int_equal(config_load(&c, NULL), 0);
	assert_string_equal(config_get(c, "store"), "from-env");
	assert_string_equal(config_get(c, "cache"), "/file");
	config_free(c);
	unlink(path);
}

static void test_no_file_is_an_empty_configuration_but_a_named_one_must_exist(void **state)
{
	(void)state;
	struct config *c;
	struct smr_error err = {0};
	assert_int_equal(config_load(&c, &err), 0);
	assert_null(config_get(c, "store"));
	config_free(c);
	setenv("SMR_CONF", "/nonexistent/smr.conf", 1);
	assert_int_equal(config_load(&c, &err), -ENOENT);
	assert_string_equal(err.message, "/nonexistent/smr.conf: No such file or directory");
	setenv("SMR_CONF", "/", 1);
	assert_int_equal(config_load(&c, &err), -EISDIR);
}

static void test_an_endless_file_is_refused(void **state)
{
	(void)state;
	struct config *c;
	struct smr_error err = {0};
	setenv("SMR_CONF", "/dev/zero", 1);
	assert_int_equal(config_load(&c, &err), -EFBIG);
	assert_non_null(strstr(err.message, "/dev/zero"));
}

static void test_the_cache_directory_depends_on_key_user_and_home(void **state)
{
	(void)state;
	char dir[64];
	struct smr_error err = {0};
	struct config *c = parse("cache = /from/key");
	assert_int_equal(config_cache_dir(c, dir, sizeof(dir), &err), 0);
	assert_string_equal(dir, "/from/key");
	assert_int_equal(config_cache_dir(c, dir, 9, &err), -ENAMETOOLONG);
	config_free(c);

	c = parse("");
	bool root = geteuid() == 0;
	if (root) {
		assert_int_equal(config_cache_dir(c, dir, sizeof(dir), &err), 0);
		assert_string_equal(dir, "/var/cache/smr");
		assert_int_equal(seteuid(65534), 0);
	}
	setenv("XDG_CACHE_HOME", "/xdg", 1);
	setenv("HOME", "/home/u", 1);
	assert_int_equal(config_cache_dir(c, dir, sizeof(dir), &err), 0);
	assert_string_equal(dir, "/xdg/smr");
	setenv("XDG_CACHE_HOME", "relative", 1);
	assert_int_equal(config_cache_dir(c, dir, sizeof(dir), &err), 0);
	assert_string_equal(dir, "/home/u/.cache/smr");
	unsetenv("XDG_CACHE_HOME");
	unsetenv("HOME");
	assert_int_equal(config_cache_dir(c, dir, sizeof(dir), &err), -ENOENT);
	assert_non_null(strstr(err.message, "HOME"));
	if (root)
		assert_int_equal(seteuid(0), 0);
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_key_is_read, setup),
		cmocka_unit_test_setup(test_comments_and_empty_lines_say_nothing, setup),
		cmocka_unit_test_setup(test_a_bad_line_is_named_with_file_and_line, setup),
		cmocka_unit_test_setup(test_the_environment_goes_before_the_file, setup),
		cmocka_unit_test_setup(
			test_no_file_is_an_empty_configuration_but_a_named_one_must_exist, setup),
		cmocka_unit_test_setup(test_an_endless_file_is_refused, setup),
		cmocka_unit_test_setup(
			test_the_cache_directory_depends_on_key_user_and_home, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
