/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines of mains, commands and daemon loops, to standard error: "PROGRAM: message". When standard error
 * is the journal (JOURNAL_STREAM is set) lines carry a "<N>" priority in place of the program's name; after
 * log_to_syslog() they go to syslog(3). Libraries use log_debug only.
 *
 * Any thread may log; a line is one write(2). The level is the one mutable global of the project.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `program` must outlive the process. Default: "smr", LOG_LEVEL_INFO. Call before threads start. */
void log_init(const char *program, enum log_level max);
/* For a daemon that has closed standard error. */
void log_to_syslog(void);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
