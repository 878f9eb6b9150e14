/* SPDX-License-Identifier: BSD-3-Clause */
/* smr-store.json. What is accepted says the same after it was written again; what is refused says why. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/store/roots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct roots *r, *again;
	struct smr_error err = {0};
	struct chunkid id = {{0}};
	char key[BUCKET_KEY_MAX];
	struct buf out;

	if (roots_parse(data, n, &r, &err) < 0) {
		if (!err.message[0])
			abort();
		return 0;
	}
	buf_init(&out, ROOTS_FILE_MAX);
	if (roots_format(r, &out) < 0 || roots_parse(out.data, out.len, &again, &err) < 0 ||
		!roots_equal(r, again) || r->n_live == 0 || r->n_live > r->n)
		abort();
	for (unsigned i = 0; i < r->n_live; i++) {
		roots_chunk_key(r, i, &id, key);
		if (strstr(key, "..") || strstr(key, "//"))
			abort();
	}
	roots_unref(again);
	roots_unref(r);
	buf_done(&out);
	return 0;
}
