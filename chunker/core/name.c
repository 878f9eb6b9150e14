/* SPDX-License-Identifier: BSD-3-Clause */
#include "name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char pin_prefix[] = "sha256:";

/* Not isalnum(): its answer depends on the locale. */
static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool name_valid(const char *s)
{
	if (s[0] == '.')
		return false;
	size_t n = 0;
	for (; s[n]; n++)
		if (n == NAME_LEN_MAX || !name_char(s[n]))
			return false;
	return n > 0;
}

static int name_refuse(const char *what, const char *hint, struct smr_error *err)
{
	return error_set(err, -EINVAL,
		"\"%.220s\" cannot be an image name: 1 to %d of A-Z a-z 0-9 . _ -, not starting "
		"with a dot%s",
		what, NAME_LEN_MAX, hint);
}

int name_from_path(const char *path, char *ret, struct smr_error *err)
{
	static const char hint[] = "; choose one with --name";
	size_t end = strlen(path);
	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	size_t n = end - start;
	if (n >= 4 && memcmp(path + end - 4, ".img", 4) == 0)
		n -= 4;

	char name[NAME_LEN_MAX + 1];
	if (n > NAME_LEN_MAX)
		return name_refuse(path + start, hint, err);
	for (size_t i = 0; i < n; i++)
		name[i] = path[start + i] == ':' ? '_' : path[start + i];
	name[n] = '\0';
	if (!name_valid(name))
		return name_refuse(n > 0 ? name : path, hint, err);
	memcpy(ret, name, n + 1);
	return 0;
}

int name_parse_pinned(const char *s, char *ret_name, struct chunkid *ret_digest, bool *ret_pinned,
	struct smr_error *err)
{
	struct chunkid digest = {{0}};
	char name[NAME_LEN_MAX + 1];
	size_t n = strcspn(s, "@");
	bool pinned = s[n] == '@';
	snprintf(name, sizeof(name), "%.*s", n > NAME_LEN_MAX ? 0 : (int)n, s);
	if (!name_valid(name))
		return name_refuse(s, "", err);
	if (pinned) {
		const char *pin = s + n + 1;
		size_t prefix = strlen(pin_prefix);
		if (strncmp(pin, pin_prefix, prefix) != 0 || strlen(pin) != prefix + CHUNKID_HEX ||
			chunkid_parse(pin + prefix, &digest) < 0)
			return error_set(err, -EINVAL,
				"%s: after \"@\" comes sha256: and 64 lower-case hex digits, not "
				"\"%.80s\"",
				name, pin);
	}
	memcpy(ret_name, name, n + 1);
	*ret_digest = digest;
	*ret_pinned = pinned;
	return 0;
}
