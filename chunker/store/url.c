/* SPDX-License-Identifier: BSD-3-Clause */
#include "url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../core/units.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

static bool is_printable(const char *s)
{
	for (; *s; s++) {
		if (*s <= 0x20 || *s >= 0x7f || strchr("\"<>\\^`{|}", *s))
			return false;
	}
	return true;
}

/* false: longer than `size` allows. */
static bool copy_lower(const char *from, size_t n, char *ret, size_t size)
{
	if (n >= size)
		return false;
	for (size_t i = 0; i < n; i++)
		ret[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] | 0x20 : from[i]);
	ret[n] = '\0';
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool percent_decode(const char *s, size_t n, char *ret, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		int c = s[i];

		if (c == '%') {
			if (n - i < 3 || hex_digit(s[i + 1]) < 0 || hex_digit(s[i + 2]) < 0)
				return false;
			c = hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]);
			i += 2;
		}
		if (c < 0x20 || c == 0x7f || len + 1 >= size)
			return false;
		ret[len++] = (char)c;
	}
	ret[len] = '\0';
	return true;
}

static bool parse_user(const char *s, size_t n, struct url *u)
{
	const char *colon = memchr(s, ':', n);
	size_t user_len = colon ? (size_t)(colon - s) : n;

	u->has_user = true;
	if (!percent_decode(s, user_len, u->user, sizeof(u->user)))
		return false;
	return !colon ||
	       percent_decode(colon + 1, n - user_len - 1, u->password, sizeof(u->password));
}

static bool parse_port(const char *s, size_t n, struct url *u)
{
	char digits[6];
	uint64_t port;

	if (n >= sizeof(digits))
		return false;
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (units_parse_uint(digits, 1, 65535, &port) < 0)
		return false;
	u->port = (uint16_t)port;
	return true;
}

/* HOST, HOST:PORT, [V6], [V6]:PORT. */
static bool parse_host(const char *s, size_t n, struct url *u)
{
	struct in6_addr v6;
	const char *end;

	if (n && *s == '[') {
		end = memchr(s, ']', n);
		if (!end || !copy_lower(s + 1, (size_t)(end - s) - 1, u->host, sizeof(u->host)) ||
			inet_pton(AF_INET6, u->host, &v6) != 1)
			return false;
		end++;
	} else {
		end = memchr(s, ':', n);
		end = end ? end : s + n;
		if (end == s || !copy_lower(s, (size_t)(end - s), u->host, sizeof(u->host)) ||
			u->host[strspn(u->host, LETTERS DIGITS ".-_")])
			return false;
	}
	n -= (size_t)(end - s);
	return n == 0 || (*end == ':' && parse_port(end + 1, n - 1, u));
}

static bool parse_all(const char *s, struct url *u)
{
	const char *colon = strstr(s, "://"), *authority, *at, *path;
	size_t n;

	if (!is_printable(s) || strlen(s) >= URL_MAX || !colon)
		return false;
	if (!copy_lower(s, (size_t)(colon - s), u->scheme, sizeof(u->scheme)) ||
		strspn(u->scheme, LETTERS) == 0 || u->scheme[strspn(u->scheme, LETTERS DIGITS)])
		return false;
	u->port = strcmp(u->scheme, "https") == 0 ? 443 : strcmp(u->scheme, "http") == 0 ? 80 : 0;
	authority = colon + 3;
	path = authority + strcspn(authority, "/?#");
	/* The last '@': a password may hold one, a host may not. */
	at = memrchr(authority, '@', (size_t)(path - authority));
	if (at && !parse_user(authority, (size_t)(at - authority), u))
		return false;
	authority = at ? at + 1 : authority;
	if (!parse_host(authority, (size_t)(path - authority), u))
		return false;
	n = strlen(path);
	memcpy(u->path, path, n + 1);
	while (n && path[n - 1] == '/')
		n--;
	snprintf(u->bare, sizeof(u->bare), "%s://%.*s%.*s", u->scheme, (int)(path - authority),
		authority, (int)n, path);
	return true;
}

int url_parse(const char *s, struct url *ret, struct smr_error *err)
{
	struct url u = {0};

	if (!parse_all(s, &u)) {
		const char *at = strrchr(s, '@');

		return error_set(
			err, -EINVAL, "%s%s is not a valid URL", at ? "..." : "", at ? at : s);
	}
	*ret = u;
	return 0;
}

bool url_is_loopback(const struct url *u)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, u->host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, u->host, &v6) == 1)
		return memcmp(&v6, &in6addr_loopback, sizeof(v6)) == 0;
	return strcmp(u->host, "localhost") == 0;
}

bool url_may_follow(const char *from, const char *to)
{
	struct url a, b;

	if (url_parse(from, &a, NULL) < 0 || url_parse(to, &b, NULL) < 0)
		return false;
	if (strcmp(a.host, b.host) != 0 || b.has_user)
		return false;
	if (strcmp(a.scheme, b.scheme) == 0)
		return a.port == b.port;
	return strcmp(a.scheme, "http") == 0 && strcmp(b.scheme, "https") == 0;
}
