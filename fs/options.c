/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../chunker/core/cleanup.h"
#include "../chunker/core/units.h"

#define TIMEOUT_MAX (UINT32_MAX / 1000) /* seconds: milliseconds must fit in 32 bits */

enum rule_kind {
	RULE_IGNORE,  /* for mount(8), or how it is anyway */
	RULE_KERNEL,  /* handed to mount(2) as it is */
	RULE_REFUSE,  /* known, impossible; `field` is unused, `why` says it */
	RULE_SWITCH,  /* bool, no value */
	RULE_TEXT,    /* char * */
	RULE_SIZE,    /* uint64_t bytes, > 0 */
	RULE_SECONDS, /* int64_t */
};

static const struct rule {
	const char *name;
	enum rule_kind kind;
	size_t field;
	const char *why;
} rules[] = {
	{"cache", RULE_TEXT, offsetof(struct options, cache_dir), NULL},
	{"socket", RULE_TEXT, offsetof(struct options, socket), NULL},
	{"cache_size", RULE_SIZE, offsetof(struct options, cache_size), NULL},
	{"timeout", RULE_SECONDS, offsetof(struct options, timeout), NULL},
	{"insecure", RULE_SWITCH, offsetof(struct options, insecure), NULL},
	{"ca", RULE_TEXT, offsetof(struct options, ca_file), NULL},
	{"fsname", RULE_TEXT, offsetof(struct options, fsname), NULL},
	{"allow_other", RULE_SWITCH, offsetof(struct options, allow_other), NULL},
	{"allow_root", RULE_SWITCH, offsetof(struct options, allow_root), NULL},
	{"debug", RULE_SWITCH, offsetof(struct options, debug), NULL},

	{"noexec", RULE_KERNEL, 0, NULL},
	{"context", RULE_KERNEL, 0, NULL},
	{"fscontext", RULE_KERNEL, 0, NULL},
	{"defcontext", RULE_KERNEL, 0, NULL},
	{"rootcontext", RULE_KERNEL, 0, NULL},

	{"remount", RULE_REFUSE, 0, "unmount it and mount it again"},

	{"default_permissions", RULE_IGNORE, 0, NULL},
	{"ro", RULE_IGNORE, 0, NULL},
	{"rw", RULE_IGNORE, 0, NULL},
	{"suid", RULE_IGNORE, 0, NULL},
	{"nosuid", RULE_IGNORE, 0, NULL},
	{"dev", RULE_IGNORE, 0, NULL},
	{"nodev", RULE_IGNORE, 0, NULL},
	{"exec", RULE_IGNORE, 0, NULL},
	{"async", RULE_IGNORE, 0, NULL},
	{"sync", RULE_IGNORE, 0, NULL},
	{"atime", RULE_IGNORE, 0, NULL},
	{"noatime", RULE_IGNORE, 0, NULL},
	{"diratime", RULE_IGNORE, 0, NULL},
	{"nodiratime", RULE_IGNORE, 0, NULL},
	{"relatime", RULE_IGNORE, 0, NULL},
	{"norelatime", RULE_IGNORE, 0, NULL},
	{"strictatime", RULE_IGNORE, 0, NULL},
	{"nostrictatime", RULE_IGNORE, 0, NULL},
	{"lazytime", RULE_IGNORE, 0, NULL},
	{"nolazytime", RULE_IGNORE, 0, NULL},
	{"defaults", RULE_IGNORE, 0, NULL},
	{"auto", RULE_IGNORE, 0, NULL},
	{"noauto", RULE_IGNORE, 0, NULL},
	{"user", RULE_IGNORE, 0, NULL},
	{"nouser", RULE_IGNORE, 0, NULL},
	{"users", RULE_IGNORE, 0, NULL},
	{"nousers", RULE_IGNORE, 0, NULL},
	{"owner", RULE_IGNORE, 0, NULL},
	{"noowner", RULE_IGNORE, 0, NULL},
	{"group", RULE_IGNORE, 0, NULL},
	{"nogroup", RULE_IGNORE, 0, NULL},
	{"nofail", RULE_IGNORE, 0, NULL},
	{"fail", RULE_IGNORE, 0, NULL},
	{"_netdev", RULE_IGNORE, 0, NULL},
	{"comment", RULE_IGNORE, 0, NULL},
	{"nonempty", RULE_IGNORE, 0, NULL},
};

static const struct rule *find_rule(const char *name)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(rules[i].name, name) == 0)
			return &rules[i];
	return NULL;
}

char *options_escape(const char *value)
{
	char *out = malloc(2 * strlen(value) + 1), *p = out;
	for (; out && *value; value++) {
		if (*value == ',' || *value == '\\')
			*p++ = '\\';
		*p++ = *value;
	}
	if (out)
		*p = '\0';
	return out;
}

static int set_text(char **field, const char *value)
{
	char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* `name` is the option or the key of the configuration that the value came from. */
static int set_size(uint64_t *field, const char *name, const char *value, struct smr_error *err)
{
	int r = units_parse_size(value, field);
	if (r < 0 || *field == 0)
		return error_set(err, -EINVAL, "%s=%s: not a size; for example 10G", name, value);
	return 0;
}

static int set_seconds(int64_t *field, const char *name, const char *value, struct smr_error *err)
{
	uint64_t seconds;
	if (units_parse_uint(value, 0, TIMEOUT_MAX, &seconds) < 0)
		return error_set(err, -EINVAL,
			"%s=%s: not a number of seconds from 0 (for ever) to %u", name, value,
			TIMEOUT_MAX);
	*field = (int64_t)seconds;
	return 0;
}

static int add_mount_option(struct options *o, const char *name, const char *value)
{
	char *escaped auto_free = options_escape(value ? value : "");
	char *all;
	if (!escaped || asprintf(&all, "%s%s%s%s%s", o->mount_options ? o->mount_options : "",
				o->mount_options ? "," : "", name, value ? "=" : "", escaped) < 0)
		return -ENOMEM;
	free(o->mount_options);
	o->mount_options = all;
	return 0;
}

static int apply_rule(
	const struct rule *rule, const char *value, struct options *o, struct smr_error *err)
{
	void *field = (char *)o + rule->field;
	bool wants_value = rule->kind >= RULE_TEXT;
	if (wants_value && (!value || value[0] == '\0'))
		return error_set(err, -EINVAL, "option \"%s\" needs a value", rule->name);
	switch (rule->kind) {
	case RULE_IGNORE:
		return 0;
	case RULE_KERNEL:
		return add_mount_option(o, rule->name, value);
	case RULE_REFUSE:
		return error_set(err, -EINVAL, "option \"%s\": %s", rule->name, rule->why);
	case RULE_SWITCH:
		if (value)
			return error_set(err, -EINVAL, "option \"%s\" takes no value", rule->name);
		*(bool *)field = true;
		return 0;
	case RULE_TEXT:
		return set_text(field, value);
	case RULE_SIZE:
		return set_size(field, rule->name, value, err);
	case RULE_SECONDS:
		return set_seconds(field, rule->name, value, err);
	}
	return -EINVAL;
}

static int apply_option(char *text, struct options *o, struct smr_error *err)
{
	/* comments of an fstab line for systemd and others, mount(8) */
	if (text[0] == '\0' || strncasecmp(text, "x-", 2) == 0)
		return 0;
	char *equals = strchr(text, '=');
	if (equals)
		*equals = '\0';
	const struct rule *rule = find_rule(text);
	if (!rule)
		return error_set(err, -EINVAL, "unknown option \"%s\"", text);
	return apply_rule(rule, equals ? equals + 1 : NULL, o, err);
}

/* Cuts the next option off *rest, which is rewritten in place without the backslashes. */
static char *next_option(char **rest)
{
	char *start = *rest, *from = start, *to = start;
	for (; *from && *from != ','; from++) {
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return start;
}

static int apply_options(const char *list, struct options *o, struct smr_error *err)
{
	char *copy auto_free = strdup(list);
	if (!copy)
		return -ENOMEM;
	int r = 0;
	for (char *rest = copy; rest && r == 0;)
		r = apply_option(next_option(&rest), o, err);
	return r;
}

static int parse_flags(int argc, char **argv, struct options *o, struct smr_error *err)
{
	static const struct option longs[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{"foreground", no_argument, NULL, 'f'},
		{"debug", no_argument, NULL, 'd'},
		{NULL, 0, NULL, 0},
	};
	int c, r = 0;
	optind = 0; /* a fresh scan, with GNU's permutation */
	opterr = 0;
	while (r == 0 && !o->help && !o->version &&
		(c = getopt_long(argc, argv, "hVfdo:", longs, NULL)) != -1) {
		switch (c) {
		case 'h':
			o->help = true;
			break;
		case 'V':
			o->version = true;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 'd':
			o->debug = true;
			break;
		case 'o':
			r = apply_options(optarg, o, err);
			break;
		default:
			if (optopt == 'o')
				return error_set(err, -EINVAL, "-o needs a list of options");
			if (optopt)
				return error_set(err, -EINVAL, "unknown flag \"-%c\"", optopt);
			return error_set(err, -EINVAL, "unknown flag \"%s\"", argv[optind - 1]);
		}
	}
	return r;
}

int options_parse(int argc, char **argv, struct options *ret, struct smr_error *err)
{
	struct options o auto_with(options_done) = {.timeout = -1};
	int r = parse_flags(argc, argv, &o, err);
	if (r < 0)
		return r;
	if (!o.help && !o.version) {
		if (argc - optind < 2)
			return error_set(err, -EINVAL,
				argc == optind ? "which STORE, and mounted where?"
					       : "mounted where? A MOUNTPOINT is missing");
		if (argc - optind > 2)
			return error_set(
				err, -EINVAL, "one argument too many: \"%s\"", argv[optind + 2]);
		if (argv[optind][0] == '\0' || argv[optind + 1][0] == '\0')
			return error_set(err, -EINVAL, "STORE and MOUNTPOINT cannot be empty");
		r = set_text(&o.store, argv[optind]);
		if (r == 0)
			r = set_text(&o.mountpoint, argv[optind + 1]);
		if (r < 0)
			return r;
	}
	*ret = o;
	o = (struct options){0};
	return 0;
}

int options_complete(struct options *o, const struct config *c, struct smr_error *err)
{
	const char *value;
	int r = 0;
	if (o->cache_size == 0 && (value = config_get(c, "cache_size")))
		r = set_size(&o->cache_size, "configuration: cache_size", value, err);
	else if (o->cache_size == 0)
		o->cache_size = OPTIONS_CACHE_SIZE_DEFAULT;
	if (r == 0 && o->timeout < 0 && (value = config_get(c, "timeout")))
		r = set_seconds(&o->timeout, "configuration: timeout", value, err);
	else if (r == 0 && o->timeout < 0)
		o->timeout = OPTIONS_TIMEOUT_DEFAULT;
	if (r == 0 && !o->insecure)
		r = config_get_flag(c, "insecure", &o->insecure, err);
	return r;
}

const char *options_store_path(const char *store)
{
	if (strstr(store, "://"))
		return NULL;
	return strncmp(store, "dir:", 4) == 0 ? store + 4 : store;
}

static int make_absolute(char **path, const char *cwd)
{
	char *joined;
	if (!*path || (*path)[0] == '/')
		return 0;
	if (asprintf(&joined, "%s/%s", cwd, *path) < 0)
		return -ENOMEM;
	free(*path);
	*path = joined;
	return 0;
}

int options_absolute(struct options *o, const char *cwd)
{
	const char *path = options_store_path(o->store);
	int r = 0;
	if (path) {
		memmove(o->store, path, strlen(path) + 1);
		r = make_absolute(&o->store, cwd);
	}
	if (r == 0)
		r = make_absolute(&o->mountpoint, cwd);
	if (r == 0)
		r = make_absolute(&o->cache_dir, cwd);
	if (r == 0)
		r = make_absolute(&o->socket, cwd);
	if (r == 0)
		r = make_absolute(&o->ca_file, cwd);
	return r;
}

char *options_public_store(const char *store)
{
	char *copy = strdup(store);
	char *host = copy ? strstr(copy, "://") : NULL;
	if (!host)
		return copy;
	host += 3;
	host[strcspn(host, "?#")] = '\0';
	char *end = host + strcspn(host, "/");
	char *at = memrchr(host, '@', (size_t)(end - host));
	if (at)
		memmove(host, at + 1, strlen(at + 1) + 1);
	return copy;
}

uint32_t options_clamp_timeout(int64_t timeout, uint64_t default_limit, uint64_t max_limit)
{
	uint64_t limit = default_limit;
	if (max_limit && (limit == 0 || limit > max_limit))
		limit = max_limit;
	uint64_t ms = (uint64_t)timeout * 1000;
	if (limit > UINT32_MAX / 800)
		limit = 0; /* further away than any deadline here */
	if (limit && (ms == 0 || ms > limit * 800))
		ms = limit * 800;
	return (uint32_t)ms;
}

void options_done(struct options *o)
{
	free(o->store);
	free(o->mountpoint);
	free(o->cache_dir);
	free(o->socket);
	free(o->ca_file);
	free(o->fsname);
	free(o->mount_options);
	*o = (struct options){0};
}
