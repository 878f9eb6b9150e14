/* SPDX-License-Identifier: BSD-3-Clause */
/* Text recipes of stream-my-root, and the ext4 superblock that tells their size. What is accepted converts to a valid recipe. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/store/flat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct flat_recipe *f)
{
	struct smr_error err = {0};
	struct recipe *r;
	int code;

	for (uint64_t i = 1; i < f->n_entries; i++) {
		if (f->entries[i - 1].index >= f->entries[i].index)
			abort();
	}
	if (f->n_entries && f->slots <= f->entries[f->n_entries - 1].index)
		abort();
	code = flat_convert(f, "x", 0, 1 << 20, &r, &err);
	if (code < 0 && !err.message[0])
		abort();
	if (code == 0) {
		if (recipe_info(r)->n_chunks != f->n_entries)
			abort();
		recipe_free(r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct flat_recipe f;
	struct smr_error err = {0};
	uint64_t size;

	if (flat_parse((const char *)data, n, &f, &err) == 0) {
		check(&f);
		flat_recipe_done(&f);
	} else if (!err.message[0]) {
		abort();
	}
	if (flat_ext4_size(data, n, &size, &err) == 0 && (size == 0 || size > RECIPE_IMAGE_MAX))
		abort();
	return 0;
}
