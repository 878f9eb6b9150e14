/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a tar archive on their way in: blocks, and what is passed over. For tar_*.c only.
 *
 * A plain value that borrows whatever `user` is. One thread.
 */
#ifndef BUILD_TAR_INPUT_H
#define BUILD_TAR_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/buf.h"
#include "../core/error.h"
#include "tar_header.h"
#include "tar_reader.h"

struct tar_input {
	tar_read_fn *read;
	tar_skip_fn *skip; /* may be NULL */
	void *user;
	uint64_t n_read;   /* bytes of the archive that came or were passed over */
	const uint8_t *in; /* what `read` gave and nobody took yet */
	size_t n_in;
	bool at_end;              /* `read` has no more */
	uint8_t block[TAR_BLOCK]; /* one that came in pieces */
	char said[128];           /* the name of the last member, for messages; "": none yet */
};

/* At least a byte in `in`, unless it is the end. What `read` gives. */
int tar_input_fill(struct tar_input *t, struct smr_error *err);
/* The bytes at the front are used up. */
static inline void tar_input_take(struct tar_input *t, size_t n)
{
	t->in += n;
	t->n_in -= n;
}
/* Bytes of the archive up to what is not taken yet. */
static inline uint64_t tar_input_position(const struct tar_input *t)
{
	return t->n_read - t->n_in;
}

/* A block: 1 and *ret, valid until the next call; 0: the end of the input. -EBADMSG: the end inside of it. */
int tar_input_block(struct tar_input *t, const uint8_t **ret, struct smr_error *err);
/* Passes over `n` bytes, which must be there (-EBADMSG). */
int tar_input_skip(struct tar_input *t, uint64_t n, struct smr_error *err);
/* Appends `n` bytes and passes over the padding behind them. -EFBIG: more than `to` may hold. */
int tar_input_body(struct tar_input *t, uint64_t n, struct buf *to, struct smr_error *err);
/* -EBADMSG with a message that says where. */
int tar_input_cut_off(const struct tar_input *t, struct smr_error *err);

#endif
