/* SPDX-License-Identifier: BSD-3-Clause */
/* Byte for byte: an image of a store and the plain disk image it should be. */
#ifndef CMD_AGAINST_H
#define CMD_AGAINST_H

#include <stdatomic.h>
#include <stdint.h>

#include "../build/imgfile.h"
#include "../core/progress.h"
#include "../core/recipe.h"
#include "../store/store.h"

struct against {
	uint64_t image_size, file_size; /* bytes; only the shorter length is compared */
	uint64_t n_differ;              /* chunks with other bytes */
	uint64_t first; /* offset of the first byte that differs; valid with n_differ > 0 */
};

/* Fetches and verifies every chunk. -ENOENT, -EBADMSG: a chunk is missing or damaged (the first one
 * found is named); -ESTALE: the file changed meanwhile; -ECANCELED. A difference is a result, not
 * an error. */
int against_compare(struct store *s, const struct recipe *r, struct imgfile *file,
	const atomic_bool *cancel, struct progress *progress, struct against *ret,
	struct smr_error *err);

#endif
