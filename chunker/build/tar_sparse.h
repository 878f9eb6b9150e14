/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the data of a sparse member lies: GNU's old map in the header and the blocks behind it, or pax 0.0, 0.1 (records) and
 * 1.0 (decimal lines in front of the data). For tar_*.c only.
 */
#ifndef BUILD_TAR_SPARSE_H
#define BUILD_TAR_SPARSE_H

#include <stdint.h>

#include "../core/error.h"
#include "tar_header.h"
#include "tar_input.h"
#include "tar_pax.h"

/* The map of the member whose header is `h`, into pax->regions: ascending, inside of the file, and as long together as the
 * data is. *stored: bytes of the member in the archive; less afterwards where the map was among them. *ret_size: bytes of
 * the file. -EBADMSG, -EFBIG, -ENOMEM. */
int tar_sparse_map(struct tar_input *in, struct tar_pax *pax, struct tar_header *h,
	uint64_t *stored, uint64_t *ret_size, struct smr_error *err);

#endif
