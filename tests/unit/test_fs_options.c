/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/core/config.h"
#include "../../fs/options.h"

#define ARGS_MAX 16

/* options_parse of "smrfs" and the arguments given, up to NULL. */
static int parse(struct options *o, struct smr_error *err, ...)
{
	char *argv[ARGS_MAX] = {(char *)"smrfs"};
	int argc = 1;
	va_list ap;
	va_start(ap, err);
	while ((argv[argc] = va_arg(ap, char *)))
		argc++;
	va_end(ap);
	err->message[0] = '\0';
	return options_parse(argc, argv, o, err);
}

static void assert_refused(const char *options, const char *says)
{
	struct options o;
	struct smr_error err;
	assert_int_equal(parse(&o, &err, "store", "mnt", "-o", options, NULL), -EINVAL);
	if (!strstr(err.message, says))
		fail_msg("\"%s\" does not say \"%s\"", err.message, says);
}

static void test_store_and_mountpoint_are_enough(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(parse(&o, &err, "/srv/smr", "/mnt", NULL), 0);
	assert_string_equal(o.store, "/srv/smr");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_null(o.cache_dir);
	assert_null(o.mount_options);
	assert_true(o.cache_size == 0 && o.timeout == -1);
	assert_false(o.foreground || o.debug || o.insecure || o.allow_other || o.help);
	options_done(&o);
}

static void test_flags_stand_anywhere(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(
		parse(&o, &err, "-f", "/srv/smr", "-ocache=/c", "/mnt", "-d", "-o",
			"cache_size=2G,timeout=0,insecure", "-o", "ca=/ca.pem,allow_other", NULL),
		0);
	assert_string_equal(o.store, "/srv/smr");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_string_equal(o.cache_dir, "/c");
	assert_string_equal(o.ca_file, "/ca.pem");
	assert_true(o.cache_size == 2ull << 30 && o.timeout == 0);
	assert_true(o.foreground && o.debug && o.insecure && o.allow_other);
	assert_false(o.allow_root);
	options_done(&o);
}

static void test_a_dash_dash_ends_the_flags(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(parse(&o, &err, "--", "-f", "-d", NULL), 0);
	assert_string_equal(o.store, "-f");
	assert_string_equal(o.mountpoint, "-d");
	assert_false(o.foreground || o.debug);
	options_done(&o);
}

static void test_the_last_one_of_an_option_counts(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(
		parse(&o, &err, "s", "m", "-o", "timeout=5,cache=/a,timeout=7,cache=/b", NULL), 0);
	assert_true(o.timeout == 7);
	assert_string_equal(o.cache_dir, "/b");
	options_done(&o);
}

static void test_what_mount_passes_is_ignored(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(
		parse(&o, &err, "s", "m", "-o",
			"rw,dev,suid,defaults,_netdev,nofail,noauto,user,user=joe,users,exec,"
			"ro,nosuid,nodev,noatime,x-systemd.automount,x-systemd.idle-timeout=60,"
			"X-mount.mkdir,comment=a word,,relatime,",
			NULL),
		0);
	assert_null(o.mount_options);
	options_done(&o);
}

static void test_what_is_for_the_kernel_is_kept(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(
		parse(&o, &err, "s", "m", "-o", "noexec,ro,context=u:r:t:s0\\,c1", NULL), 0);
	assert_string_equal(o.mount_options, "noexec,context=u:r:t:s0\\,c1");
	options_done(&o);
}

static void test_a_backslash_keeps_a_comma(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(parse(&o, &err, "s", "m", "-o", "cache=/a\\,b\\\\c,fsname=x=y", NULL), 0);
	assert_string_equal(o.cache_dir, "/a,b\\c");
	assert_string_equal(o.fsname, "x=y");
	options_done(&o);
	char *escaped = options_escape("/a,b\\c");
	assert_string_equal(escaped, "/a\\,b\\\\c");
	free(escaped);
}

static void test_a_bad_option_is_named(void **state)
{
	(void)state;
	assert_refused("cache_siez=1G", "unknown option \"cache_siez\"");
	assert_refused("ro,auto_unmount", "\"auto_unmount\"");
	assert_refused("cache", "\"cache\" needs a value");
	assert_refused("cache=", "\"cache\" needs a value");
	assert_refused("insecure=yes", "\"insecure\" takes no value");
	assert_refused("cache_size=lots", "cache_size=lots: not a size");
	assert_refused("cache_size=0", "cache_size=0: not a size");
	assert_refused("cache_size=-1", "cache_size=-1: not a size");
	assert_refused("timeout=1s", "timeout=1s: not a number of seconds");
	assert_refused("timeout=4294968", "timeout=4294968: not a number of seconds");
	assert_refused("remount", "unmount it and mount it again");
}

static void test_bad_usage_is_an_error(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(parse(&o, &err, NULL), -EINVAL);
	assert_non_null(strstr(err.message, "STORE"));
	assert_int_equal(parse(&o, &err, "store", NULL), -EINVAL);
	assert_non_null(strstr(err.message, "MOUNTPOINT"));
	assert_int_equal(parse(&o, &err, "store", "mnt", "more", NULL), -EINVAL);
	assert_non_null(strstr(err.message, "\"more\""));
	assert_int_equal(parse(&o, &err, "", "mnt", NULL), -EINVAL);
	assert_int_equal(parse(&o, &err, "store", "mnt", "-o", NULL), -EINVAL);
	assert_non_null(strstr(err.message, "-o needs"));
	assert_int_equal(parse(&o, &err, "store", "mnt", "-fz", NULL), -EINVAL);
	assert_non_null(strstr(err.message, "\"-z\""));
	assert_int_equal(parse(&o, &err, "store", "mnt", "--fast", NULL), -EINVAL);
	assert_non_null(strstr(err.message, "\"--fast\""));
}

static void test_help_and_version_need_nothing_else(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(parse(&o, &err, "--help", NULL), 0);
	assert_true(o.help);
	options_done(&o);
	assert_int_equal(parse(&o, &err, "-V", NULL), 0);
	assert_true(o.version);
	options_done(&o);
}

static struct config *load(const char *text)
{
	struct config *c;
	assert_int_equal(config_parse(text, strlen(text), "test", &c, NULL), 0);
	return c;
}

static void test_the_configuration_fills_what_is_open(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	struct config *c = load("cache_size = 3G\ntimeout = 9\ninsecure = yes\n");
	assert_int_equal(parse(&o, &err, "s", "m", "-o", "timeout=0", NULL), 0);
	assert_int_equal(options_complete(&o, c, &err), 0);
	assert_true(o.cache_size == 3ull << 30);
	assert_true(o.timeout == 0);
	assert_true(o.insecure);
	options_done(&o);
	config_free(c);
}

static void test_without_a_configuration_there_are_defaults(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	struct config *c = load("");
	assert_int_equal(parse(&o, &err, "s", "m", NULL), 0);
	assert_int_equal(options_complete(&o, c, &err), 0);
	assert_true(o.cache_size == OPTIONS_CACHE_SIZE_DEFAULT);
	assert_true(o.timeout == OPTIONS_TIMEOUT_DEFAULT);
	assert_false(o.insecure);
	options_done(&o);
	config_free(c);
}

static void test_a_bad_value_in_the_configuration_is_named(void **state)
{
	(void)state;
	static const char *const texts[] = {"cache_size = x\n", "timeout = x\n", "insecure = x\n"};
	for (size_t i = 0; i < 3; i++) {
		struct options o;
		struct smr_error err;
		struct config *c = load(texts[i]);
		assert_int_equal(parse(&o, &err, "s", "m", NULL), 0);
		assert_int_equal(options_complete(&o, c, &err), -EINVAL);
		assert_non_null(strstr(err.message, "configuration"));
		options_done(&o);
		config_free(c);
	}
}

static void test_relative_paths_become_absolute(void **state)
{
	(void)state;
	struct options o;
	struct smr_error err;
	assert_int_equal(parse(&o, &err, "dir:store", "mnt", "-o", "cache=c,ca=/ca", NULL), 0);
	assert_int_equal(options_absolute(&o, "/cwd"), 0);
	assert_string_equal(o.store, "/cwd/store");
	assert_string_equal(o.mountpoint, "/cwd/mnt");
	assert_string_equal(o.cache_dir, "/cwd/c");
	assert_string_equal(o.ca_file, "/ca");
	options_done(&o);

	assert_int_equal(parse(&o, &err, "https://h/p", "/mnt", NULL), 0);
	assert_int_equal(options_absolute(&o, "/cwd"), 0);
	assert_string_equal(o.store, "https://h/p");
	assert_null(options_store_path(o.store));
	options_done(&o);
}

static void assert_public(const char *store, const char *expected)
{
	char *shown = options_public_store(store);
	assert_string_equal(shown, expected);
	free(shown);
}

static void test_no_credentials_are_shown(void **state)
{
	(void)state;
	assert_public("/srv/a@b", "/srv/a@b");
	assert_public("https://h/p", "https://h/p");
	assert_public("https://me:secret@h:1/p@q", "https://h:1/p@q");
	assert_public("https://a@b@h", "https://h");
	assert_public("s3://bucket/prefix?key=secret", "s3://bucket/prefix");
	assert_public("https://h?x=/@y", "https://h");
}

static void test_the_deadline_stays_below_the_kernels(void **state)
{
	(void)state;
	/* not set */
	assert_int_equal(options_clamp_timeout(30, 0, 0), 30000);
	assert_int_equal(options_clamp_timeout(0, 0, 0), 0);
	/* the default applies, unless the maximum is lower */
	assert_int_equal(options_clamp_timeout(30, 20, 0), 16000);
	assert_int_equal(options_clamp_timeout(30, 0, 20), 16000);
	assert_int_equal(options_clamp_timeout(30, 60, 20), 16000);
	assert_int_equal(options_clamp_timeout(30, 20, 60), 16000);
	assert_int_equal(options_clamp_timeout(0, 60, 0), 48000);
	assert_int_equal(options_clamp_timeout(10, 60, 60), 10000);
	/* far away */
	assert_int_equal(options_clamp_timeout(30, UINT64_MAX, 0), 30000);
	assert_int_equal(options_clamp_timeout(UINT32_MAX / 1000, 0, 0), UINT32_MAX / 1000 * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_and_mountpoint_are_enough),
		cmocka_unit_test(test_flags_stand_anywhere),
		cmocka_unit_test(test_a_dash_dash_ends_the_flags),
		cmocka_unit_test(test_the_last_one_of_an_option_counts),
		cmocka_unit_test(test_what_mount_passes_is_ignored),
		cmocka_unit_test(test_what_is_for_the_kernel_is_kept),
		cmocka_unit_test(test_a_backslash_keeps_a_comma),
		cmocka_unit_test(test_a_bad_option_is_named),
		cmocka_unit_test(test_bad_usage_is_an_error),
		cmocka_unit_test(test_help_and_version_need_nothing_else),
		cmocka_unit_test(test_the_configuration_fills_what_is_open),
		cmocka_unit_test(test_without_a_configuration_there_are_defaults),
		cmocka_unit_test(test_a_bad_value_in_the_configuration_is_named),
		cmocka_unit_test(test_relative_paths_become_absolute),
		cmocka_unit_test(test_no_credentials_are_shown),
		cmocka_unit_test(test_the_deadline_stays_below_the_kernels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
