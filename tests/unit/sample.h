/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Images made from numbers: slot i has the content of number contents[i], 0 is a hole, and equal numbers are
 * equal chunks. Aborts when it cannot.
 */
#ifndef TESTS_UNIT_SAMPLE_H
#define TESTS_UNIT_SAMPLE_H

#include <stdint.h>

#include "../../chunker/core/recipe.h"
#include "../../chunker/store/store.h"

struct sample {
	const char *name;
	uint32_t chunk_size;
	const unsigned *contents;
	unsigned n_slots;
	uint64_t image_size; /* the last slot may be cut */
	uint64_t meta_end;
};

/* The bytes of a content; no page of them is zeros. */
void sample_fill(unsigned content, void *bytes, uint32_t size);
void sample_id(unsigned content, uint32_t size, struct chunkid *ret);
struct recipe *sample_recipe(const struct sample *s);
/* image_size bytes: how it must read. */
unsigned char *sample_bytes(const struct sample *s);
/* Puts its chunks and its recipe. */
void sample_publish(const struct sample *s, struct store *store);

#endif
