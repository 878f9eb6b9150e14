/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Condemned bytes: files that were unlinked while somebody has them mapped. They take their space on
 * disk until the last map goes, so they count until the caller hears of that.
 *
 * A chunk may be evicted, fetched and evicted again while an older file of it is still held: its files
 * add up, and go together. Who holds a file is asked to drop it, and soon does; what is held for longer
 * than `grace` is *overdue*.
 *
 * Pure: no I/O, no clock, no locks; the caller serialises. Times in units of the caller's choice, not
 * going back. Every operation is O(1), but condemned_overdue, which is amortised O(1).
 */
#ifndef CACHED_CONDEMNED_H
#define CACHED_CONDEMNED_H

#include <stdbool.h>
#include <stdint.h>

#include "../chunker/core/chunkid.h"

struct condemned;

struct condemned *condemned_new(uint32_t grace); /* NULL: no memory */
void condemned_free(struct condemned *c);        /* NULL is fine */
/* The grace of an id that is there already goes on. 0 or -ENOMEM: then they are not counted. */
int condemned_add(struct condemned *c, const struct chunkid *id, uint64_t bytes, uint32_t now);
/* Nobody holds any of its files any more. The bytes that this frees, 0 if it was not there. */
uint64_t condemned_release(struct condemned *c, const struct chunkid *id);
uint64_t condemned_bytes(const struct condemned *c);
/* Of these, what is held for longer than the grace. */
uint64_t condemned_overdue(struct condemned *c, uint32_t now);

#endif
