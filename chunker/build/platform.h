/* SPDX-License-Identifier: BSD-3-Clause */
/* OS/ARCH[/VARIANT], in the words of Go that OCI images use. A plain value. */
#ifndef BUILD_PLATFORM_H
#define BUILD_PLATFORM_H

#include <stdbool.h>

#include "../core/error.h"

#define PLATFORM_WORD_MAX 32
#define PLATFORM_TEXT_MAX (3 * PLATFORM_WORD_MAX)

struct platform {
	char os[PLATFORM_WORD_MAX], arch[PLATFORM_WORD_MAX];
	char variant[PLATFORM_WORD_MAX]; /* "": none is said */
};

/* "linux/arm64", "linux/arm/v7". -EINVAL with a message. */
int platform_parse(const char *s, struct platform *ret, struct smr_error *err);
/* linux on this machine. */
void platform_host(struct platform *ret);
/* What `have` is worth to who wants `want`: 0 nothing; more is better. arm64 without a variant is v8; an arm machine takes
 * lower variants too, and one that is not said is v7. */
unsigned platform_match(const struct platform *want, const struct platform *have);
/* "linux/arm/v7". Returns `ret`. */
char *platform_format(const struct platform *p, char ret[PLATFORM_TEXT_MAX]);

#endif
