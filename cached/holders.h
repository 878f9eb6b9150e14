/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many descriptors and maps of a chunk are out there, by id: one hold for each that was handed out, until it is
 * said to be gone. Whether an evicted chunk still takes its space on disk is the question that this answers.
 *
 * Pure; not thread-safe: the owner serialises.
 */
#ifndef CACHED_HOLDERS_H
#define CACHED_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../chunker/core/chunkid.h"

struct holders;

struct holders *holders_new(void);    /* NULL: no memory */
void holders_free(struct holders *h); /* NULL is fine */
/* One more hold. 0 or -ENOMEM. */
int holders_add(struct holders *h, const struct chunkid *id);
/* One less. true: that was the last; false: others remain, or there was none. */
bool holders_drop(struct holders *h, const struct chunkid *id);
bool holders_has(const struct holders *h, const struct chunkid *id);
/* Chunks that are held, and holds of all of them. */
size_t holders_chunks(const struct holders *h);
uint64_t holders_total(const struct holders *h);

#endif
