/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk image that can be read at any offset, wherever it comes from: a file (imgfile.h), or a tree
 * that was laid out and is not written anywhere (ext4_image.h). A plain value that borrows what it
 * is made of.
 */
#ifndef BUILD_IMGSOURCE_H
#define BUILD_IMGSOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"

struct imgsource {
	const char *name; /* for messages */
	uint64_t size;    /* bytes, > 0 */
	void *of;         /* what the functions get */

	/* The first data at or behind `offset`, as bytes [*ret_start, *ret_end), start >= offset.
	 * -ENXIO: only zeros up to the end. One thread at a time. */
	int (*next_data)(void *of, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end,
		struct smr_error *err);
	/* Reads `n` bytes at `offset`, zeros for what lies behind the end. Any thread. */
	int (*read)(void *of, void *data, size_t n, uint64_t offset, struct smr_error *err);
	/* -ESTALE: what was read may not be one state of the image. NULL: it cannot change. */
	int (*check)(void *of, struct smr_error *err);
};

#endif
