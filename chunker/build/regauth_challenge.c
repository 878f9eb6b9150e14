// SPDX-License-Identifier: BSD-3-Clause
#include "regauth_challenge.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../core/cleanup.h"

#define EXPIRES_DEFAULT_S 60
#define EXPIRES_MAX_S     (24 * 3600)

/* ---- the grammar ---- */

struct cursor {
	const char *at, *end;
};

static void skip(struct cursor *c, const char *set)
{
	while (c->at < c->end && *c->at && strchr(set, *c->at))
		c->at++;
}

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t take_token(struct cursor *c, const char **ret)
{
	*ret = c->at;
	while (c->at < c->end && is_token_char(*c->at))
		c->at++;
	return (size_t)(c->at - *ret);
}

static bool is_word(const char *s, size_t n, const char *word)
{
	return strlen(word) == n && strncasecmp(s, word, n) == 0;
}

/* A token or a quoted string, into `ret` unless that is NULL. false: neither, unprintable, or too long. */
static bool take_value(struct cursor *c, char *ret, size_t size)
{
	bool quoted = c->at < c->end && *c->at == '"';
	size_t len = 0;

	if (quoted)
		c->at++;
	while (c->at < c->end && (quoted ? *c->at != '"' : is_token_char(*c->at))) {
		if (quoted && *c->at == '\\' && ++c->at == c->end)
			return false;
		if (*c->at < 0x20 || *c->at == 0x7f || len + 1 >= size)
			return false;
		if (ret)
			ret[len] = *c->at;
		len++;
		c->at++;
	}
	if (ret)
		ret[len] = 0;
	if (!quoted)
		return len > 0;
	if (c->at == c->end)
		return false;
	c->at++;
	return true;
}

/* The room for a parameter; NULL: it does not matter. */
static char *room_for(struct regauth_challenge *b, const char *name, size_t n, size_t *ret_size)
{
	*ret_size = REGAUTH_CHALLENGE_WORD_MAX;
	if (is_word(name, n, "realm"))
		return b->realm;
	if (is_word(name, n, "service"))
		return b->service;
	if (is_word(name, n, "scope"))
		return b->scope;
	if (is_word(name, n, "error")) {
		*ret_size = sizeof(b->error);
		return b->error;
	}
	return NULL;
}

/* NAME = VALUE, ... up to what is no parameter: the next challenge or the end. */
static bool take_parameters(struct cursor *c, struct regauth_challenge *ret)
{
	for (;;) {
		struct cursor before = *c;
		const char *name;
		char *room;
		size_t n, size;

		skip(c, " \t,");
		n = take_token(c, &name);
		skip(c, " \t");
		if (n == 0 || c->at == c->end || *c->at != '=') {
			*c = before;
			return true;
		}
		c->at++;
		skip(c, " \t");
		room = room_for(ret, name, n, &size);
		if ((room && *room) || !take_value(c, room, size))
			return false;
		skip(c, " \t");
		if (c->at < c->end && *c->at != ',')
			return false;
	}
}

/* Schemes like Negotiate have base64 in place of parameters. */
static void skip_token68(struct cursor *c)
{
	struct cursor t = *c;
	const char *s;

	skip(&t, " \t");
	while (t.at < t.end && (is_token_char(*t.at) || *t.at == '/'))
		t.at++;
	s = t.at;
	skip(&t, "=");
	if (t.at == t.end || *t.at == ',' || (t.at > s && t.at < t.end && strchr(" \t", *t.at)))
		*c = t;
}

static bool take_challenge(struct cursor *c, struct regauth_challenge *all)
{
	struct regauth_challenge one = {0};
	const char *scheme;
	size_t n = take_token(c, &scheme);

	if (n == 0 || (c->at < c->end && !strchr(" \t,", *c->at)))
		return false;
	if (is_word(scheme, n, "Basic") || is_word(scheme, n, "Bearer")) {
		if (!take_parameters(c, &one))
			return false;
	} else {
		skip_token68(c);
		if (!take_parameters(c, &one))
			return false;
		return true;
	}
	if (is_word(scheme, n, "Basic")) {
		all->basic = true;
		return true;
	}
	if (all->bearer)
		return true;
	one.bearer = one.realm[0] != 0;
	one.basic = all->basic;
	if (one.bearer)
		*all = one;
	return one.bearer;
}

int regauth_challenge_parse(
	const char *value, size_t n, struct regauth_challenge *c, struct smr_error *err)
{
	struct regauth_challenge all = *c;
	struct cursor cursor = {value, value + n};

	for (;;) {
		skip(&cursor, " \t,");
		if (cursor.at == cursor.end)
			break;
		if (!take_challenge(&cursor, &all))
			return error_set(err, -EBADMSG,
				"the registry's WWW-Authenticate header is malformed");
	}
	*c = all;
	return 0;
}

int regauth_challenge_find(
	const struct buf *head, struct regauth_challenge *ret, struct smr_error *err)
{
	static const char name[] = "WWW-Authenticate:";
	struct regauth_challenge c = {0};
	const char *line = (const char *)head->data, *end = line + head->len;
	int r = 0;

	while (r == 0 && line < end) {
		const char *eol = memchr(line, '\n', (size_t)(end - line));
		size_t n;

		eol = eol ? eol : end;
		n = (size_t)(eol - line);
		if (n > 0 && line[n - 1] == '\r')
			n--;
		if (n >= sizeof(name) - 1 && strncasecmp(line, name, sizeof(name) - 1) == 0)
			r = regauth_challenge_parse(
				line + sizeof(name) - 1, n - (sizeof(name) - 1), &c, err);
		line = eol < end ? eol + 1 : end;
	}
	if (r == 0 && !c.basic && !c.bearer)
		r = error_set(err, -EBADMSG,
			"the registry asks for authentication of a kind that is not known");
	if (r < 0)
		return r;
	*ret = c;
	return 0;
}

/* ---- tokens ---- */

static void json_freep(json_t **j)
{
	json_decref(*j);
}

/* Nothing in it may end the header that it goes into. */
static bool is_safe(const char *s)
{
	for (; *s; s++)
		if (*s <= 0x20 || *s >= 0x7f)
			return false;
	return true;
}

int regauth_challenge_token(
	const char *json, size_t n, char **ret, unsigned *ret_expires_s, struct smr_error *err)
{
	json_t *j auto_with(json_freep) = NULL;
	const char *token;
	json_int_t expires;

	if (n > REGAUTH_CHALLENGE_JSON_MAX)
		return error_set(err, -EFBIG, "the token endpoint's answer is too long");
	j = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
	token = json_string_value(json_object_get(j, "token"));
	if (!token || !*token)
		token = json_string_value(json_object_get(j, "access_token"));
	if (!token || !*token)
		return error_set(err, -EBADMSG, "the token endpoint's answer has no token");
	if (!is_safe(token))
		return error_set(err, -EBADMSG, "the token endpoint's token is not valid");
	if (strlen(token) > REGAUTH_CHALLENGE_TOKEN_MAX)
		return error_set(err, -EFBIG, "the token endpoint's token is too long");
	expires = json_integer_value(json_object_get(j, "expires_in"));
	*ret = strdup(token);
	if (!*ret)
		return -ENOMEM;
	*ret_expires_s = expires <= 0              ? EXPIRES_DEFAULT_S
			 : expires > EXPIRES_MAX_S ? EXPIRES_MAX_S
						   : (unsigned)expires;
	return 0;
}
