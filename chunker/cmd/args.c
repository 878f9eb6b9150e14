/* SPDX-License-Identifier: BSD-3-Clause */
#include "args.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../core/log.h"
#include "../core/units.h"

#define OPTIONS_MAX 24
/* What getopt_long returns for a long option: its index in the combined table. Above every letter.
 */
#define LONG_BASE 256

static const struct args_option common[] = {
	ARGS_STRING(
		"store", 's', struct cmd, store_url, "STORE", "the store: a directory, or a URL"),
	ARGS_FLAG("json", 0, struct cmd, json, "write JSON to standard output"),
	ARGS_FLAG("quiet", 'q', struct cmd, quiet,
		"no progress, no summary; only results and errors"),
	ARGS_FLAG("insecure", 0, struct cmd, insecure,
		"allow plain http to a host that is not loopback"),
	ARGS_FLAG("help", 'h', struct cmd, help, "show this help"),
	ARGS_END,
};

static const struct args_option version_option =
	ARGS_FLAG("version", 'V', struct cmd, show_version, "show the version");

/* Both tables as getopt wants them. */
struct combined {
	const struct args_option *option[OPTIONS_MAX];
	bool is_common[OPTIONS_MAX];
	int n;
	struct option longs[OPTIONS_MAX + 1];
	char shorts[3 + 2 * OPTIONS_MAX];
};

static void combine_one(struct combined *t, const struct args_option *o, bool is_common)
{
	t->option[t->n] = o;
	t->is_common[t->n] = is_common;
	t->longs[t->n] = (struct option){.name = o->name,
		.has_arg = o->type == ARGS_TYPE_FLAG ? no_argument : required_argument,
		.val = LONG_BASE + t->n};
	t->n++;
	if (o->letter) {
		char letter[3] = {o->letter, o->type == ARGS_TYPE_FLAG ? '\0' : ':', '\0'};
		strcat(t->shorts, letter);
	}
}

static void combine(struct combined *t, const struct args_option *own, bool in_front)
{
	*t = (struct combined){0};
	/* '+' stops at the verb; ':' tells a missing argument from an unknown option. */
	strcpy(t->shorts, in_front ? "+:" : ":");
	for (; own && own->name; own++)
		combine_one(t, own, false);
	for (const struct args_option *o = common; o->name; o++)
		combine_one(t, o, true);
	if (in_front)
		combine_one(t, &version_option, true);
}

static int find(const struct combined *t, int val)
{
	if (val >= LONG_BASE)
		return val - LONG_BASE;
	for (int i = 0; i < t->n; i++)
		if (t->option[i]->letter == val)
			return i;
	return -1;
}

static int store_value(
	const struct cmd *c, const struct args_option *o, void *values, const char *text)
{
	char *at = (char *)values + o->offset;
	int r = 0;

	switch (o->type) {
	case ARGS_TYPE_FLAG:
		*(bool *)at = true;
		break;
	case ARGS_TYPE_STRING:
		*(const char **)at = text;
		break;
	case ARGS_TYPE_SIZE:
		r = units_parse_size(text, (uint64_t *)at);
		if (r < 0)
			return args_usage(c, "--%s: '%s' is not a size (such as 4096, 512K, 10G)",
				o->name, text);
		break;
	case ARGS_TYPE_UINT:
		r = units_parse_uint(text, o->min, o->max, (uint64_t *)at);
		if (r < 0)
			return args_usage(c, "--%s: '%s' is not a number from %llu to %llu",
				o->name, text, (unsigned long long)o->min,
				(unsigned long long)o->max);
		break;
	}
	return ARGS_RUN;
}

static int bad_option(const struct cmd *c, const struct combined *t, int val, char **argv)
{
	int i = val == ':' ? find(t, optopt) : -1;
	if (i >= 0)
		return args_usage(
			c, "--%s needs a value: %s", t->option[i]->name, t->option[i]->metavar);
	if (optopt && optopt < LONG_BASE)
		return args_usage(c, "unknown option -%c", optopt);
	return args_usage(c, "%s: no such option, or not of this form", argv[optind - 1]);
}

static int parse(struct cmd *c, const struct combined *t, int argc, char **argv, void *values)
{
	optind = 0; /* glibc: start anew, with a fresh look at the first character of shorts */
	opterr = 0;
	int val, r = ARGS_RUN;
	while (r == ARGS_RUN && (val = getopt_long(argc, argv, t->shorts, t->longs, NULL)) != -1) {
		if (val == '?' || val == ':')
			return bad_option(c, t, val, argv);
		int i = find(t, val);
		r = store_value(c, t->option[i], t->is_common[i] ? c : values, optarg);
	}
	return r;
}

int args_parse_common(struct cmd *c, int argc, char **argv, int *ret_next)
{
	struct combined t;
	combine(&t, NULL, true);
	int r = parse(c, &t, argc, argv, NULL);
	if (r == ARGS_RUN)
		*ret_next = optind;
	return r;
}

int args_parse(
	struct cmd *c, int argc, char **argv, void *values, int min, int max, struct args *ret)
{
	struct combined t;
	combine(&t, c->verb->options, false);
	int r = parse(c, &t, argc, argv, values);
	if (r != ARGS_RUN)
		return r;
	if (c->help) {
		args_help(c);
		return 0;
	}
	if (!c->store_url && !c->verb->no_store)
		return args_usage(c, "no store is given: use -s STORE, set SMR_STORE, or put "
				     "`store = STORE` into /etc/smr.conf");
	int n = argc - optind;
	if (n < min)
		return args_usage(c, "%s is missing", c->verb->operands);
	if (n > max)
		return args_usage(c, "unexpected '%s'", argv[optind + max]);
	ret->operand = argv + optind;
	ret->n_operands = n;
	return ARGS_RUN;
}

int args_usage(const struct cmd *c, const char *fmt, ...)
{
	char message[ERROR_MESSAGE_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	log_error("%s (see `smr%s%s --help`)", message, c->verb ? " " : "",
		c->verb ? c->verb->name : "");
	return CMD_USAGE;
}

static void help_option(const struct args_option *o)
{
	char left[48];
	char letter[] = "    ";
	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->metavar ? " " : "",
		o->metavar ? o->metavar : "");
	printf("  %-24s  %s\n", left, o->help);
}

void args_help_common(const struct cmd *c)
{
	for (const struct args_option *o = common; o->name; o++)
		help_option(o);
	if (!c->verb)
		help_option(&version_option);
}

void args_help(const struct cmd *c)
{
	const struct cmd_verb *v = c->verb;
	const char *store = c->store_url ? c->store_url : "/srv/smr";

	printf("usage: smr %s%s [OPTION...]%s%s\n\n%s.\n\n", v->no_store ? "" : "[-s STORE] ",
		v->name, *v->operands ? " " : "", v->operands, v->summary);
	for (const struct args_option *o = v->options; o && o->name; o++)
		help_option(o);
	args_help_common(c);
	if (v->no_store) {
		printf("\nexample:\n  smr %s\n", v->example);
		return;
	}
	printf("\nexample:\n  smr -s %s %s\n", store, v->example);
	printf("\ndefaults here:\n  %-10s  %s\n", "store",
		c->store_url ? c->store_url : "none: needs -s, SMR_STORE or /etc/smr.conf");
	if (v->defaults)
		v->defaults(c);
}
