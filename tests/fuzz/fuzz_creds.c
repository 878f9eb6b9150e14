/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of logins (config.json, auth.json). What is found is a login or a token, of text without NUL; no program is there to be run. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../chunker/build/regauth_creds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct {
		const char *host, *path;
	} images[] = {{"docker.io", "library/debian"}, {"h.x", "team/app"}, {"127.0.0.1:5000", "a"},
		{"[::1]:5000", "a/b/c"}};

	setenv("PATH", "/nonexistent", 1);
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		struct regauth_creds c = {0};
		int r = regauth_creds_parse(
			(const char *)data, n, images[i].host, images[i].path, NULL, &c, NULL);

		if (r == 0 && !c.identity == !c.user)
			abort();
		if (r < 0 && (c.user || c.password || c.identity))
			abort();
		regauth_creds_done(&c);
	}
	return 0;
}
