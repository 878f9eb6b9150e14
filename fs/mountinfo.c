/* SPDX-License-Identifier: BSD-3-Clause */
#include "mountinfo.h"

#include <stdio.h>
#include <string.h>

/* Does the field at *s (up to a space) say `path`? mountinfo writes space, tab, newline and
 * backslash in octal. Moves *s to the space. */
static bool field_equals(const char **s, const char *path)
{
	bool same = true;
	for (; **s && **s != ' '; path += *path != '\0') {
		unsigned char c = (unsigned char)*(*s)++;
		if (c == '\\' && (*s)[0] && (*s)[1] && (*s)[2]) {
			c = (unsigned char)(((*s)[0] - '0') << 6 | ((*s)[1] - '0') << 3 |
					    ((*s)[2] - '0'));
			*s += 3;
		}
		if (c != (unsigned char)*path)
			same = false;
	}
	return same && *path == '\0';
}

bool mountinfo_parse(
	const char *line, const char *mountpoint, unsigned *ret_major, unsigned *ret_minor)
{
	/* 36 35 98:0 /root /mount/point options... - type source options */
	unsigned major, minor;
	int at = 0;
	if (sscanf(line, "%*u %*u %u:%u %*s %n", &major, &minor, &at) != 2 || at == 0)
		return false;
	const char *s = line + at;
	if (!field_equals(&s, mountpoint) || !strstr(s, " - fuse.smrfs "))
		return false;
	*ret_major = major;
	*ret_minor = minor;
	return true;
}
