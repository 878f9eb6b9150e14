/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chunk ids and SHA-256. A chunk's id is the SHA-256 (FIPS 180-4) of its pool form: for a plain chunk its
 * bytes, zero-padded to the chunk size. Any thread; each keeps its own digest context.
 */
#ifndef CORE_CHUNKID_H
#define CORE_CHUNKID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CHUNKID_BYTES 32
#define CHUNKID_HEX   64 /* characters, without a NUL */

struct chunkid {
	uint8_t b[CHUNKID_BYTES];
};

/* SHA-256 of `n` bytes. Aborts the process if the crypto library cannot provide SHA-256 at all. */
void chunkid_hash(const void *data, size_t n, struct chunkid *ret);

/* Incremental form. */
struct chunkid_hasher;
struct chunkid_hasher *chunkid_hasher_new(void); /* NULL: no memory */
void chunkid_hasher_add(struct chunkid_hasher *h, const void *data, size_t n);
/* The hasher is as new afterwards. */
void chunkid_hasher_finish(struct chunkid_hasher *h, struct chunkid *ret);
void chunkid_hasher_free(struct chunkid_hasher *h);

/* Lower-case hex and a NUL. */
void chunkid_format(const struct chunkid *id, char ret[CHUNKID_HEX + 1]);
/* First and last four digits, "4be1…90c2" (UTF-8), for people. `ret` holds at least 16 bytes. */
void chunkid_format_short(const struct chunkid *id, char ret[16]);
/* Exactly 64 lower-case hex digits at `s` (what follows is not looked at). 0 or -EINVAL. */
int chunkid_parse(const char *s, struct chunkid *ret);

static inline bool chunkid_equal(const struct chunkid *a, const struct chunkid *b)
{
	return memcmp(a->b, b->b, CHUNKID_BYTES) == 0;
}

static inline int chunkid_compare(const void *a, const void *b)
{
	return memcmp(
		((const struct chunkid *)a)->b, ((const struct chunkid *)b)->b, CHUNKID_BYTES);
}

#endif
