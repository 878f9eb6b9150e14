/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers of token endpoints. A token that is accepted fits into a header, and ends nothing there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/build/regauth_challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	unsigned expires = 0;
	char *token = NULL;

	if (regauth_challenge_token((const char *)data, n, &token, &expires, NULL) < 0)
		return 0;
	if (!*token || expires == 0 || strlen(token) > REGAUTH_CHALLENGE_TOKEN_MAX)
		abort();
	for (const char *s = token; *s; s++)
		if (*s <= 0x20 || *s >= 0x7f)
			abort();
	free(token);
	return 0;
}
