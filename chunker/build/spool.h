/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One unlinked temporary file that file contents are appended to while they arrive, each hashed on the way, and read back
 * from by offset. Blocks of zeros are not written: they become holes of the content, whether the source called them holes or
 * not, so that the same bytes give the same content.
 *
 * One thread writes. Once spool_flush returned and as long as nobody writes, any threads may read.
 */
#ifndef BUILD_SPOOL_H
#define BUILD_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"
#include "tree.h"

/* The digest of a content is the SHA-256 of its bytes up to this size. Of a larger one it is the SHA-256 of the first
 * SPOOL_PLAIN_MAX bytes and, for every later block that is not all zeros, LE64(block number) and the block, zero-padded:
 * as good an identity, and the holes of a sparse file cost nothing. The layout looks at digests of small files only. */
#define SPOOL_PLAIN_MAX (4u << 20)

struct spool;

/* An unlinked temporary file, 0600, in `dir`; NULL: $TMPDIR, else /var/tmp. The descriptor, or a negative errno with a message
 * that names the directory. */
int spool_open_temp(const char *dir, struct smr_error *err);

/* In `dir`, as above. `max_bytes`: how much may be written, 0: what the disk holds. Negative errno with
 * a message that names the directory. */
int spool_new(const char *dir, uint64_t max_bytes, struct spool **ret, struct smr_error *err);
void spool_free(struct spool *s);

/* Starts a content; one that was not finished is forgotten. */
void spool_begin(struct spool *s);
/* -EFBIG: beyond max_bytes or 16 TiB of one content, or more extents than 2^32; -ENOSPC, -EIO...; -ENOMEM. After a failure
 * only spool_begin and spool_free are allowed. */
int spool_write(struct spool *s, const void *data, size_t n, struct smr_error *err);
/* `n` bytes of zeros, at no cost. */
int spool_skip(struct spool *s, uint64_t n, struct smr_error *err);
/* Ends the content. ret->extents belongs to the spool and is valid until the next spool_begin. */
int spool_finish(struct spool *s, struct tree_content *ret, struct smr_error *err);

/* Everything written can be read from now on. */
int spool_flush(struct spool *s, struct smr_error *err);
/* Reads `n` bytes at `offset`; -EIO when they are not all there. */
int spool_read(const struct spool *s, void *data, size_t n, uint64_t offset, struct smr_error *err);

/* Bytes written, those of forgotten contents included. */
uint64_t spool_bytes(const struct spool *s);

#endif
