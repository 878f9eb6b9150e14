/* SPDX-License-Identifier: BSD-3-Clause */
/* Image references. What is accepted is, written out, the same reference, and safe in an URL. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/build/imageref.h"
#include "../../chunker/build/source.h"
#include "../../chunker/core/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smr_error err = {0};
	struct imageref ref, again;
	char text[IMAGEREF_TEXT_MAX], second[IMAGEREF_TEXT_MAX], name[NAME_LEN_MAX + 1];
	char *s auto_free = malloc(n + 1);

	if (!s)
		abort();
	if (n)
		memcpy(s, data, n);
	s[n] = '\0';
	if (imageref_parse(s, &ref, &err) < 0) {
		if (!err.message[0])
			abort();
		return 0;
	}
	imageref_format(&ref, text);
	if (imageref_parse(text, &again, NULL) < 0 ||
		strcmp(imageref_format(&again, second), text) != 0)
		abort();
	if (strpbrk(ref.path, "%?#\\ @:") || strstr(ref.path, "..") || strpbrk(ref.host, "/?#@% "))
		abort();
	source_name_of_reference(text, name);
	if (name[0] && !name_valid(name))
		abort();
	return 0;
}
