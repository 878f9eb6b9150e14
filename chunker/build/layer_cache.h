/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layers that were downloaded, as they are stored at registries, by digest: DIR/HEX, mode 0600 in a directory 0700. What is
 * least recently used goes when there is more than the maximum. A file there is a claim that nobody vouches for (there is no
 * fsync, and disks fail): whoever uses one compares it with its digest, and drops it if it is wrong.
 *
 * Any number of processes and threads may share a directory. A new layer has no name until it is complete (O_TMPFILE), so that
 * nothing is left by who was killed; file systems that cannot do that keep no layers.
 */
#ifndef BUILD_LAYER_CACHE_H
#define BUILD_LAYER_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/chunkid.h"
#include "../core/error.h"

#define LAYER_CACHE_MAX_DEFAULT (10ull << 30) /* bytes */

struct layer_cache;

/* Makes the directory. -EPERM: it belongs to another; I/O errors, with a message. */
int layer_cache_open(
	const char *dir, uint64_t max_bytes, struct layer_cache **ret, struct smr_error *err);
void layer_cache_free(struct layer_cache *c); /* NULL is fine */

/* Is there a file of that size? */
bool layer_cache_has(const struct layer_cache *c, const struct chunkid *digest, uint64_t size);
/* Opens it for reading and makes it the most recently used; the descriptor, or -ENOENT. */
int layer_cache_get(const struct layer_cache *c, const struct chunkid *digest, uint64_t size);
/* It is not what its name says. */
void layer_cache_drop(const struct layer_cache *c, const struct chunkid *digest);

/* A new file without a name, to be written and read; the descriptor, or -EOPNOTSUPP... */
int layer_cache_create(const struct layer_cache *c);
/* Gives a complete, verified one its name; then makes room for the maximum, never by this one. Failures cost the
 * next pull its time only, and are not reported. */
void layer_cache_keep(
	const struct layer_cache *c, int fd, const struct chunkid *digest, uint64_t size);

#endif
