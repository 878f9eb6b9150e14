/* SPDX-License-Identifier: BSD-3-Clause */
/* URLs. What is accepted has no credentials left in its bare form, which is a URL of the same place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/core/cleanup.h"
#include "../../chunker/store/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smr_error err = {0};
	struct url u, bare;
	char *text auto_free = malloc(n + 1);

	if (!text)
		abort();
	if (n)
		memcpy(text, data, n);
	text[n] = '\0';
	if (url_parse(text, &u, &err) < 0) {
		if (!err.message[0])
			abort();
		return 0;
	}
	if (url_parse(u.bare, &bare, &err) < 0 || bare.has_user || strcmp(bare.host, u.host) != 0 ||
		bare.port != u.port || strcmp(bare.scheme, u.scheme) != 0 ||
		url_is_loopback(&u) != url_is_loopback(&bare))
		abort();
	if (!url_may_follow(text, u.bare))
		abort();
	return 0;
}
