/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table from chunk id to a 64-bit value: open addressing, linear probing, backward-shift deletion.
 * Ids are SHA-256 outputs, yet a publisher may choose them, so the hash is seeded at random per table.
 *
 * Not thread-safe. Values are plain numbers or pointers cast to uintptr_t; the map owns nothing.
 */
#ifndef CORE_IDMAP_H
#define CORE_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunkid.h"

struct idmap;

struct idmap *idmap_new(void); /* NULL: no memory */
void idmap_free(struct idmap *m);
size_t idmap_count(const struct idmap *m);
/* true and the value in *ret (when not NULL) if the id is there. */
bool idmap_get(const struct idmap *m, const struct chunkid *id, uint64_t *ret);
/* Sets or replaces. 1: the id is new; 0: it was there; -ENOMEM. */
int idmap_put(struct idmap *m, const struct chunkid *id, uint64_t value);
/* true if the id was there; its value in *ret when not NULL. */
bool idmap_del(struct idmap *m, const struct chunkid *id, uint64_t *ret);
/* Visits every entry in no particular order: start with *cursor = 0, false at the end. The map must not be
 * changed meanwhile. */
bool idmap_next(const struct idmap *m, size_t *cursor, struct chunkid *ret_id, uint64_t *ret_value);

#endif
