/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many chunks of a store, in parallel and verified: as many threads as CPUs for a local store, more
 * for one that is waited for. Each thread holds one chunk at a time, so the number of threads
 * bounds the memory.
 */
#ifndef CMD_GATHER_H
#define CMD_GATHER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../store/store.h"

/* Verified: `pool` is chunk_size bytes that hash to the id, `wire` the object they came from. Valid
 * during the call. */
struct gather_data {
	const void *pool;
	uint32_t chunk_size;
	const void *wire;
	size_t wire_len; /* known with `presence` too */
};

struct gather_want {
	struct chunkid id;
	uint32_t chunk_size;
};

struct gather {
	struct store *store;
	uint64_t n;         /* number of chunks; they are begun in the order 0 to n - 1 */
	bool presence;      /* only ask whether the store has them; data->pool and wire are NULL */
	unsigned n_threads; /* 0: as above */
	const atomic_bool *cancel;
	struct gather_want (*want)(void *user, uint64_t i);
	/* Chunk `i` is here, or failed with `r`: -ENOENT missing, -EBADMSG damaged, -ECANCELED,
	 * others: see store.h. Called once for every chunk that was begun, from its thread; `data`
	 * only counts with r = 0, `err` is never NULL. 0, or a negative errno that stops the rest.
	 */
	int (*got)(void *user, uint64_t i, int r, const struct gather_data *data,
		const struct smr_error *err);
	void *user;
};

/* 0; the first non-zero answer of got(); -ECANCELED; -ENOMEM. All threads have ended when it
 * returns. */
int gather_run(const struct gather *g);

/* The message for a chunk that could not be had: "STORE: NAME: chunk 118 (4be1…90c2) is missing".
 * Returns `r`. */
int gather_error(struct smr_error *err, int r, const struct store *s, const char *name,
	uint64_t index, const struct chunkid *id, const struct smr_error *cause);

#endif
