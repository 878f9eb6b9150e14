// SPDX-License-Identifier: BSD-3-Clause
#include "platform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static bool take_word(const char **s, char ret[PLATFORM_WORD_MAX])
{
	size_t n = strspn(*s, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

	if (n == 0 || n >= PLATFORM_WORD_MAX)
		return false;
	memcpy(ret, *s, n);
	ret[n] = 0;
	*s += n;
	return true;
}

int platform_parse(const char *s, struct platform *ret, struct smr_error *err)
{
	struct platform p = {0};
	const char *at = s;
	bool good = take_word(&at, p.os) && *at++ == '/' && take_word(&at, p.arch);

	if (good && *at == '/') {
		at++;
		good = take_word(&at, p.variant);
	}
	if (!good || *at)
		return error_set(err, -EINVAL,
			"'%s' is no platform; it should be as linux/amd64 or linux/arm/v7", s);
	*ret = p;
	return 0;
}

void platform_host(struct platform *ret)
{
	/* uname -m and its word in Go; arm's variant is in the name. */
	static const struct {
		const char *machine, *arch, *variant;
	} known[] = {
		{"x86_64", "amd64", ""},
		{"aarch64", "arm64", ""},
		{"armv7l", "arm", "v7"},
		{"armv6l", "arm", "v6"},
		{"i686", "386", ""},
		{"i586", "386", ""},
		{"loongarch64", "loong64", ""},
		{"mips64", "mips64le", ""},
	};
	struct platform p = {.os = "linux"};
	struct utsname u;

	if (uname(&u) < 0)
		snprintf(u.machine, sizeof(u.machine), "unknown");
	snprintf(p.arch, sizeof(p.arch), "%.*s", PLATFORM_WORD_MAX - 1, u.machine);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(u.machine, known[i].machine) != 0)
			continue;
		snprintf(p.arch, sizeof(p.arch), "%s", known[i].arch);
		snprintf(p.variant, sizeof(p.variant), "%s", known[i].variant);
	}
	*ret = p;
}

static const char *variant_of(const struct platform *p)
{
	if (p->variant[0])
		return p->variant;
	if (strcmp(p->arch, "arm64") == 0)
		return "v8";
	return strcmp(p->arch, "arm") == 0 ? "v7" : "";
}

unsigned platform_match(const struct platform *want, const struct platform *have)
{
	const char *w = variant_of(want), *h = variant_of(have);

	if (strcmp(want->os, have->os) != 0 || strcmp(want->arch, have->arch) != 0)
		return 0;
	if (strcmp(w, h) == 0)
		return 100;
	if (strcmp(want->arch, "arm") == 0 && w[0] == 'v' && h[0] == 'v' && w[1] && h[1] && !w[2] &&
		!h[2] && h[1] < w[1])
		return (unsigned)(h[1] - '0') + 1;
	/* amd64 and the like: the plain one runs where a variant does, and says nothing where none was asked for. */
	if (!*h)
		return 50;
	return 0;
}

char *platform_format(const struct platform *p, char ret[PLATFORM_TEXT_MAX])
{
	snprintf(ret, PLATFORM_TEXT_MAX, "%s/%s%s%s", p->os, p->arch, p->variant[0] ? "/" : "",
		p->variant);
	return ret;
}
