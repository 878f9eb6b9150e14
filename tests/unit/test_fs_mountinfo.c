/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../fs/mountinfo.h"

#define TAIL " ro,nosuid,nodev - fuse.smrfs /srv/smr ro,user_id=0\n"

static void test_the_device_of_the_mount_is_found(void **state)
{
	(void)state;
	unsigned major = 9, minor = 9;
	assert_true(
		mountinfo_parse("36 35 0:47 / /var/lib/smr" TAIL, "/var/lib/smr", &major, &minor));
	assert_int_equal(major, 0);
	assert_int_equal(minor, 47);
	/* optional fields before the dash */
	assert_true(mountinfo_parse(
		"1 2 0:1234 / /m rw shared:1 master:2 - fuse.smrfs x rw", "/m", &major, &minor));
	assert_int_equal(minor, 1234);
}

static void test_octal_escapes_are_undone(void **state)
{
	(void)state;
	unsigned major, minor;
	assert_true(mountinfo_parse(
		"36 35 0:47 / /a\\040b\\134\\011" TAIL, "/a b\\\t", &major, &minor));
	assert_true(mountinfo_parse("36 35 0:47 /x\\040y /a" TAIL, "/a", &major, &minor));
	assert_false(mountinfo_parse("36 35 0:47 / /a\\040b" TAIL, "/a\\040b", &major, &minor));
	assert_false(mountinfo_parse("36 35 0:47 / /a\\04", "/a\\04", &major, &minor));
}

static void test_other_mounts_are_not_taken(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"36 35 0:47 / /var/lib" TAIL,
		"36 35 0:47 / /var/lib/smr2" TAIL,
		"36 35 0:47 /var/lib/smr /" TAIL,
		"36 35 0:47 / /var/lib/smr ro - fuse.sshfs /srv/smr ro\n",
		"36 35 0:47 / /var/lib/smr ro - ext4 /dev/sda1 ro\n",
		"36 35 0:47 /",
		"36 35 47 / /var/lib/smr" TAIL,
		"nonsense",
		"",
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		unsigned major = 7, minor = 7;
		assert_false(mountinfo_parse(lines[i], "/var/lib/smr", &major, &minor));
		assert_int_equal(major + minor, 14);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_device_of_the_mount_is_found),
		cmocka_unit_test(test_octal_escapes_are_undone),
		cmocka_unit_test(test_other_mounts_are_not_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
