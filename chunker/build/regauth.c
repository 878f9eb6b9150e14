// SPDX-License-Identifier: BSD-3-Clause
#include "regauth.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../core/cleanup.h"
#include "../core/clock.h"
#include "../store/url.h"
#include "regauth_challenge.h"
#include "regauth_creds.h"
#include "registry_http.h"

enum mode { NONE, BASIC, BEARER };

struct regauth {
	char *origin, *host, *path, *auth_hosts;
	bool insecure;
	pthread_mutex_t lock;
	/* below: lock held */
	enum mode mode;
	unsigned long generation; /* changes with what follows */
	bool has_creds;
	struct regauth_creds creds;
	struct regauth_challenge challenge;
	char *token;
	uint64_t token_ends_ns;
};

static void wipe(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

int regauth_new(const struct regauth_options *opts, struct regauth **ret)
{
	struct regauth *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	a->origin = strdup(opts->origin);
	a->host = strdup(opts->host);
	a->path = strdup(opts->path);
	a->auth_hosts = strdup(opts->auth_hosts ? opts->auth_hosts : "");
	a->insecure = opts->insecure;
	if (!a->origin || !a->host || !a->path || !a->auth_hosts) {
		regauth_free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

void regauth_free(struct regauth *a)
{
	if (!a)
		return;
	regauth_creds_done(&a->creds);
	wipe(&a->token);
	pthread_mutex_destroy(&a->lock);
	free(a->origin);
	free(a->host);
	free(a->path);
	free(a->auth_hosts);
	free(a);
}

/* ---- realms ---- */

static bool in_list(const char *list, const char *host)
{
	size_t len = strlen(host);

	while (*list) {
		size_t n = strcspn(list, ", ");

		if (n == len && strncasecmp(list, host, n) == 0)
			return true;
		list += n;
		list += strspn(list, ", ");
	}
	return false;
}

/* registry.example.org is a part of example.org; nothing is a part of org, or of the end of an address. */
static bool is_part_of(const char *host, const char *domain)
{
	size_t n = strlen(host), m = strlen(domain);

	return n > m + 1 && host[n - m - 1] == '.' && strcmp(host + n - m, domain) == 0 &&
	       strchr(domain, '.') && domain[strspn(domain, "0123456789.")];
}

bool regauth_realm_allowed(
	const char *origin, const char *realm, const char *auth_hosts, bool insecure)
{
	struct url from, to;

	if (url_parse(origin, &from, NULL) < 0 || url_parse(realm, &to, NULL) < 0 || to.has_user ||
		strchr(to.path, '#'))
		return false;
	if (strcmp(to.scheme, "https") != 0 &&
		!(strcmp(to.scheme, "http") == 0 && strcmp(from.scheme, "http") == 0 &&
			(url_is_loopback(&to) || insecure)))
		return false;
	if (strcmp(from.host, to.host) == 0 || in_list(auth_hosts, to.host))
		return true;
	if (strcmp(from.host, "registry-1.docker.io") == 0)
		return strcmp(to.host, "auth.docker.io") == 0;
	return is_part_of(from.host, to.host);
}

/* ---- applying ---- */

void regauth_request_done(struct regauth_request *r)
{
	wipe(&r->header);
	wipe(&r->user);
	wipe(&r->password);
}

int regauth_apply(struct regauth *a, struct regauth_request *ret)
{
	struct regauth_request r = {0};
	int result = 0;
	locked(&a->lock);

	r.generation = a->generation;
	if (a->mode == BASIC) {
		r.user = strdup(a->creds.user);
		r.password = strdup(a->creds.password ? a->creds.password : "");
		result = r.user && r.password ? 0 : -ENOMEM;
	} else if (a->mode == BEARER && clock_ns() < a->token_ends_ns) {
		if (asprintf(&r.header, "Authorization: Bearer %s", a->token) < 0) {
			r.header = NULL;
			result = -ENOMEM;
		}
	}
	if (result < 0)
		regauth_request_done(&r);
	else
		*ret = r;
	return result;
}

/* ---- tokens; a->lock held from here to the end ---- */

/* Percent-encodes as in a form or query. */
static int append_encoded(struct buf *b, const char *s)
{
	int r = 0;

	for (; *s && r == 0; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			strchr("-._~", c))
			r = buf_append(b, s, 1);
		else
			r = buf_appendf(b, "%%%02X", c);
	}
	return r;
}

static int append_pair(struct buf *b, const char *before, const char *key, const char *value)
{
	int r = buf_appendf(b, "%s%s=", before, key);

	return r == 0 ? append_encoded(b, value) : r;
}

/* Only what this source needs, whatever a registry names. */
static int append_scope(const struct regauth *a, struct buf *b)
{
	char *scope auto_free = NULL;

	if (asprintf(&scope, "repository:%s:pull", a->path) < 0) {
		scope = NULL;
		return -ENOMEM;
	}
	return append_pair(b, "&", "scope", scope);
}

static int token_query(const struct regauth *a, const char *before, struct buf *ret)
{
	int r = append_pair(ret, before, "service", a->challenge.service);

	return r == 0 ? append_scope(a, ret) : r;
}

/* GET REALM?service=...&scope=..., with Basic where we have credentials. */
static int make_get(const struct regauth *a, struct buf *url)
{
	int r = buf_append_str(url, a->challenge.realm);

	return r == 0 ? token_query(a, strchr(a->challenge.realm, '?') ? "&" : "?", url) : r;
}

/* POST REALM with an OAuth2 form. */
static int make_post(const struct regauth *a, struct buf *url, struct buf *form)
{
	int r = buf_append_str(url, a->challenge.realm);

	if (r == 0)
		r = buf_append_str(form, "grant_type=refresh_token&client_id=smr");
	if (r == 0)
		r = append_pair(form, "&", "refresh_token", a->creds.identity);
	return r == 0 ? token_query(a, "&", form) : r;
}

static void wipe_buf(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_done(b);
}

static int fetch_token(
	struct regauth *a, struct transport *t, const atomic_bool *cancel, struct smr_error *err)
{
	static const char *const form_headers[] = {
		"Content-Type: application/x-www-form-urlencoded", NULL};
	struct buf url auto_with(wipe_buf) = {0}, form auto_with(wipe_buf) = {0},
		       body auto_with(wipe_buf) = {0};
	struct registry_http_request req = {.max_bytes = REGAUTH_CHALLENGE_JSON_MAX,
		.cancel = cancel,
		.insecure = a->insecure,
		.no_redirects = true};
	unsigned expires_s;
	char *token;
	int r;

	buf_init(&url, URL_MAX);
	buf_init(&form, 64u << 10);
	r = a->creds.identity ? make_post(a, &url, &form) : make_get(a, &url);
	if (r < 0)
		return r;
	req.url = buf_cstr(&url);
	if (a->creds.identity) {
		req.data = form.data;
		req.data_len = form.len;
		req.headers = form_headers;
	} else {
		req.user = a->creds.user;
		req.password = a->creds.password;
	}
	r = req.url ? registry_http_get(t, &req, &body, err) : -ENOMEM;
	if (r == -EACCES && !a->creds.user && !a->creds.identity)
		return error_set(err, r, "%s gives no token without a login", a->challenge.realm);
	if (r == -EACCES)
		return error_set(
			err, r, "%s does not accept the login for %s", a->challenge.realm, a->host);
	if (r == 0)
		r = regauth_challenge_token((char *)body.data, body.len, &token, &expires_s, err);
	if (r < 0)
		return r;
	wipe(&a->token);
	a->token = token;
	/* A little early rather than a little late. */
	a->token_ends_ns = clock_ns() + expires_s * CLOCK_NS_PER_S * 9 / 10;
	a->mode = BEARER;
	a->generation++;
	return 0;
}

static int denied(const struct regauth *a, struct smr_error *err)
{
	if (a->creds.user || a->creds.identity)
		return error_set(
			err, -EACCES, "%s does not let this login read %s", a->host, a->path);
	return error_set(err, -EACCES,
		"%s wants a login for %s; `docker login` or `skopeo login` keeps one", a->host,
		a->path);
}

static int load_creds(struct regauth *a, const atomic_bool *cancel, struct smr_error *err)
{
	int r = a->has_creds ? 0 : regauth_creds_find(a->host, a->path, cancel, &a->creds, err);

	if (r == 0)
		a->has_creds = true;
	return r;
}

static int take_challenge(
	struct regauth *a, const struct buf *head, const atomic_bool *cancel, struct smr_error *err)
{
	int r = regauth_challenge_find(head, &a->challenge, err);

	if (r == 0 && a->challenge.bearer &&
		!regauth_realm_allowed(a->origin, a->challenge.realm, a->auth_hosts, a->insecure))
		r = error_set(err, -EACCES,
			"%s sends us to %.200s for a token, which is not one of its hosts; if it "
			"should be, name the host in SMR_AUTH_HOSTS",
			a->host, a->challenge.realm);
	return r < 0 ? r : load_creds(a, cancel, err);
}

int regauth_denied(struct regauth *a, struct smr_error *err)
{
	locked(&a->lock);

	return denied(a, err);
}

int regauth_challenged(struct regauth *a, struct transport *t, const struct regauth_request *used,
	const struct buf *head, const atomic_bool *cancel, struct smr_error *err)
{
	locked(&a->lock);
	int r;

	/* Somebody else was faster. */
	if (used->generation != a->generation)
		return 0;
	/* A password that was refused stays refused; a token may only have been too old. */
	if (a->mode == BASIC && used->user)
		return denied(a, err);
	r = take_challenge(a, head, cancel, err);
	if (r < 0)
		return r;
	if (a->challenge.bearer)
		return fetch_token(a, t, cancel, err);
	if (!a->creds.user)
		return denied(a, err);
	a->mode = BASIC;
	a->generation++;
	return 0;
}
