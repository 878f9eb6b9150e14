/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which image refers to each chunk of a store: what "own" means, and what a removal leaves without
 * an image. 44 bytes a distinct chunk; the recipes themselves are not kept.
 *
 * Not thread-safe.
 */
#ifndef CMD_REFS_H
#define CMD_REFS_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/recipe.h"
#include "../store/store.h"

#define REFS_SHARED UINT64_MAX /* of more than one image */

struct refs;

struct refs *refs_new(void); /* NULL: no memory */
void refs_free(struct refs *r);
/* Image number `owner` refers to the recipe's chunks. 0 or -ENOMEM. */
int refs_add(struct refs *r, const struct recipe *recipe, uint64_t owner);
/* Adds all images of the list, numbered as in it. One that went meanwhile, or whose recipe is
 * damaged, has no chunks. */
int refs_add_list(
	struct refs *r, struct store *s, const struct store_list *l, struct smr_error *err);
/* The only image with the chunk, or REFS_SHARED. false: none has it. */
bool refs_owner(const struct refs *r, const struct chunkid *id, uint64_t *ret);

struct refs_own {
	uint64_t chunks, bytes; /* bytes of wire form */
};
/* Sums up, for each of the images 0 to n - 1, the chunks that only it has, asking the store for
 * each one's size. */
int refs_own(const struct refs *r, struct store *s, struct refs_own *ret, uint64_t n,
	struct smr_error *err);

#endif
