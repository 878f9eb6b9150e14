/* SPDX-License-Identifier: BSD-3-Clause */
/* Heads of answers with WWW-Authenticate. What is accepted has strings within bounds, without control characters. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/build/regauth_challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const char *s, size_t size)
{
	if (!memchr(s, 0, size))
		abort();
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct regauth_challenge c = {0};
	struct buf head;

	buf_init(&head, n + 1);
	if (buf_append(&head, data, n) < 0)
		abort();
	if (regauth_challenge_find(&head, &c, NULL) == 0 && !c.basic && !c.bearer)
		abort();
	if (c.bearer && !c.realm[0])
		abort();
	check(c.realm, sizeof(c.realm));
	check(c.service, sizeof(c.service));
	check(c.scope, sizeof(c.scope));
	buf_done(&head);
	return 0;
}
