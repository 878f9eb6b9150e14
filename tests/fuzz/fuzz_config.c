/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration file: refused with file and line, or every value is a clean, non-empty word or phrase. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/core/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_value(const char *value)
{
	size_t len = strlen(value);
	if (len == 0 || strchr(" \t", value[0]) || strchr(" \t", value[len - 1]))
		abort();
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const keys[] = {"store", "cache", "cache_size", "timeout", "insecure",
		"chunk_size", "level", "jobs"};
	struct config *c = NULL;
	struct smr_error err = {0};
	int r = config_parse((const char *)data, n, "file", &c, &err);
	if (r < 0) {
		if (c || strncmp(err.message, "file:", 5) != 0)
			abort();
		return 0;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *value = config_get(c, keys[i]);
		if (value)
			check_value(value);
	}
	config_free(c);
	return 0;
}
