// SPDX-License-Identifier: BSD-3-Clause
#include "imageref.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../core/units.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

#define DOCKER_HOST     "docker.io"
#define DOCKER_ENDPOINT "registry-1.docker.io"
#define LIBRARY         "library/"

/* ---- hosts ---- */

static bool is_port(const char *s)
{
	uint64_t port;

	return units_parse_uint(s, 1, 65535, &port) == 0;
}

/* [V6] or [V6]:PORT */
static bool is_v6(const char *s)
{
	char text[INET6_ADDRSTRLEN + 1];
	const char *end = strchr(s, ']');
	struct in6_addr v6;
	size_t n = end ? (size_t)(end - s) - 1 : 0;

	if (!end || n >= sizeof(text))
		return false;
	memcpy(text, s + 1, n);
	text[n] = 0;
	return inet_pton(AF_INET6, text, &v6) == 1 &&
	       (!end[1] || (end[1] == ':' && is_port(end + 2)));
}

/* Labels of letters, digits and inner hyphens. */
static bool is_host(const char *s)
{
	if (*s == '[')
		return is_v6(s);
	for (;;) {
		size_t n = strspn(s, LOWER UPPER DIGITS "-");

		if (n == 0 || s[0] == '-' || s[n - 1] == '-')
			return false;
		s += n;
		if (*s != '.')
			break;
		s++;
	}
	return !*s || (*s == ':' && is_port(s + 1));
}

/* Is the component before the first '/' a host? */
static bool looks_like_host(const char *s, size_t n)
{
	if (n == strlen("localhost") && memcmp(s, "localhost", n) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (strchr(".:[" UPPER, s[i]))
			return true;
	return false;
}

/* ---- paths and tags ---- */

/* Between letters and digits: one '.', one or two '_', any '-'. */
static size_t separator(const char *s)
{
	if (*s == '.')
		return 1;
	if (*s == '_')
		return s[1] == '_' ? 2 : 1;
	return strspn(s, "-");
}

static bool is_path(const char *s)
{
	for (;;) {
		size_t n = strspn(s, LOWER DIGITS);

		if (n == 0)
			return false;
		s += n;
		if (!*s)
			return true;
		n = *s == '/' ? 1 : separator(s);
		if (n == 0)
			return false;
		s += n;
	}
}

static bool is_tag(const char *s)
{
	size_t n = strspn(s, LOWER UPPER DIGITS "_.-");

	return n > 0 && n <= IMAGEREF_TAG_MAX && !s[n] && *s != '.' && *s != '-';
}

/* Ids of local images, which docker refuses as names because they look like something else. */
static bool is_image_id(const char *s)
{
	return strlen(s) == CHUNKID_HEX && strspn(s, "0123456789abcdef") == CHUNKID_HEX;
}

/* ---- the whole ---- */

static int bad(const char *s, const char *why, struct smr_error *err)
{
	return error_set(err, -EINVAL, "'%.200s' is no image reference: %s", s, why);
}

/* Takes "@sha256:HEX" from the end of `text`. */
static bool take_digest(char *text, struct imageref *ref)
{
	static const char prefix[] = "sha256:";
	char *at = strchr(text, '@');

	if (!at)
		return true;
	*at++ = 0;
	if (strncmp(at, prefix, sizeof(prefix) - 1) != 0)
		return false;
	at += sizeof(prefix) - 1;
	ref->has_digest = true;
	return strlen(at) == CHUNKID_HEX && chunkid_parse(at, &ref->digest) == 0;
}

/* Takes ":TAG": a ':' before the last '/' is a port's. */
static bool take_tag(char *text, struct imageref *ref)
{
	char *slash = strrchr(text, '/'), *colon = strchr(slash ? slash : text, ':');

	if (!colon) {
		if (!ref->has_digest)
			strcpy(ref->tag, "latest");
		return true;
	}
	*colon++ = 0;
	if (!is_tag(colon))
		return false;
	memcpy(ref->tag, colon, strlen(colon) + 1);
	return true;
}

/* What is left is NAME, which is short enough for both buffers. */
static const char *take_name(const char *text, struct imageref *ref)
{
	const char *slash = strchr(text, '/'), *path = text;
	char host[sizeof(ref->host)] = DOCKER_HOST;
	bool library;

	if (slash && looks_like_host(text, (size_t)(slash - text))) {
		memcpy(host, text, (size_t)(slash - text));
		host[slash - text] = 0;
		path = slash + 1;
	}
	if (!is_host(host))
		return "its host is not valid";
	if (strcmp(host, "index.docker.io") == 0)
		strcpy(host, DOCKER_HOST);
	if (!*path || !is_path(path))
		return path[strcspn(path, UPPER)] ? "names of images are lower case"
						  : "its path is not valid";
	if (is_image_id(text))
		return "it is the id of a local image";
	library = strcmp(host, DOCKER_HOST) == 0 && !strchr(path, '/');
	if (strlen(host) + 1 + strlen(path) + (library ? strlen(LIBRARY) : 0) > IMAGEREF_NAME_MAX)
		return "it is too long";
	if (library)
		strcpy(ref->path, LIBRARY);
	strcat(ref->path, path);
	memcpy(ref->host, host, sizeof(host));
	return NULL;
}

int imageref_parse(const char *s, struct imageref *ret, struct smr_error *err)
{
	struct imageref ref = {0};
	char text[IMAGEREF_TEXT_MAX];
	const char *from = s, *why;

	if (strncmp(from, "docker://", 9) == 0)
		from += 9;
	if (!*from)
		return error_set(err, -EINVAL, "an image reference is empty");
	if (strlen(from) >= sizeof(text))
		return bad(s, "it is too long", err);
	memcpy(text, from, strlen(from) + 1);
	if (!take_digest(text, &ref))
		return bad(s, "its digest is not sha256: and 64 lower-case hex digits", err);
	if (!take_tag(text, &ref))
		return bad(s, "its tag is not valid", err);
	if (strlen(text) > IMAGEREF_NAME_MAX)
		return bad(s, "it is too long", err);
	why = take_name(text, &ref);
	if (why)
		return bad(s, why, err);
	*ret = ref;
	return 0;
}

char *imageref_format(const struct imageref *ref, char ret[IMAGEREF_TEXT_MAX])
{
	char hex[CHUNKID_HEX + 1] = "";

	if (ref->has_digest)
		chunkid_format(&ref->digest, hex);
	snprintf(ret, IMAGEREF_TEXT_MAX, "%s/%s%s%s%s%s", ref->host, ref->path,
		ref->tag[0] ? ":" : "", ref->tag, ref->has_digest ? "@sha256:" : "", hex);
	return ret;
}

const char *imageref_endpoint(const struct imageref *ref)
{
	return strcmp(ref->host, DOCKER_HOST) == 0 ? DOCKER_ENDPOINT : ref->host;
}

char *imageref_object(const struct imageref *ref, char ret[IMAGEREF_TAG_MAX + 1])
{
	char hex[CHUNKID_HEX + 1];

	if (ref->has_digest) {
		chunkid_format(&ref->digest, hex);
		snprintf(ret, IMAGEREF_TAG_MAX + 1, "sha256:%s", hex);
	} else {
		snprintf(ret, IMAGEREF_TAG_MAX + 1, "%s", ref->tag);
	}
	return ret;
}
