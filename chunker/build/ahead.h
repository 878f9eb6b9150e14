/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread that reads ahead: one side produces bytes (a layer, verified and decompressed), the other takes them, and neither
 * waits for the other as long as a few buffers are between them. 1 MiB of memory.
 *
 * The producer runs in the thread; everything else is for one other thread.
 */
#ifndef BUILD_AHEAD_H
#define BUILD_AHEAD_H

#include <stddef.h>

#include "../core/error.h"

/* Fills `data` with `n` bytes; *ret_n is less only at the end. Called from the thread until it fails or the end is reached. */
typedef int ahead_produce_fn(
	void *user, void *data, size_t n, size_t *ret_n, struct smr_error *err);

struct ahead;

/* Starts the thread; signals are blocked in it. -ENOMEM, -EAGAIN. */
int ahead_new(ahead_produce_fn *produce, void *user, struct ahead **ret);
/* The next bytes, valid until the next call; *ret_n 0 only at the end. What the producer gave. */
int ahead_read(struct ahead *a, const void **ret_data, size_t *ret_n, struct smr_error *err);
/* Stops the thread when the producer returns, joins it. NULL is fine. */
void ahead_free(struct ahead *a);

#endif
