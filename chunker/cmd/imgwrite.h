/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An image out of a store, as a plain disk image: into a file with holes, by all threads at once,
 * or in order into whatever takes bytes one after the other. Every chunk is verified before a byte
 * of it is written.
 */
#ifndef CMD_IMGWRITE_H
#define CMD_IMGWRITE_H

#include <stdatomic.h>

#include "../core/progress.h"
#include "../core/recipe.h"
#include "../store/store.h"

struct imgwrite {
	struct store *store;
	const struct recipe *recipe;
	const char *target;        /* what is written to, for messages */
	const atomic_bool *cancel; /* may be NULL */
	struct progress *progress; /* counts data bytes; may be NULL */
};

/* Writes at `base` bytes of a seekable file whose rest behind `base` is empty, and sets its size.
 */
int imgwrite_file(const struct imgwrite *w, int fd, uint64_t base, struct smr_error *err);

/* Writes all bytes, zeros too, in order. As many chunks as there are threads are fetched ahead. */
int imgwrite_stream(const struct imgwrite *w, int fd, struct smr_error *err);

#endif
