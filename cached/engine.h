/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine: the owner of a cache directory. It implements cache.h in the process it lives in;
 * frontends embed it today, smr-cached serves it over a socket.
 *
 *     CACHE/lock       flock: one engine per directory; holds the owner's pid
 *     CACHE/pool       chunks (pool.h)
 *     CACHE/index      LMDB ledger (index.h)
 *     CACHE/recipes    recipes that were opened, by digest
 *     CACHE/pins       recipes of pinned images, by name (pins.h)
 */
#ifndef CACHED_ENGINE_H
#define CACHED_ENGINE_H

#include "cache.h"

struct engine_options {
	const char *cache_dir;
	uint64_t cache_size; /* bytes on disk; 0: 10 GiB */
	uint64_t min_free;   /* bytes of the disk to leave free; 0: none (local.h) */
	unsigned n_workers;  /* decode, hash, write; 0: number of CPUs */
};

/* Call after fork: it opens LMDB and starts threads. -EBUSY: another process owns the directory
 * (the message names its pid). -EPERM: the directory belongs to somebody else. -ENOTSUP: it is on
 * FUSE. */
int engine_new(const struct engine_options *opts, struct cache **ret, struct smr_error *err);

#endif
