/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects on their way into a directory, made durable many at a time: a file is written to the
 * staging directory at once; a thread of its own, when enough have come together, makes all of them
 * durable by one syncfs and only then renames them to their keys. So whoever sees a file under its
 * key sees all of it, after a power cut too, and publishing costs one sync for BATCH_FILES chunks.
 *
 * On FUSE, where syncfs promises nothing, every file is synced by itself.
 *
 * Any thread may call anything but free. After an error of the thread every call fails with that
 * error.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "staging.h"

#define BATCH_FILES 256u
#define BATCH_BYTES (64ull << 20)

struct batch;

/* `root` and `staging` must outlive it. */
int batch_new(int root, struct staging *staging, struct batch **ret);
/* Publishes what is left, as far as it can. NULL is fine. */
void batch_free(struct batch *b);

/* Queues `n` bytes for `key`; waits while too many are queued. */
int batch_add(struct batch *b, const char *key, const void *data, size_t n, struct smr_error *err);
/* All that was added before is visible and durable when this returns. */
int batch_flush(struct batch *b, struct smr_error *err);
/* true and the size in bytes if the key is queued and perhaps not visible yet. */
bool batch_has(struct batch *b, const char *key, uint64_t *ret_size);

#endif
