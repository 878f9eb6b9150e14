/* SPDX-License-Identifier: BSD-3-Clause */
/* index.json. What is accepted is sorted, valid, and reads the same after it was written again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/store/listing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct store_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct store_image *img = &l->images[i];

		if (!name_valid(img->name) || img->image_size > RECIPE_IMAGE_MAX ||
			img->data_size > img->image_size)
			abort();
		if (i && strcmp(l->images[i - 1].name, img->name) >= 0)
			abort();
		for (const char *s = img->source; *s; s++) {
			if ((unsigned char)*s < 0x20)
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct store_list l = {0}, again = {0};
	struct smr_error err = {0};
	struct buf out;

	if (listing_parse(data, n, &l, &err) < 0) {
		if (!err.message[0])
			abort();
		return 0;
	}
	check(&l);
	buf_init(&out, LISTING_FILE_MAX);
	if (listing_format(&l, &out) < 0 || listing_parse(out.data, out.len, &again, &err) < 0)
		abort();
	if (again.n != l.n || (l.n && memcmp(again.images, l.images, l.n * sizeof(*l.images)) != 0))
		abort();
	store_list_done(&l);
	store_list_done(&again);
	buf_done(&out);
	return 0;
}
