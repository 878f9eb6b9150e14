// SPDX-License-Identifier: BSD-3-Clause
#include "tar_input.h"

#include <errno.h>
#include <string.h>

int tar_input_fill(struct tar_input *t, struct smr_error *err)
{
	const void *data;
	int r;

	if (t->n_in > 0 || t->at_end)
		return 0;
	r = t->read(t->user, &data, &t->n_in, err);
	if (r < 0)
		return r;
	t->in = data;
	t->n_read += t->n_in;
	t->at_end = t->n_in == 0;
	return 0;
}

int tar_input_cut_off(const struct tar_input *t, struct smr_error *err)
{
	if (!t->said[0])
		return error_set(err, -EBADMSG, "the archive is cut off");
	return error_set(err, -EBADMSG, "the archive is cut off, in or behind '%s'", t->said);
}

int tar_input_block(struct tar_input *t, const uint8_t **ret, struct smr_error *err)
{
	size_t have = 0;

	while (have < TAR_BLOCK) {
		int r = tar_input_fill(t, err);
		if (r < 0)
			return r;
		if (t->n_in == 0)
			return have == 0 ? 0 : tar_input_cut_off(t, err);
		if (have == 0 && t->n_in >= TAR_BLOCK) {
			*ret = t->in;
			tar_input_take(t, TAR_BLOCK);
			return 1;
		}
		size_t n = TAR_BLOCK - have < t->n_in ? TAR_BLOCK - have : t->n_in;
		memcpy(t->block + have, t->in, n);
		have += n;
		tar_input_take(t, n);
	}
	*ret = t->block;
	return 1;
}

int tar_input_skip(struct tar_input *t, uint64_t n, struct smr_error *err)
{
	while (n > 0) {
		if (t->n_in == 0 && t->skip) {
			t->n_read += n;
			return t->skip(t->user, n, err);
		}
		int r = tar_input_fill(t, err);
		if (r < 0)
			return r;
		if (t->n_in == 0)
			return tar_input_cut_off(t, err);
		size_t take = n < t->n_in ? (size_t)n : t->n_in;
		tar_input_take(t, take);
		n -= take;
	}
	return 0;
}

int tar_input_body(struct tar_input *t, uint64_t n, struct buf *to, struct smr_error *err)
{
	uint64_t left = n;
	int r = n > to->max - to->len ? -EFBIG : 0;

	if (r < 0)
		return error_set(err, r, "extended headers of more than %u bytes behind '%s'",
			TAR_EXTENSION_MAX, t->said);
	while (left > 0) {
		r = tar_input_fill(t, err);
		if (r == 0 && t->n_in == 0)
			r = tar_input_cut_off(t, err);
		size_t take = left < t->n_in ? (size_t)left : t->n_in;
		if (r == 0)
			r = buf_append(to, t->in, take);
		if (r < 0)
			return r;
		tar_input_take(t, take);
		left -= take;
	}
	return tar_input_skip(t, -n % TAR_BLOCK, err);
}
