/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../chunker/core/error.h"

static void test_set_returns_its_code_with_and_without_an_error(void **state)
{
	(void)state;
	struct smr_error err = {0};
	assert_int_equal(error_set(&err, -EBADMSG, "chunk %d is bad", 7), -EBADMSG);
	assert_string_equal(err.message, "chunk 7 is bad");
	assert_int_equal(error_set(NULL, -EBADMSG, "chunk %d is bad", 7), -EBADMSG);
	assert_int_equal(error_set_errno(NULL, -EIO, "x"), -EIO);
	assert_int_equal(error_wrap(NULL, -EIO, "x"), -EIO);
}

static void test_set_errno_appends_the_text_of_the_code(void **state)
{
	(void)state;
	struct smr_error err = {0};
	assert_int_equal(error_set_errno(&err, -ENOENT, "%s", "/etc/x"), -ENOENT);
	assert_string_equal(err.message, "/etc/x: No such file or directory");
}

static void test_wrap_puts_context_in_front(void **state)
{
	(void)state;
	struct smr_error err = {0};
	error_set(&err, -EIO, "disk on fire");
	assert_int_equal(error_wrap(&err, -EIO, "image %s", "x"), -EIO);
	assert_string_equal(err.message, "image x: disk on fire");
}

static void test_wrap_of_no_message_shows_the_code(void **state)
{
	(void)state;
	struct smr_error err = {0};
	error_wrap(&err, -EACCES, "store");
	assert_string_equal(err.message, "store: Permission denied");
}

static void test_the_message_itself_may_be_an_argument(void **state)
{
	(void)state;
	struct smr_error err = {0};
	error_set(&err, -EIO, "inner");
	error_set(&err, -EIO, "outer (%s)", err.message);
	assert_string_equal(err.message, "outer (inner)");
}

static void test_text_is_never_null(void **state)
{
	(void)state;
	struct smr_error err = {0};
	assert_string_equal(error_text(NULL, -ENOMEM), "Cannot allocate memory");
	assert_string_equal(error_text(&err, -ENOMEM), "Cannot allocate memory");
	assert_string_equal(error_text(&err, -99999), "Unknown error");
	error_set(&err, -ENOMEM, "said");
	assert_string_equal(error_text(&err, -ENOMEM), "said");
}

static void test_control_characters_become_question_marks(void **state)
{
	(void)state;
	struct smr_error err = {0};
	error_set(&err, -EIO, "a\nb\x1b[31mc\x7f");
	assert_string_equal(err.message, "a?b?[31mc?");
	/* U+009B, the one-character CSI, against the letters next to it */
	error_set(&err, -EIO,
		"\xc2\x9b"
		"31m \xc2\xa0\xc3\xa9");
	assert_string_equal(err.message, "??31m \xc2\xa0\xc3\xa9");
	error_set(&err, -EIO, "\xc2");
	assert_string_equal(err.message, "\xc2");
}

static void test_long_messages_are_cut_between_characters(void **state)
{
	(void)state;
	char text[ERROR_MESSAGE_MAX * 2];
	for (size_t head = 0; head < 4; head++) {
		struct smr_error err = {0};
		memset(text, 'x', sizeof(text));
		size_t at = ERROR_MESSAGE_MAX - 1 - head;
		memcpy(text + at, "\xf0\x9f\x98\x80", 4); /* the cut is inside, or right before */
		text[sizeof(text) - 1] = '\0';
		error_set(&err, -EIO, "%s", text);
		assert_int_equal(strlen(err.message), at);
		assert_int_equal(err.message[at - 1], 'x');
	}
	struct smr_error err = {0};
	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	error_set(&err, -EIO, "inner");
	error_wrap(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_returns_its_code_with_and_without_an_error),
		cmocka_unit_test(test_set_errno_appends_the_text_of_the_code),
		cmocka_unit_test(test_wrap_puts_context_in_front),
		cmocka_unit_test(test_wrap_of_no_message_shows_the_code),
		cmocka_unit_test(test_the_message_itself_may_be_an_argument),
		cmocka_unit_test(test_text_is_never_null),
		cmocka_unit_test(test_control_characters_become_question_marks),
		cmocka_unit_test(test_long_messages_are_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
