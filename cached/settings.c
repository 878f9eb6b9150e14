/* SPDX-License-Identifier: BSD-3-Clause */
#include "settings.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/units.h"

#define ALL      (SETTINGS_SERVE | COMMANDS)
#define COMMANDS (SETTINGS_STATUS | SETTINGS_UNPIN | SETTINGS_SCRUB | WITH_STORE)
/* commands that look an image up in a store */
#define WITH_STORE (SETTINGS_PIN | SETTINGS_HYDRATE)

enum rule_kind {
	RULE_FLAG,  /* bool */
	RULE_TEXT,  /* const char *, into argv */
	RULE_SIZE,  /* uint64_t, > 0 */
	RULE_BYTES, /* uint64_t, 0 as well */
	RULE_STORE, /* adds to `stores` */
};

static const struct rule {
	const char *name;
	char letter;
	enum rule_kind kind;
	size_t offset;
	unsigned verbs;
	const char *metavar, *help;
} rules[] = {
	{"cache", 0, RULE_TEXT, offsetof(struct settings, cache_arg), ALL, "DIR",
		"the cache's directory"},
	{"socket", 0, RULE_TEXT, offsetof(struct settings, socket_arg), ALL, "PATH",
		"where it is asked"},
	{"size", 0, RULE_SIZE, offsetof(struct settings, size), SETTINGS_SERVE, "BYTES",
		"how much of the disk chunks may take: 20G"},
	{"min-free", 0, RULE_BYTES, offsetof(struct settings, min_free), SETTINGS_SERVE, "BYTES",
		"how much of the disk to leave free for others"},
	{"store", 0, RULE_STORE, 0, SETTINGS_SERVE, "NAME=URL",
		"a store for users who may not name one by its URL; again for more"},
	{"store", 's', RULE_TEXT, offsetof(struct settings, store_arg), WITH_STORE, "STORE",
		"the store that has the image: a URL, a directory or a name"},
	{"insecure", 0, RULE_FLAG, offsetof(struct settings, insecure), SETTINGS_SERVE | WITH_STORE,
		NULL, "take plain http from other machines"},
	{"ca", 0, RULE_TEXT, offsetof(struct settings, ca_file), SETTINGS_SERVE | WITH_STORE,
		"FILE", "certificates (PEM) to trust in place of the system's"},
	{"json", 0, RULE_FLAG, offsetof(struct settings, json), SETTINGS_STATUS, NULL,
		"as JSON, with exact numbers"},
	{"prometheus", 0, RULE_FLAG, offsetof(struct settings, prometheus), SETTINGS_STATUS, NULL,
		"as Prometheus scrapes it"},
	{"wait", 0, RULE_FLAG, offsetof(struct settings, wait), SETTINGS_HYDRATE | SETTINGS_SCRUB,
		NULL, "return when it is done, not when it has begun"},
	{"foreground", 'f', RULE_FLAG, offsetof(struct settings, foreground), SETTINGS_SERVE, NULL,
		"stay in the foreground; it always does"},
	{"debug", 'd', RULE_FLAG, offsetof(struct settings, debug), SETTINGS_SERVE, NULL,
		"log more"},
	{"quiet", 'q', RULE_FLAG, offsetof(struct settings, quiet), COMMANDS & ~SETTINGS_STATUS,
		NULL, "say nothing but errors"},
	{"help", 'h', RULE_FLAG, offsetof(struct settings, help), ALL, NULL, "show this"},
	{"version", 'V', RULE_FLAG, offsetof(struct settings, version), SETTINGS_SERVE, NULL,
		"show the version"},
};

#define N_RULES (sizeof(rules) / sizeof(rules[0]))

static const struct verb {
	const char *name;
	enum settings_verb verb;
	bool takes_image;
	const char *summary, *example;
} verbs[] = {
	{"status", SETTINGS_STATUS, false,
		"Show what the cache holds, how it is used, and what is wrong", "status"},
	{"pin", SETTINGS_PIN, true,
		"Keep the image's chunks whatever else is read; nothing is fetched",
		"pin debian_12"},
	{"unpin", SETTINGS_UNPIN, true, "Let the image's chunks be evicted again",
		"unpin debian_12"},
	{"hydrate", SETTINGS_HYDRATE, true,
		"Fetch what is missing of an image, so that it can be read without its store",
		"hydrate --wait debian_12"},
	{"scrub", SETTINGS_SCRUB, false, "Check every chunk on disk; damaged ones are removed",
		"scrub --wait"},
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

const char *settings_verb_name(enum settings_verb verb)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (verbs[i].verb == verb)
			return verbs[i].name;
	return "";
}

/* ---- parsing ---- */

static int add_store(struct settings *s, const char *text, struct smr_error *err)
{
	const char *equals = strchr(text, '=');
	struct settings_store *to = &s->stores[s->n_stores];
	size_t n = equals ? (size_t)(equals - text) : 0;

	if (s->n_stores == SETTINGS_STORES_MAX)
		return error_set(err, -EINVAL, "at most %u stores", SETTINGS_STORES_MAX);
	if (n > 0 && n <= NAME_LEN_MAX) {
		memcpy(to->name, text, n);
		to->name[n] = '\0';
	}
	if (!name_valid(to->name) || equals[1] == '\0')
		return error_set(err, -EINVAL,
			"--store %.200s: not NAME=URL, as in main=https://images.example.org/smr",
			text);
	for (unsigned i = 0; i < s->n_stores; i++)
		if (strcmp(s->stores[i].name, to->name) == 0)
			return error_set(err, -EINVAL, "two stores are called %s", to->name);
	to->url = strdup(equals + 1);
	if (!to->url)
		return -ENOMEM;
	s->n_stores++;
	return 0;
}

static int apply(
	const struct rule *rule, const char *value, struct settings *s, struct smr_error *err)
{
	void *field = (char *)s + rule->offset;
	char name[24];

	snprintf(name, sizeof(name), "--%s", rule->name);
	if (value && value[0] == '\0')
		return error_set(err, -EINVAL, "%s needs a value", name);
	switch (rule->kind) {
	case RULE_FLAG:
		*(bool *)field = true;
		return 0;
	case RULE_TEXT:
		*(const char **)field = value;
		return 0;
	case RULE_SIZE:
	case RULE_BYTES:
		return settings_parse_size(name, value, rule->kind == RULE_BYTES, field, err);
	case RULE_STORE:
		return add_store(s, value, err);
	}
	return -EINVAL;
}

/* What getopt is told; an option's number is its rule's, from 256. */
struct table {
	char shorts[2 + 2 * N_RULES + 1];
	struct option longs[N_RULES + 1];
};

/* Of those that a verb has, or that any has: of two of one name, the verb's. */
static void fill_table(struct table *t, unsigned wanted, bool stop_at_operand)
{
	size_t n = 0, k = 0;

	memset(t, 0, sizeof(*t));
	if (stop_at_operand)
		t->shorts[k++] = '+';
	t->shorts[k++] = ':';
	for (size_t i = 0; i < N_RULES; i++) {
		const struct rule *rule = &rules[i];

		if (!(rule->verbs & wanted))
			continue;
		t->longs[n++] = (struct option){.name = rule->name,
			.has_arg = rule->kind == RULE_FLAG ? no_argument : required_argument,
			.val = 256 + (int)i};
		if (!rule->letter)
			continue;
		t->shorts[k++] = rule->letter;
		if (rule->kind != RULE_FLAG)
			t->shorts[k++] = ':';
	}
}

static const struct rule *find_rule(int val, unsigned wanted)
{
	if (val >= 256)
		return &rules[val - 256];
	for (size_t i = 0; i < N_RULES; i++)
		if (rules[i].letter == val && (rules[i].verbs & wanted))
			return &rules[i];
	return NULL;
}

static int bad_option(int val, char **argv, struct smr_error *err)
{
	if (val == ':')
		return error_set(err, -EINVAL, "%.100s needs a value", argv[optind - 1]);
	if (optopt && optopt < 256)
		return error_set(err, -EINVAL, "there is no option -%c here", optopt);
	return error_set(err, -EINVAL, "there is no option %.100s here", argv[optind - 1]);
}

/* Options up to the end, or to the first operand; optind is there then. */
static int parse_options(int argc, char **argv, unsigned wanted, bool stop, struct settings *s,
	struct smr_error *err)
{
	struct table t;
	int val, r = 0;

	fill_table(&t, wanted, stop);
	optind = 0; /* a fresh scan */
	opterr = 0;
	while (r == 0 && (val = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		const struct rule *rule = val == '?' || val == ':' ? NULL : find_rule(val, wanted);

		r = rule ? apply(rule, optarg, s, err) : bad_option(val, argv, err);
	}
	return r;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int parse_verb(
	int argc, char **argv, const struct verb *v, struct settings *s, struct smr_error *err)
{
	int r = parse_options(argc, argv, v->verb, false, s, err);
	int n = argc - optind;

	if (r < 0 || s->help)
		return r;
	if (n < v->takes_image)
		return error_set(err, -EINVAL, "which image?");
	if (n > v->takes_image)
		return error_set(
			err, -EINVAL, "unexpected '%.100s'", argv[optind + v->takes_image]);
	if (s->json && s->prometheus)
		return error_set(err, -EINVAL, "--json or --prometheus, not both");
	s->image = v->takes_image ? argv[optind] : NULL;
	if (s->image && !name_valid(s->image))
		return error_set(err, -EINVAL, "\"%.100s\" is not an image name", s->image);
	return 0;
}

/* The first word that is a command decides whose options are meant, also those before it. */
static const struct verb *look_ahead(int argc, char **argv)
{
	struct table t;
	int val;

	/* A value of its own every option of several verbs has in all of them, so the first table does. */
	fill_table(&t, ALL, true);
	optind = 0;
	opterr = 0;
	while ((val = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1)
		;
	return optind < argc ? find_verb(argv[optind]) : NULL;
}

int settings_parse(int argc, char **argv, struct settings *ret, struct smr_error *err)
{
	const struct verb *v = look_ahead(argc, argv);
	int r;

	*ret = (struct settings){
		.verb = v ? v->verb : SETTINGS_SERVE, .size = UINT64_MAX, .min_free = UINT64_MAX};
	r = parse_options(argc, argv, ret->verb, true, ret, err);
	if (r < 0 || (!v && (ret->help || ret->version)))
		return r;
	if (v)
		return parse_verb(argc - optind, argv + optind, v, ret, err);
	if (optind < argc)
		return error_set(err, -EINVAL, "there is no command '%.100s'", argv[optind]);
	return 0;
}

void settings_done(struct settings *s)
{
	for (unsigned i = 0; i < s->n_stores; i++)
		free(s->stores[i].url);
	s->n_stores = 0;
}

/* ---- help ---- */

static void help_options(unsigned verb)
{
	for (size_t i = 0; i < N_RULES; i++) {
		const struct rule *o = &rules[i];
		char left[48], letter[] = "    ";

		if (!(o->verbs & verb))
			continue;
		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->metavar ? " " : "",
			o->metavar ? o->metavar : "");
		printf("  %-22s  %s\n", left, o->help);
	}
}

static void help_defaults(const struct settings *s)
{
	char size[UNITS_TEXT_MAX], free_size[UNITS_TEXT_MAX];

	printf("\ndefaults here:\n  cache     %s\n  socket    %s\n",
		s->cache_dir[0] ? s->cache_dir : "(none: HOME is not set)", s->socket);
	if (s->verb == SETTINGS_SERVE)
		printf("  size      %s\n  min-free  %s\n", units_format_size(s->size, size),
			units_format_size(s->min_free, free_size));
	if (s->verb & WITH_STORE)
		printf("  store     %s\n", s->store);
	for (unsigned i = 0; i < s->n_stores; i++)
		printf("%s%s=%s\n", i == 0 ? "  store     " : "            ", s->stores[i].name,
			s->stores[i].url ? s->stores[i].url : "");
}

static void help_daemon(void)
{
	printf("usage: smr-cached [OPTION...]\n"
	       "       smr-cached COMMAND [OPTION...] [NAME]\n\n"
	       "One chunk cache for all of this machine: whatever mounts images asks it, and each "
	       "chunk is\n"
	       "fetched, checked and kept once. Without a command, this is the daemon, in the "
	       "foreground.\n\n"
	       "commands:\n");
	for (size_t i = 0; i < N_VERBS; i++) {
		char left[24];

		snprintf(left, sizeof(left), "%s%s", verbs[i].name,
			verbs[i].takes_image ? " NAME" : "");
		printf("  %-12s  %s\n", left, verbs[i].summary);
	}
	printf("\noptions of the daemon:\n");
	help_options(SETTINGS_SERVE);
	printf("\nexample:\n"
	       "  smr-cached --store main=https://images.example.org/smr &\n"
	       "  smrfs https://images.example.org/smr /var/lib/smr\n"
	       "  smr-cached status\n");
}

void settings_help(const struct settings *s)
{
	if (s->verb == SETTINGS_SERVE)
		help_daemon();
	for (size_t i = 0; i < N_VERBS; i++) {
		const struct verb *v = &verbs[i];

		if (v->verb != s->verb)
			continue;
		printf("usage: smr-cached %s [OPTION...]%s\n\n%s.\n\n", v->name,
			v->takes_image ? " NAME" : "", v->summary);
		help_options(v->verb);
		printf("\nexample:\n  smr-cached %s\n", v->example);
	}
	help_defaults(s);
}
