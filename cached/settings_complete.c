/* SPDX-License-Identifier: BSD-3-Clause */
/* What was not given on the command line. */
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../chunker/core/units.h"
#include "shared.h"

int settings_parse_size(
	const char *name, const char *value, bool zero, uint64_t *ret, struct smr_error *err)
{
	int r = units_parse_size(value, ret);

	if (r < 0 || (*ret == 0 && !zero))
		return error_set(err, -EINVAL, "%s %s: not a size; for example 10G", name, value);
	return 0;
}

static int make_absolute(const char *path, char ret[PATH_MAX], struct smr_error *err)
{
	char cwd[PATH_MAX];
	int n;

	if (path[0] == '/')
		n = snprintf(ret, PATH_MAX, "%s", path);
	else if (getcwd(cwd, sizeof(cwd)))
		n = snprintf(ret, PATH_MAX, "%s/%s", cwd, path);
	else
		return error_set_errno(err, -errno, "the working directory");
	return n < PATH_MAX ? 0 : error_set(err, -ENAMETOOLONG, "%.100s...: too long a path", path);
}

/* A store's directory is the same one for whoever is told its name. */
static int make_store_absolute(const char *store, char ret[PATH_MAX], struct smr_error *err)
{
	if (strncmp(store, "dir:", 4) == 0)
		store += 4;
	if (!strstr(store, "://"))
		return make_absolute(store, ret, err);
	if (snprintf(ret, PATH_MAX, "%s", store) >= PATH_MAX)
		return error_set(err, -ENAMETOOLONG, "%.100s...: too long a URL", store);
	return 0;
}

static int complete_stores(struct settings *s, const char *configured, struct smr_error *err)
{
	char absolute[PATH_MAX];
	int r = 0;

	if (s->n_stores == 0 && configured) {
		struct settings_store *to = &s->stores[0];

		strcpy(to->name, SETTINGS_STORE_DEFAULT);
		to->url = strdup(configured);
		if (!to->url)
			return -ENOMEM;
		s->n_stores = 1;
	}
	for (unsigned i = 0; i < s->n_stores && r == 0; i++) {
		r = make_store_absolute(s->stores[i].url, absolute, err);
		free(s->stores[i].url);
		s->stores[i].url = r == 0 ? strdup(absolute) : NULL;
		if (r == 0 && !s->stores[i].url)
			r = -ENOMEM;
	}
	return r;
}

/* A plain word is the name that the daemon has for a store. */
static int complete_store(struct settings *s, const char *configured, struct smr_error *err)
{
	const char *store = s->store_arg ? s->store_arg
			    : configured ? configured
					 : SETTINGS_STORE_DEFAULT;

	if (strchr(store, '/') || strncmp(store, "dir:", 4) == 0)
		return make_store_absolute(store, s->store, err);
	snprintf(s->store, sizeof(s->store), "%s", store);
	return 0;
}

static int config_size(const struct config *c, const char *key, bool zero, uint64_t fallback,
	uint64_t *ret, struct smr_error *err)
{
	const char *value = config_get(c, key);
	char name[48];

	if (*ret != UINT64_MAX)
		return 0;
	*ret = fallback;
	snprintf(name, sizeof(name), "configuration: %s =", key);
	return value ? settings_parse_size(name, value, zero, ret, err) : 0;
}

/* The configured socket is that of the configured cache: another one has its own. */
static int complete_socket(struct settings *s, const struct config *c, const char *configured_dir,
	struct smr_error *err)
{
	char path[PATH_MAX];
	int r;

	if (s->socket_arg)
		return make_absolute(s->socket_arg, s->socket, err);
	if (strcmp(s->cache_dir, configured_dir) != 0 && config_get(c, "socket")) {
		if (snprintf(s->socket, PATH_MAX, "%s/%s", s->cache_dir, SHARED_SOCKET_NAME) >=
			PATH_MAX)
			return error_set(
				err, -ENAMETOOLONG, "%.100s...: too long a path", s->cache_dir);
		return 0;
	}
	r = config_socket_path(c, s->cache_dir, path, sizeof(path), err);
	return r < 0 ? r : make_absolute(path, s->socket, err);
}

static int complete_paths(struct settings *s, const struct config *c, struct smr_error *err)
{
	char configured[PATH_MAX] = "", path[PATH_MAX];
	int r = config_cache_dir(c, path, sizeof(path), s->cache_arg ? NULL : err);

	if (r == 0)
		r = make_absolute(path, configured, err);
	if (s->cache_arg)
		r = make_absolute(s->cache_arg, s->cache_dir, err);
	else if (r == 0)
		strcpy(s->cache_dir, configured);
	return r < 0 ? r : complete_socket(s, c, configured, err);
}

int settings_complete(struct settings *s, const struct config *c, struct smr_error *err)
{
	const char *store = config_get(c, "store");
	int r;

	if ((r = config_size(c, "cache_size", false, SETTINGS_SIZE_DEFAULT, &s->size, err)) < 0 ||
		(r = config_size(
			 c, "min_free", true, SETTINGS_MIN_FREE_DEFAULT, &s->min_free, err)) < 0)
		return r;
	if (!s->insecure && (r = config_get_flag(c, "insecure", &s->insecure, err)) < 0)
		return r;
	r = complete_paths(s, c, err);
	if (r < 0)
		return r;
	return s->verb == SETTINGS_SERVE ? complete_stores(s, store, err)
					 : complete_store(s, store, err);
}
