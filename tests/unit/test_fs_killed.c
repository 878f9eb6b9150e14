/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../fs/killed.h"

#define STATUS(pending, shared)                                                          \
	"Name:\tdd\nUmask:\t0022\nSigQ:\t1/7000\nSigPnd:\t" pending "\nShdPnd:\t" shared \
	"\nSigBlk:\tffffffffffffffff\nSigIgn:\tffffffffffffffff\nSigCgt:\tffffffffffffffff\n"

static void test_a_pending_kill_is_seen(void **state)
{
	(void)state;
	assert_true(killed_parse(STATUS("0000000000000100", "0000000000000000")));
	assert_true(killed_parse(STATUS("0000000000000102", "0000000000004000")));
	assert_true(killed_parse(STATUS("ffffffffffffffff", "0000000000000000")));
}

static void test_other_signals_are_none(void **state)
{
	(void)state;
	assert_false(killed_parse(STATUS("0000000000000000", "0000000000000000")));
	/* SIGINT, SIGTERM, SIGUSR1 that the process handles; pending for another thread of it */
	assert_false(killed_parse(STATUS("0000000000004202", "0000000000000000")));
	assert_false(killed_parse(STATUS("0000000000000000", "0000000000000100")));
}

static void test_what_cannot_be_read_is_not_killed(void **state)
{
	(void)state;
	assert_false(killed_parse(""));
	assert_false(killed_parse("SigPnd:\t0000000000000100\n"));
	assert_false(killed_parse("Name:\tx\nSigPnd:"));
	assert_false(killed_pending(0));
	assert_false(killed_pending(-1));
	assert_false(killed_pending(getpid()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pending_kill_is_seen),
		cmocka_unit_test(test_other_signals_are_none),
		cmocka_unit_test(test_what_cannot_be_read_is_not_killed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
