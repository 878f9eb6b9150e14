/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A growable byte buffer that knows from birth how large it may become. Every size that comes from outside
 * ends in one of these, so a peer can never make the process allocate more than the owner said.
 *
 * Owned by whoever holds the struct; not thread-safe.
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stddef.h>

struct buf {
	unsigned char *data; /* may be NULL while len is 0 */
	size_t len;          /* bytes in use */
	size_t cap;          /* bytes allocated */
	size_t max;          /* bytes it may ever hold */
};

void buf_init(struct buf *b, size_t max);
/* Frees the memory; the buffer is empty afterwards and may be used again. */
void buf_done(struct buf *b);
/* Forgets the content, keeps the memory. */
void buf_reset(struct buf *b);
/* Makes room for `n` more bytes. -EFBIG beyond max, -ENOMEM. */
int buf_reserve(struct buf *b, size_t n);
/* 0, -EFBIG, -ENOMEM; on failure the content is unchanged. */
int buf_append(struct buf *b, const void *data, size_t n);
int buf_append_str(struct buf *b, const char *s);
int buf_appendf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The content as a string: a NUL is kept behind it (not counted in len). NULL on -ENOMEM. */
const char *buf_cstr(struct buf *b);
/* Moves the content of `from`, and its maximum, to `to` (which must be empty); `from` is empty afterwards. */
void buf_move(struct buf *to, struct buf *from);

#endif
