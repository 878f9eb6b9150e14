/* SPDX-License-Identifier: BSD-3-Clause */
#include "buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 256

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
	b->len = 0;
}

/* Allocates at least `want` bytes, which is at most max + 1: one byte over the maximum is for
 * buf_cstr's NUL. */
static int buf_grow(struct buf *b, size_t want)
{
	if (want <= b->cap)
		return 0;
	size_t limit = b->max < SIZE_MAX ? b->max + 1 : b->max;
	size_t cap = b->cap < BUF_FIRST / 2 ? BUF_FIRST : b->cap;
	if (__builtin_mul_overflow(cap, 2, &cap) || cap > limit)
		cap = limit;
	if (cap < want)
		cap = want;
	unsigned char *data = realloc(b->data, cap);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

int buf_reserve(struct buf *b, size_t n)
{
	size_t want;
	if (__builtin_add_overflow(b->len, n, &want) || want > b->max)
		return -EFBIG;
	return buf_grow(b, want);
}

int buf_append(struct buf *b, const void *data, size_t n)
{
	int r = buf_reserve(b, n);
	if (r < 0)
		return r;
	if (n > 0)
		memcpy(b->data + b->len, data, n);
	b->len += n;
	return 0;
}

int buf_append_str(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int buf_appendf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;

	int r = buf_reserve(b, (size_t)n);
	if (r < 0)
		return r;
	r = buf_grow(b, b->len + (size_t)n + 1);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

const char *buf_cstr(struct buf *b)
{
	if (b->len == SIZE_MAX || buf_grow(b, b->len + 1) < 0)
		return NULL;
	b->data[b->len] = '\0';
	return (const char *)b->data;
}

void buf_move(struct buf *to, struct buf *from)
{
	free(to->data);
	*to = *from;
	*from = (struct buf){.max = to->max};
}
