/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "error.h"

#define LOG_LINE_MAX 2048

static struct {
	const char *program;
	enum log_level max;
	enum { LOG_TO_STDERR, LOG_TO_JOURNAL, LOG_TO_SYSLOG } target;
} log_state = {.program = "smr", .max = LOG_LEVEL_INFO, .target = LOG_TO_STDERR};

static const int log_priority[] = {
	[LOG_LEVEL_ERROR] = LOG_ERR,
	[LOG_LEVEL_WARN] = LOG_WARNING,
	[LOG_LEVEL_INFO] = LOG_INFO,
	[LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

/* systemd.exec(5): JOURNAL_STREAM holds "device:inode" of the journal's socket, and a child whose
 * standard error was redirected inherits the variable, hence the comparison. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t dev, ino;
	struct stat st;
	return stream && sscanf(stream, "%ju:%ju", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && (uintmax_t)st.st_dev == dev &&
	       (uintmax_t)st.st_ino == ino;
}

void log_init(const char *program, enum log_level max)
{
	log_state.program = program;
	log_state.max = max;
	log_state.target = stderr_is_journal() ? LOG_TO_JOURNAL : LOG_TO_STDERR;
}

void log_to_syslog(void)
{
	openlog(log_state.program, LOG_PID, LOG_DAEMON);
	log_state.target = LOG_TO_SYSLOG;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	if (level > log_state.max)
		return;
	int saved_errno = errno;
	char line[LOG_LINE_MAX];
	int head = 0;
	if (log_state.target == LOG_TO_STDERR)
		head = snprintf(line, sizeof(line), "%.64s: ", log_state.program);
	else if (log_state.target == LOG_TO_JOURNAL)
		head = snprintf(line, sizeof(line), "<%d>", log_priority[level]);

	/* one byte is kept for the newline */
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line + head, sizeof(line) - 1 - (size_t)head, fmt, ap);
	va_end(ap);
	error_clean(line + head);

	if (log_state.target == LOG_TO_SYSLOG) {
		syslog(log_priority[level], "%s", line);
	} else {
		size_t len = strlen(line);
		line[len++] = '\n';
		/* nowhere to report a failure to */
		ssize_t n = write(STDERR_FILENO, line, len);
		(void)n;
	}
	errno = saved_errno;
}
