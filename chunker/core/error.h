/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The message beside an errno. A fallible function returns 0 or a negative errno and, when its caller passed
 * a struct smr_error, leaves there one line for a person: what happened, on what object, what to do.
 *
 * Owned by the caller, usually on the stack: `struct smr_error err = {0};`. NULL is allowed everywhere.
 * Not shared between threads.
 */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#define ERROR_MESSAGE_MAX 512

struct smr_error {
	char message[ERROR_MESSAGE_MAX]; /* "" when nothing was said */
};

/* Sets the message (truncated to fit, control characters replaced by '?') and returns `code`, so that
 * `return error_set(err, -EBADMSG, "...")` is one statement. `code` is a negative errno. */
int error_set(struct smr_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set, with ": " and the text of `code` (strerror) appended. */
int error_set_errno(struct smr_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts context and ": " in front of the message; returns `code` unchanged. */
int error_wrap(struct smr_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The message, or the text of `code` where none was set. Never NULL; valid as long as `err`. */
const char *error_text(const struct smr_error *err, int code);

/* Replaces control characters by '?', in place: text from outside must not steer a person's terminal. */
void error_clean(char *s);

#endif
