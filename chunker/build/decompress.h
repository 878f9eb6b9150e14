/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is inside gzip (RFC 1952), zstd (RFC 8878) or nothing, told apart by the first bytes: media types are wrong often
 * enough that everybody does. Sums are checked, the end must be one; several members or frames follow each other, and zstd's
 * skippable frames are skipped. Bytes go through; memory: the window of the format, at most 128 MiB. One thread.
 */
#ifndef BUILD_DECOMPRESS_H
#define BUILD_DECOMPRESS_H

#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"

/* The next bytes, at most `n`; *ret_n 0 only at the end. */
typedef int decompress_read_fn(
	void *user, void *data, size_t n, size_t *ret_n, struct smr_error *err);

struct decompress;

/* `max_ratio`: bytes out for a byte in, once more than `ratio_from` came out; 0: any. NULL: no memory. */
struct decompress *decompress_new(
	decompress_read_fn *read, void *user, uint64_t max_ratio, uint64_t ratio_from);
void decompress_free(struct decompress *d);

/* Fills `data` with `n` bytes; *ret_n is less only at the end. -EBADMSG: damaged or cut off; -EFBIG: the ratio, or a window
 * of more than 128 MiB; what `read` gives. */
int decompress_read(
	struct decompress *d, void *data, size_t n, size_t *ret_n, struct smr_error *err);

#endif
