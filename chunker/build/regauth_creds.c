// SPDX-License-Identifier: BSD-3-Clause
#include "regauth_creds.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/buf.h"
#include "../core/cleanup.h"
#include "../core/fd.h"
#include "regauth_helper.h"

#define DOCKER_HOST   "docker.io"
#define DOCKER_SERVER "https://index.docker.io/v1/"
#define KEY_MAX       600

static void json_freep(json_t **j)
{
	json_decref(*j);
}

static void wipe(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void regauth_creds_done(struct regauth_creds *c)
{
	wipe(&c->user);
	wipe(&c->password);
	wipe(&c->identity);
}

static void wipe_buf(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_done(b);
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s && *s ? s : NULL;
}

/* ---- one entry ---- */

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* In place; the end of its text. NULL: not base64, or with a NUL. */
static char *base64_decode(char *s)
{
	char *out = s;
	unsigned bits = 0, n = 0;

	for (; *s && *s != '='; s++) {
		int d = base64_digit(*s);

		if (d < 0)
			return NULL;
		bits = bits << 6 | (unsigned)d;
		n += 6;
		if (n >= 8) {
			n -= 8;
			*out = (char)(bits >> n & 0xff);
			if (!*out++)
				return NULL;
		}
	}
	if (s[strspn(s, "=")])
		return NULL;
	*out = 0;
	return out;
}

static int set(
	const char *user, const char *password, const char *identity, struct regauth_creds *ret)
{
	struct regauth_creds c = {0};

	c.user = user ? strdup(user) : NULL;
	c.password = password ? strdup(password) : NULL;
	c.identity = identity ? strdup(identity) : NULL;
	if ((user && !c.user) || (password && !c.password) || (identity && !c.identity)) {
		regauth_creds_done(&c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

static int from_base64(const char *auth, struct regauth_creds *ret, struct smr_error *err)
{
	char *text = strdup(auth), *end, *colon;
	int r;

	if (!text)
		return -ENOMEM;
	end = base64_decode(text);
	colon = end ? strchr(text, ':') : NULL;
	if (colon) {
		*colon = 0;
		r = set(text, colon + 1, NULL, ret);
	} else {
		r = error_set(err, -EBADMSG, "an \"auth\" is not base64 of USER:PASSWORD");
	}
	explicit_bzero(text, strlen(auth));
	free(text);
	return r;
}

static int from_entry(const json_t *entry, struct regauth_creds *ret, struct smr_error *err)
{
	const char *identity = string_of(entry, "identitytoken");
	const char *auth = string_of(entry, "auth"), *user = string_of(entry, "username");

	if (identity)
		return set(NULL, NULL, identity, ret);
	if (auth)
		return from_base64(auth, ret, err);
	/* Docker leaves empty entries behind for what its store holds. */
	return user ? set(user, string_of(entry, "password"), NULL, ret) : -ENOENT;
}

/* ---- helpers ---- */

static int from_helper(const char *name, const char *host, const atomic_bool *cancel,
	struct regauth_creds *ret, struct smr_error *err)
{
	const char *server = strcmp(host, DOCKER_HOST) == 0 ? DOCKER_SERVER : host;
	struct buf out auto_with(wipe_buf) = {0};
	json_t *j auto_with(json_freep) = NULL;
	const char *user, *secret;
	int r;

	buf_init(&out, REGAUTH_HELPER_OUTPUT_MAX);
	/* In one piece from the start, so that no copy of a secret is left where the buffer grew. */
	r = buf_reserve(&out, REGAUTH_HELPER_OUTPUT_MAX - 1);
	if (r == 0)
		r = regauth_helper_get(name, server, REGAUTH_HELPER_TIMEOUT_S, cancel, &out, err);
	if (r < 0)
		return r;
	j = json_loadb((char *)out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
	user = string_of(j, "Username");
	secret = string_of(j, "Secret");
	if (!user || !secret)
		return error_set(err, -EBADMSG,
			"docker-credential-%s does not answer with credentials", name);
	if (strcmp(user, "<token>") == 0)
		return set(NULL, NULL, secret, ret);
	return set(user, secret, NULL, ret);
}

/* ---- one file ---- */

/* The entry whose key leads to the image, the longest first; then the ways to write the host alone. */
static const json_t *find_entry(const json_t *auths, const char *host, const char *path)
{
	static const struct {
		const char *before, *after;
	} forms[] = {{"https://", ""}, {"https://", "/v1/"}, {"https://", "/v2/"}, {"http://", ""}};
	char key[KEY_MAX];
	const json_t *entry;

	if (snprintf(key, sizeof(key), "%s/%s", host, path) >= (int)sizeof(key))
		return NULL;
	entry = json_object_get(auths, key);
	while (!entry && strlen(key) > strlen(host)) {
		*strrchr(key, '/') = 0;
		entry = json_object_get(auths, key);
	}
	for (size_t i = 0; !entry && i < sizeof(forms) / sizeof(forms[0]); i++) {
		snprintf(key, sizeof(key), "%s%s%s", forms[i].before, host, forms[i].after);
		entry = json_object_get(auths, key);
	}
	if (!entry && strcmp(host, DOCKER_HOST) == 0) {
		entry = json_object_get(auths, DOCKER_SERVER);
		if (!entry)
			entry = json_object_get(auths, "index.docker.io");
	}
	return entry;
}

int regauth_creds_parse(const char *json, size_t n, const char *host, const char *path,
	const atomic_bool *cancel, struct regauth_creds *ret, struct smr_error *err)
{
	json_t *j auto_with(json_freep) = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *helpers, *entry;
	const char *helper;
	int r = -ENOENT;

	if (!json_is_object(j))
		return error_set(err, -EBADMSG, "not a JSON object");
	helpers = json_object_get(j, "credHelpers");
	helper = string_of(helpers, host);
	if (!helper && strcmp(host, DOCKER_HOST) == 0)
		helper = string_of(helpers, DOCKER_SERVER);
	if (helper)
		return from_helper(helper, host, cancel, ret, err);
	entry = find_entry(json_object_get(j, "auths"), host, path);
	if (entry)
		r = from_entry(entry, ret, err);
	helper = string_of(j, "credsStore");
	if (r == -ENOENT && helper)
		r = from_helper(helper, host, cancel, ret, err);
	return r;
}

static int from_file(const char *file, const char *host, const char *path,
	const atomic_bool *cancel, struct regauth_creds *ret, struct smr_error *err)
{
	struct buf b auto_with(wipe_buf) = {0};
	int r;

	buf_init(&b, REGAUTH_CREDS_FILE_MAX);
	r = fd_read_file(AT_FDCWD, file, &b);
	if (r == -ENOENT || r == -ENOTDIR)
		return -ENOENT;
	if (r < 0)
		return error_set_errno(err, r, "cannot read %s", file);
	r = regauth_creds_parse((char *)b.data, b.len, host, path, cancel, ret, err);
	return r == 0 || r == -ENOENT ? r : error_wrap(err, r, "%s", file);
}

/* ---- where the files are ---- */

static const char *env(const char *name)
{
	const char *s = getenv(name);

	return s && *s ? s : NULL;
}

/* BASE from the environment, or else below the home. false: neither. */
static bool file_below(
	char *ret, size_t size, const char *variable, const char *home_sub, const char *rest)
{
	const char *base = env(variable), *home = env("HOME");
	int n;

	if (base)
		n = snprintf(ret, size, "%s/%s", base, rest);
	else if (home && home_sub)
		n = snprintf(ret, size, "%s/%s/%s", home, home_sub, rest);
	else
		return false;
	return n > 0 && n < (int)size;
}

int regauth_creds_find(const char *host, const char *path, const atomic_bool *cancel,
	struct regauth_creds *ret, struct smr_error *err)
{
	static const struct {
		const char *variable, *home_sub, *rest;
	} files[] = {
		{"XDG_RUNTIME_DIR", NULL, "containers/auth.json"},
		{"XDG_CONFIG_HOME", ".config", "containers/auth.json"},
		{"DOCKER_CONFIG", ".docker", "config.json"},
	};
	struct regauth_creds none = {0};
	const char *only = env("REGISTRY_AUTH_FILE");
	char file[PATH_MAX];
	int r = -ENOENT;

	if (only)
		r = from_file(only, host, path, cancel, ret, err);
	for (size_t i = 0; r == -ENOENT && !only && i < sizeof(files) / sizeof(files[0]); i++) {
		if (!file_below(file, sizeof(file), files[i].variable, files[i].home_sub,
			    files[i].rest)) {
			if (i > 0)
				continue;
			snprintf(file, sizeof(file), "/run/containers/%u/auth.json",
				(unsigned)geteuid());
		}
		r = from_file(file, host, path, cancel, ret, err);
	}
	if (r == -ENOENT) {
		*ret = none;
		r = 0;
	}
	return r;
}
