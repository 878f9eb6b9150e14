/* SPDX-License-Identifier: BSD-3-Clause */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *code_text(int code)
{
	/* Unlike strerror, not a buffer that another thread overwrites. */
	const char *text = strerrordesc_np(-code);
	return text ? text : "Unknown error";
}

/* Cuts a UTF-8 sequence that truncation left incomplete at the end. */
static void cut_partial_sequence(char *s, size_t len)
{
	size_t back = 1;
	while (back <= 3 && back < len && ((unsigned char)s[len - back] & 0xc0) == 0x80)
		back++;
	if (back > len)
		return;
	unsigned char lead = (unsigned char)s[len - back];
	size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (need > back)
		s[len - back] = '\0';
}

void error_clean(char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < 0x20 || c == 0x7f)
			*s = '?';
		/* U+0080..U+009F: the terminal controls that hide in two bytes */
		if (c == 0xc2 && ((unsigned char)s[1] & 0xe0) == 0x80) {
			*s++ = '?';
			*s = '?';
		}
	}
}

/* The arguments may point into err->message, so it is written last. */
static void store_message(struct smr_error *err, char *text, int wanted)
{
	if (wanted >= ERROR_MESSAGE_MAX)
		cut_partial_sequence(text, strlen(text));
	error_clean(text);
	memcpy(err->message, text, strlen(text) + 1);
}

int error_set(struct smr_error *err, int code, const char *fmt, ...)
{
	if (!err)
		return code;
	char text[ERROR_MESSAGE_MAX] = "";
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	store_message(err, text, n);
	return code;
}

/* Formats into `text` and puts ": " and `tail` behind; what does not fit is cut. */
static int __attribute__((format(printf, 3, 0)))
format_before(char text[ERROR_MESSAGE_MAX], const char *tail, const char *fmt, va_list ap)
{
	int n = vsnprintf(text, ERROR_MESSAGE_MAX, fmt, ap);
	if (n < 0 || n >= ERROR_MESSAGE_MAX)
		return n;
	return n + snprintf(text + n, ERROR_MESSAGE_MAX - (size_t)n, ": %s", tail);
}

int error_set_errno(struct smr_error *err, int code, const char *fmt, ...)
{
	if (!err)
		return code;
	char text[ERROR_MESSAGE_MAX] = "";
	va_list ap;
	va_start(ap, fmt);
	int n = format_before(text, code_text(code), fmt, ap);
	va_end(ap);
	store_message(err, text, n);
	return code;
}

int error_wrap(struct smr_error *err, int code, const char *fmt, ...)
{
	if (!err)
		return code;
	char text[ERROR_MESSAGE_MAX] = "";
	va_list ap;
	va_start(ap, fmt);
	int n = format_before(text, error_text(err, code), fmt, ap);
	va_end(ap);
	store_message(err, text, n);
	return code;
}

const char *error_text(const struct smr_error *err, int code)
{
	return err && err->message[0] ? err->message : code_text(code);
}
