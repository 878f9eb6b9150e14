/* SPDX-License-Identifier: BSD-3-Clause */
/* Archives for tests, in memory: well-formed unless a test spoils the bytes. Aborts when there is no memory. */
#ifndef TESTS_UNIT_TAR_BUILDER_H
#define TESTS_UNIT_TAR_BUILDER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../chunker/core/buf.h"

struct tar_builder {
	struct buf bytes;
	struct buf records; /* of the next member */
};

struct tar_entry {
	const char *name;
	char type; /* 0: '0' */
	const char *link;
	const void *data;
	size_t n;
	uint32_t mode; /* 0: 0644 */
	uint32_t uid, gid, major, minor;
	uint64_t mtime;
	bool gnu;
};

static inline void tar_builder_init(struct tar_builder *t)
{
	buf_init(&t->bytes, 64u << 20);
	buf_init(&t->records, 4u << 20);
}

static inline void tar_builder_done(struct tar_builder *t)
{
	buf_done(&t->bytes);
	buf_done(&t->records);
}

static inline void tar_builder_bytes(struct tar_builder *t, const void *data, size_t n)
{
	static const char zeros[512];

	if (buf_append(&t->bytes, data, n) < 0 || buf_append(&t->bytes, zeros, -n % 512) < 0)
		abort();
}

/* A header's field: octal digits and a NUL in `n` bytes. */
static inline void tar_builder_octal(void *field, size_t n, uint64_t v)
{
	unsigned char *p = field;

	p[--n] = 0;
	for (; n > 0; v >>= 3)
		p[--n] = (unsigned char)('0' + (v & 7));
}

/* The sum of a header that was changed. */
static inline void tar_builder_seal(unsigned char *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += h[i];
	tar_builder_octal(h + 148, 7, sum);
}

static inline void tar_builder_header(unsigned char h[512], const struct tar_entry *e)
{
	memset(h, 0, 512);
	memcpy(h, e->name, strnlen(e->name, 100));
	tar_builder_octal(h + 100, 8, e->mode ? e->mode : 0644);
	tar_builder_octal(h + 108, 8, e->uid);
	tar_builder_octal(h + 116, 8, e->gid);
	tar_builder_octal(h + 124, 12, e->n);
	tar_builder_octal(h + 136, 12, e->mtime);
	h[156] = (unsigned char)(e->type ? e->type : '0');
	if (e->link)
		memcpy(h + 157, e->link, strnlen(e->link, 100));
	memcpy(h + 257, e->gnu ? "ustar  " : "ustar\00000", 8);
	tar_builder_octal(h + 329, 8, e->major);
	tar_builder_octal(h + 337, 8, e->minor);
	tar_builder_seal(h);
}

/* A record for the next member. */
static inline void tar_builder_record(
	struct tar_builder *t, const char *key, const void *value, size_t n)
{
	size_t body = strlen(key) + n + 3, len = body + 1, digits;

	do {
		digits = (size_t)snprintf(NULL, 0, "%zu", len);
		len = body + digits;
	} while ((size_t)snprintf(NULL, 0, "%zu", len) != digits);
	if (buf_appendf(&t->records, "%zu %s=", len, key) < 0 ||
		buf_append(&t->records, value, n) < 0 || buf_append(&t->records, "\n", 1) < 0)
		abort();
}

static inline void tar_builder_text(struct tar_builder *t, const char *key, const char *value)
{
	tar_builder_record(t, key, value, strlen(value));
}

/* A member, behind its records. Returns where its header is. */
static inline size_t tar_builder_put(struct tar_builder *t, struct tar_entry e)
{
	unsigned char h[512];
	size_t at;

	if (t->records.len) {
		struct tar_entry x = {.name = "pax", .type = 'x', .n = t->records.len};
		tar_builder_header(h, &x);
		tar_builder_bytes(t, h, sizeof(h));
		tar_builder_bytes(t, t->records.data, t->records.len);
		buf_reset(&t->records);
	}
	at = t->bytes.len;
	tar_builder_header(h, &e);
	tar_builder_bytes(t, h, sizeof(h));
	if (e.n)
		tar_builder_bytes(t, e.data, e.n);
	return at;
}

static inline void tar_builder_file(struct tar_builder *t, const char *name, const char *data)
{
	tar_builder_put(t, (struct tar_entry){.name = name, .data = data, .n = strlen(data)});
}

static inline void tar_builder_dir(struct tar_builder *t, const char *name)
{
	tar_builder_put(t, (struct tar_entry){.name = name, .type = '5', .mode = 0755});
}

static inline void tar_builder_link(
	struct tar_builder *t, const char *name, char type, const char *target)
{
	tar_builder_put(t, (struct tar_entry){.name = name, .type = type, .link = target});
}

static inline void tar_builder_end(struct tar_builder *t)
{
	static const char zeros[1024];

	tar_builder_bytes(t, zeros, sizeof(zeros));
}

#endif
