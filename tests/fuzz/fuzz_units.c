/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes and numbers as people write them. What is accepted can be written again and is close to what was
 * read. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/core/cleanup.h"
#include "../../chunker/core/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_size(const char *text)
{
	char written[UNITS_TEXT_MAX];
	uint64_t bytes, back;
	if (units_parse_size(text, &bytes) < 0)
		return;
	units_format_size(bytes, written);
	/* petabytes are written, not read */
	if (bytes >= 999000000000000)
		return;
	if (units_parse_size(written, &back) < 0 ||
		(bytes > back ? bytes - back : back - bytes) > bytes / 20)
		abort();
}

static void check_uint(const char *text)
{
	char written[UNITS_TEXT_MAX], grouped[UNITS_TEXT_MAX + 4];
	uint64_t v;
	if (units_parse_uint(text, 0, UINT64_MAX, &v) < 0)
		return;
	snprintf(written, sizeof(written), "%llu", (unsigned long long)v);
	if (strcmp(written, text + strspn(text, "0")) != 0 && v != 0)
		abort();
	if (strlen(units_format_count(v, grouped)) != strlen(written) + (strlen(written) - 1) / 3)
		abort();
	units_format_duration(v, written);
	if (units_parse_uint(text, v, v, &v) < 0)
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
	check_size(text);
	check_uint(text);
	return 0;
}
