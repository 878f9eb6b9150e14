/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of a verb as a const table: parsed by getopt_long(3), shown by --help. The options that
 * all verbs have (-s, -q,
 * --json, --insecure, --help) are added here, so that they mean the same everywhere and may stand
 * on either side of the verb.
 */
#ifndef CMD_ARGS_H
#define CMD_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd.h"

enum args_type {
	ARGS_TYPE_FLAG,   /* bool */
	ARGS_TYPE_STRING, /* const char *, into argv */
	ARGS_TYPE_SIZE,   /* uint64_t, bytes: "512K" */
	ARGS_TYPE_UINT,   /* uint64_t in [min, max] */
};

struct args_option {
	const char *name; /* long form, without dashes; NULL ends the table */
	char letter;      /* short form, or 0 */
	enum args_type type;
	size_t offset;       /* of the value in the verb's struct of values */
	const char *metavar; /* NULL for flags */
	const char *help;
	uint64_t min, max; /* ARGS_TYPE_UINT */
};

/* Entries of such a table: long form, short form or 0, the struct of values and its member, ... */
#define ARGS_FLAG(n, l, values, member, h)                      \
	{                                                       \
		.name = n, .letter = l, .type = ARGS_TYPE_FLAG, \
		.offset = offsetof(values, member), .help = h   \
	}
#define ARGS_VALUE(t, n, l, values, member, m, h)                                            \
	.name = n, .letter = l, .type = t, .offset = offsetof(values, member), .metavar = m, \
	.help = h
#define ARGS_STRING(...)                                  \
	{                                                 \
		ARGS_VALUE(ARGS_TYPE_STRING, __VA_ARGS__) \
	}
#define ARGS_SIZE(...)                                  \
	{                                               \
		ARGS_VALUE(ARGS_TYPE_SIZE, __VA_ARGS__) \
	}
#define ARGS_UINT(lo, hi, ...)                                                \
	{                                                                     \
		ARGS_VALUE(ARGS_TYPE_UINT, __VA_ARGS__), .min = lo, .max = hi \
	}
#define ARGS_END             \
	{                    \
		.name = NULL \
	}

#define ARGS_RUN (-1) /* go on; anything else is the exit code */

struct args {
	char **operand; /* into argv */
	int n_operands;
};

/* Parses the verb's argv, permuting it. Values go to `values`, the common ones to `c`; needs [min,
 * max] operands. ARGS_RUN, or the exit code after help (0) or a message (CMD_USAGE). */
int args_parse(
	struct cmd *c, int argc, char **argv, void *values, int min, int max, struct args *ret);

/* The common options in front of the verb; *ret_next is the index of the verb in argv. Sets c->help
 * and c->show_version and leaves acting on them to the caller. ARGS_RUN or CMD_USAGE. */
int args_parse_common(struct cmd *c, int argc, char **argv, int *ret_next);

/* "smr: message" and where to find help. Returns CMD_USAGE. */
int args_usage(const struct cmd *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the help of the verb. */
void args_help(const struct cmd *c);
/* Prints the lines about the common options and what they default to here. */
void args_help_common(const struct cmd *c);

#endif
