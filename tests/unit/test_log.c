/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../chunker/core/log.h"

static int real_stderr;
static int capture;

/* Standard error is a memfd from here to captured(). */
static int setup(void **state)
{
	(void)state;
	real_stderr = dup(STDERR_FILENO);
	capture = memfd_create("stderr", MFD_CLOEXEC);
	return dup2(capture, STDERR_FILENO) < 0;
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	return close(capture);
}

static const char *captured(void)
{
	static char text[8192];
	ssize_t n = pread(capture, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_a_line_names_the_program(void **state)
{
	(void)state;
	log_init("prog", LOG_LEVEL_INFO);
	log_error("image %d", 7);
	log_info("fine");
	assert_string_equal(captured(), "prog: image 7\nprog: fine\n");
}

static void test_levels_above_the_maximum_are_silent(void **state)
{
	(void)state;
	log_init("prog", LOG_LEVEL_WARN);
	log_info("no");
	log_debug("no");
	log_warn("yes");
	assert_string_equal(captured(), "prog: yes\n");
}

static void test_the_journal_gets_priorities(void **state)
{
	(void)state;
	struct stat st;
	char stream[64];
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("prog", LOG_LEVEL_DEBUG);
	log_error("a");
	log_warn("b");
	log_info("c");
	log_debug("d");
	assert_string_equal(captured(), "<3>a\n<4>b\n<6>c\n<7>d\n");
}

static void test_an_inherited_journal_stream_of_another_file_is_not_believed(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "1:2", 1);
	log_init("prog", LOG_LEVEL_INFO);
	log_error("a");
	setenv("JOURNAL_STREAM", "junk", 1);
	log_init("prog", LOG_LEVEL_INFO);
	log_error("b");
	assert_string_equal(captured(), "prog: a\nprog: b\n");
}

static void test_a_message_stays_one_line(void **state)
{
	(void)state;
	log_init("prog", LOG_LEVEL_INFO);
	log_info("two\nlines");
	assert_string_equal(captured(), "prog: two?lines\n");
}

static void test_a_long_message_is_cut_and_still_ends_its_line(void **state)
{
	(void)state;
	char text[6000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_init("prog", LOG_LEVEL_INFO);
	log_info("%s", text);
	log_info("next");
	const char *line = captured();
	const char *end = strchr(line, '\n');
	assert_non_null(end);
	assert_true(end - line > 1000);
	assert_string_equal(end, "\nprog: next\n");
}

static void test_errno_survives(void **state)
{
	(void)state;
	log_init("prog", LOG_LEVEL_INFO);
	int closed = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	errno = ERANGE;
	log_error("to nobody");
	int after = errno;
	dup2(closed, STDERR_FILENO);
	close(closed);
	assert_int_equal(after, ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_line_names_the_program, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_levels_above_the_maximum_are_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_journal_gets_priorities, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_inherited_journal_stream_of_another_file_is_not_believed, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_a_message_stays_one_line, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_long_message_is_cut_and_still_ends_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errno_survives, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
