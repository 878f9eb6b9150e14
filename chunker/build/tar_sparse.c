// SPDX-License-Identifier: BSD-3-Clause
#include "tar_sparse.h"

#include <errno.h>

/* The blocks that continue the map of an old GNU header. */
static int take_gnu_map(
	struct tar_input *in, struct tar_pax *pax, struct tar_header *h, struct smr_error *err)
{
	const uint8_t *b;
	int r = tar_header_gnu_map(h->block, TAR_GNU_MAP_HEADER, pax, &h->more);

	while (r == 0 && h->more) {
		r = tar_input_block(in, &b, err);
		if (r == 0)
			r = tar_input_cut_off(in, err);
		if (r > 0)
			r = tar_header_gnu_map(b, TAR_GNU_MAP_BLOCK, pax, &h->more);
	}
	return r;
}

/* The lines of a map that is in front of the data (pax 1.0). */
struct lines {
	struct tar_input *in;
	uint64_t *stored;
	const uint8_t *block;
	size_t at; /* in it */
};

static int take_line(struct lines *l, uint64_t *ret, struct smr_error *err)
{
	char digits[24];
	size_t n = 0;

	for (;;) {
		if (l->at == TAR_BLOCK) {
			int r = *l->stored < TAR_BLOCK ? 0 : tar_input_block(l->in, &l->block, err);
			if (r <= 0)
				return r < 0 ? r : tar_input_cut_off(l->in, err);
			*l->stored -= TAR_BLOCK;
			l->at = 0;
		}
		char c = (char)l->block[l->at++];
		if (c == '\n')
			return tar_decimal(digits, n, ret);
		if (n == sizeof(digits))
			return -EBADMSG;
		digits[n++] = c;
	}
}

static int take_pax_map(
	struct tar_input *in, struct tar_pax *pax, uint64_t *stored, struct smr_error *err)
{
	struct lines l = {.in = in, .stored = stored, .at = TAR_BLOCK};
	uint64_t n, offset, length;
	int r = take_line(&l, &n, err);

	if (r == 0 && n > TAR_REGIONS_MAX)
		r = -EFBIG;
	pax->n_regions = 0;
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		r = take_line(&l, &offset, err);
		if (r == 0)
			r = take_line(&l, &length, err);
		if (r == 0)
			r = tar_pax_region(pax, offset, length);
	}
	return r;
}

static int check_regions(const struct tar_pax *pax, uint64_t stored, uint64_t size)
{
	uint64_t end = 0, sum = 0;

	if (size > INT64_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < pax->n_regions; i++) {
		const struct tar_region *g = &pax->regions[i];
		if (g->offset < end || g->n > size || g->offset > size - g->n)
			return -EBADMSG;
		end = g->offset + g->n;
		sum += g->n;
	}
	return sum == stored ? 0 : -EBADMSG;
}

/* pax has 0.0 (no version), 0.1 and 1.0. */
static bool is_known(const struct tar_pax *pax)
{
	if (pax->has_version && pax->version_major > 1)
		return false;
	return pax->version_minor <= (pax->version_major ? 0 : 1);
}

int tar_sparse_map(struct tar_input *in, struct tar_pax *pax, struct tar_header *h,
	uint64_t *stored, uint64_t *ret_size, struct smr_error *err)
{
	uint64_t size = pax->realsize;
	int r = 0;

	if (h->type == 'S') {
		size = h->realsize;
		r = take_gnu_map(in, pax, h, err);
	} else if (!pax->has_realsize || !is_known(pax)) {
		r = -EBADMSG;
	} else if (pax->version_major == 1) {
		r = take_pax_map(in, pax, stored, err);
	}
	if (r == 0)
		r = check_regions(pax, *stored, size);
	if (r == -EBADMSG)
		return error_set(err, r, "'%s' has no valid map of its holes", in->said);
	if (r == -EFBIG)
		return error_set(err, r, "'%s' has more than %u pieces", in->said, TAR_REGIONS_MAX);
	if (r == 0)
		*ret_size = size;
	return r;
}
