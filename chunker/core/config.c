/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fd.h"

#define CONFIG_FILE     "/etc/smr.conf"
#define CONFIG_FILE_MAX (64u << 10)
#define SHARED_CACHE    "/var/cache/smr"

static const struct {
	const char *key;
	const char *env; /* NULL: only the file */
} config_keys[] = {
	{"store", "SMR_STORE"},
	{"cache", "SMR_CACHE"},
	{"cache_size", NULL},
	{"min_free", NULL},
	{"socket", NULL},
	{"timeout", NULL},
	{"insecure", NULL},
	{"chunk_size", NULL},
	{"level", NULL},
	{"jobs", NULL},
	{"layer_cache", NULL},
};

#define N_KEYS (sizeof(config_keys) / sizeof(config_keys[0]))

struct config {
	char *values[N_KEYS]; /* NULL: not set */
	unsigned lines[N_KEYS];
};

/* A part of a line; not NUL-terminated. */
struct span {
	const char *s;
	size_t n;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span span_trim(struct span t)
{
	for (; t.n > 0 && is_blank(t.s[0]); t.s++)
		t.n--;
	while (t.n > 0 && is_blank(t.s[t.n - 1]))
		t.n--;
	return t;
}

/* A '#' begins a comment at the start of a line or after a blank; one inside a word is part of it
 * (URLs). */
static struct span strip_comment(struct span t)
{
	for (size_t i = 0; i < t.n; i++)
		if (t.s[i] == '#' && (i == 0 || is_blank(t.s[i - 1])))
			return (struct span){t.s, i};
	return t;
}

static size_t find_key(struct span name)
{
	size_t i = 0;
	while (i < N_KEYS && (strlen(config_keys[i].key) != name.n ||
				     memcmp(config_keys[i].key, name.s, name.n) != 0))
		i++;
	return i;
}

static int parse_line(struct config *c, struct span line, const char *origin, unsigned number,
	struct smr_error *err)
{
	line = span_trim(strip_comment(line));
	if (line.n == 0)
		return 0;
	for (size_t i = 0; i < line.n; i++)
		if (((unsigned char)line.s[i] < 0x20 && line.s[i] != '\t') || line.s[i] == 0x7f)
			return error_set(err, -EINVAL, "%s:%u: control character", origin, number);
	const char *equals = memchr(line.s, '=', line.n);
	if (!equals)
		return error_set(err, -EINVAL, "%s:%u: not \"key = value\": %.*s", origin, number,
			line.n > 80 ? 80 : (int)line.n, line.s);
	struct span key = span_trim((struct span){line.s, (size_t)(equals - line.s)});
	struct span value =
		span_trim((struct span){equals + 1, line.n - (size_t)(equals + 1 - line.s)});
	int shown = key.n > 80 ? 80 : (int)key.n;
	size_t k = find_key(key);
	if (k == N_KEYS)
		return error_set(
			err, -EINVAL, "%s:%u: unknown key \"%.*s\"", origin, number, shown, key.s);
	if (value.n == 0)
		return error_set(err, -EINVAL, "%s:%u: \"%s\" has no value", origin, number,
			config_keys[k].key);
	if (c->values[k])
		return error_set(err, -EINVAL, "%s:%u: \"%s\" is already set on line %u", origin,
			number, config_keys[k].key, c->lines[k]);
	c->values[k] = strndup(value.s, value.n);
	if (!c->values[k])
		return error_set_errno(err, -ENOMEM, "%s", origin);
	c->lines[k] = number;
	return 0;
}

static void config_freep(struct config **c)
{
	config_free(*c);
}

int config_parse(
	const char *text, size_t n, const char *origin, struct config **ret, struct smr_error *err)
{
	struct config *c auto_with(config_freep) = calloc(1, sizeof(*c));
	if (!c)
		return error_set_errno(err, -ENOMEM, "%s", origin);
	unsigned number = 1;
	for (size_t at = 0; at < n; number++) {
		const char *eol = memchr(text + at, '\n', n - at);
		size_t len = eol ? (size_t)(eol - (text + at)) : n - at;
		int r = parse_line(c, (struct span){text + at, len}, origin, number, err);
		if (r < 0)
			return r;
		at += len + (eol != NULL);
	}
	*ret = take_ptr(c);
	return 0;
}

static int config_apply_env(struct config *c)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		const char *value = config_keys[i].env ? getenv(config_keys[i].env) : NULL;
		if (!value || value[0] == '\0')
			continue;
		char *copy = strdup(value);
		if (!copy)
			return -ENOMEM;
		free(c->values[i]);
		c->values[i] = copy;
	}
	return 0;
}

int config_load(struct config **ret, struct smr_error *err)
{
	const char *named = getenv("SMR_CONF");
	const char *path = named ? named : CONFIG_FILE;
	struct buf text auto_with(buf_done);
	buf_init(&text, CONFIG_FILE_MAX);
	if (path[0] != '\0') {
		int r = fd_read_file(AT_FDCWD, path, &text);
		if (r == -EFBIG)
			return error_set(
				err, r, "%s: larger than %u KiB", path, CONFIG_FILE_MAX >> 10);
		if (r < 0 && (named || r != -ENOENT))
			return error_set_errno(err, r, "%s", path);
	}
	struct config *c auto_with(config_freep) = NULL;
	int r = config_parse((const char *)text.data, text.len, path, &c, err);
	if (r < 0)
		return r;
	r = config_apply_env(c);
	if (r < 0)
		return error_set_errno(err, r, "configuration");
	*ret = take_ptr(c);
	return 0;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < N_KEYS; i++)
		free(c->values[i]);
	free(c);
}

const char *config_get(const struct config *c, const char *key)
{
	size_t k = find_key((struct span){key, strlen(key)});
	return k < N_KEYS ? c->values[k] : NULL;
}

int config_get_flag(const struct config *c, const char *key, bool *ret, struct smr_error *err)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};
	const char *value = config_get(c, key);
	if (!value)
		return 0;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(value, yes[i]) != 0 && strcmp(value, no[i]) != 0)
			continue;
		*ret = strcmp(value, yes[i]) == 0;
		return 0;
	}
	return error_set(err, -EINVAL, "configuration: %s = %s: neither yes nor no", key, value);
}

/* The XDG base directory specification: a path that is not absolute is to be ignored. */
static const char *absolute_env(const char *name)
{
	const char *value = getenv(name);
	return value && value[0] == '/' ? value : NULL;
}

int config_cache_dir(const struct config *c, char *ret, unsigned long size, struct smr_error *err)
{
	const char *base = config_get(c, "cache"), *below = "";
	if (!base && geteuid() == 0)
		base = SHARED_CACHE;
	if (!base && (base = absolute_env("XDG_CACHE_HOME")))
		below = "/smr";
	if (!base && (base = absolute_env("HOME")))
		below = "/.cache/smr";
	if (!base)
		return error_set(err, -ENOENT,
			"no home directory for the cache: set HOME, or name one with cache=DIR");
	size_t n = strlen(base) + strlen(below);
	if (n >= size)
		return error_set(
			err, -ENAMETOOLONG, "the cache directory's path is too long: %.200s", base);
	snprintf(ret, size, "%s%s", base, below);
	return 0;
}

int config_socket_path(const struct config *c, const char *cache_dir, char *ret, unsigned long size,
	struct smr_error *err)
{
	const char *path = config_get(c, "socket"), *below = "";
	if (!path && strcmp(cache_dir, SHARED_CACHE) == 0)
		path = CONFIG_SOCKET_SHARED;
	if (!path) {
		path = cache_dir;
		below = "/cached.sock";
	}
	size_t n = strlen(path) + strlen(below);
	if (n >= size)
		return error_set(err, -ENAMETOOLONG, "the socket's path is too long: %.200s", path);
	snprintf(ret, size, "%s%s", path, below);
	return 0;
}
