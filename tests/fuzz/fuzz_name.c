/* SPDX-License-Identifier: BSD-3-Clause */
/* Image names, from paths and with pins. What is accepted is a valid name; a pin that is written again is
 * the input. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_pinned(const char *text)
{
	char name[NAME_LEN_MAX + 1], hex[CHUNKID_HEX + 1], again[NAME_LEN_MAX + CHUNKID_HEX + 16];
	struct chunkid digest;
	struct smr_error err = {0};
	bool pinned;
	if (name_parse_pinned(text, name, &digest, &pinned, &err) < 0) {
		if (err.message[0] == '\0')
			abort();
		return;
	}
	chunkid_format(&digest, hex);
	snprintf(again, sizeof(again), "%s%s%s", name, pinned ? "@sha256:" : "", pinned ? hex : "");
	if (!name_valid(name) || strcmp(again, text) != 0)
		abort();
}

static void check_path(const char *text)
{
	char name[NAME_LEN_MAX + 1];
	struct smr_error err = {0};
	int r = name_from_path(text, name, &err);
	if (r < 0 ? err.message[0] == '\0' : !name_valid(name))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text auto_free = malloc(n + 1);
	if (!text)
		abort();
	if (n > 0)
		memcpy(text, data, n);
	text[n] = '\0';
	check_pinned(text);
	check_path(text);
	if (chunkid_parse(text, &(struct chunkid){{0}}) == 0 && strlen(text) < CHUNKID_HEX)
		abort();
	return 0;
}
